import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../src/clock.js';
import { Users } from '../../src/tenancy/users.js';
import { withFolder } from './support/tempFolder.js';

/** A bound for a busy machine, in milliseconds. */
const manyProcesses = 300_000;
const kills = 200;
/** Folders that are worked on side by side. */
const lanes = 4;
/** A life after the start, in milliseconds: a change takes a few. */
const maxWorkerLifeMs = 40;

const program = join(import.meta.dirname, 'support/storeWorker.js');

interface Worker {
  readonly child: ChildProcess;
  /** Everything it said; complete once it has ended. */
  text: string;
  readonly opened: Promise<void>;
  /** A change of this life was acknowledged. */
  readonly changed: Promise<void>;
  readonly ended: Promise<unknown>;
}

function startWorker(folder: string, run: number): Worker {
  const child = spawn(process.execPath, [program, folder, String(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let sayOpened: () => void;
  let sayChanged: () => void;
  const opened = new Promise<void>((resolve) => (sayOpened = resolve));
  const changed = new Promise<void>((resolve) => (sayChanged = resolve));
  const worker: Worker = { child, text: '', opened, changed, ended };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    worker.text += chunk;
    sayOpened();
    if (acknowledgedIn(worker.text) > 0) sayChanged();
  });
  return worker;
}

/** Changes that were acknowledged. The last line may be cut off. */
const acknowledgedIn = (text: string): number => text.match(/^did .*\n/gm)?.length ?? 0;

/** What has to be there, what must not, with the tokens that have to open the door; the rest may be either. */
function expectationOf(text: string) {
  const expected = { there: new Set<string>(), gone: new Set<string>(), tokens: new Map<string, string>() };
  // The last line may be cut off.
  for (const line of text.split('\n').slice(0, -1)) {
    const [verb, what, id = '', secret = ''] = line.split(' ');
    if (verb === 'did' && what === 'create') expected.there.add(id);
    if (verb === 'did' && what === 'token') expected.tokens.set(id, secret);
    if (verb === 'try' && what === 'remove') {
      expected.there.delete(id);
      expected.tokens.delete(id);
    }
    if (verb === 'did' && what === 'remove') expected.gone.add(id);
  }
  return expected;
}

/** What of `text` the store in the folder does not bear out. */
async function audit(folder: string, text: string): Promise<string[]> {
  const { there, gone, tokens } = expectationOf(text);
  const users = new Users({ folder, clock: systemClock });
  try {
    const ids = new Set((await users.list()).map(({ id }) => id));
    const lost = [...there].filter((id) => !ids.has(id));
    const back = [...gone].filter((id) => ids.has(id));
    const dead: string[] = [];
    for (const [id, secret] of tokens)
      if ((await users.principalForToken(secret))?.user !== id) dead.push(`token of ${id}`);
    return [...lost, ...back, ...dead];
  } finally {
    await users.close();
  }
}

test(
  '[C-STORE] 200 kill -9 at random moments of a management workload lose no acknowledged change',
  async () => {
    let acknowledged = 0;
    const lost: string[] = [];
    const lane = (): Promise<void> =>
      withFolder(async (folder) => {
        let told = '';
        for (let run = 0; run < kills / lanes; run += 1) {
          const worker = startWorker(folder, run);
          // Every other one may die before its first change.
          await (run % 2 === 0 ? worker.opened : worker.changed);
          const life = Math.random() * maxWorkerLifeMs;
          await pause(life);
          worker.child.kill('SIGKILL');
          await worker.ended;
          told += worker.text;
          lost.push(...(await audit(folder, told)).map((what) => `${what} (killed after ${life} ms)`));
        }
        acknowledged += acknowledgedIn(told);
        expect((await readdir(folder)).filter((name) => name.startsWith('lock-'))).toEqual([]);
      });
    await Promise.all(Array.from({ length: lanes }, lane));
    expect(lost).toEqual([]);
    expect(acknowledged).toBeGreaterThanOrEqual(kills / 2);
  },
  manyProcesses,
);
