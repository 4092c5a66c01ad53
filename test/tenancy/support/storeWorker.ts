/**
 * A process for the store's tests: makes changes as fast as it can and writes down, at once, what it is about to do and
 * what was acknowledged, until it is killed. Arguments: folder, a number that tells its users from those of others.
 */
import { writeSync } from 'node:fs';
import { Users } from '../../../src/tenancy/users.js';

const [folder = '', run = '0'] = process.argv.slice(2);
const writeLine = (line: string): void => void writeSync(1, `${line}\n`);

const users = new Users({
  folder,
  clock: { now: () => Date.now(), elapsed: () => 0, setTimeout, clearTimeout: () => undefined },
});
await users.open();
writeLine('open');

async function work(lane: number): Promise<void> {
  for (let count = 0; ; count += 1) {
    const id = `u${run}.${lane}.${count}`;
    writeLine(`try create ${id}`);
    await users.create(id);
    writeLine(`did create ${id}`);
    const { secret } = await users.issueToken(id, {});
    writeLine(`did token ${id} ${secret}`);
    if (count % 2 === 1) continue;
    writeLine(`try remove ${id}`);
    await users.remove(id);
    writeLine(`did remove ${id}`);
  }
}

await Promise.all([work(0), work(1), work(2)]);
