import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { invariants } from './invariants.js';
import { reportOf } from './chaosReport.js';
import { run } from './chaosRun.js';

/**
 * `npm run chaos -- --seed N --faults N --minutes N`: three nodes, one Redis, clients of two transports; nodes are killed,
 * stopped and restarted, their links to Redis cut and slowed, Redis killed. Then what happened is checked. Exits 1 if
 * anything was wrong, and says where the whole history is.
 */
const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    faults: { type: 'string', default: '200' },
    minutes: { type: 'string', default: '10' },
    clients: { type: 'string', default: '18' },
    lease: { type: 'string', default: '700' },
    patience: { type: 'string', default: '30' },
    keep: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const write = (line: string): void => void process.stdout.write(`${line}\n`);

// The nodes end with the channel to this process, Redis with its exit.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

write(`seed ${seed}`);
const { history, violations, faults, seconds } = await run({
  seed,
  faults: Number(values.faults),
  program: fileURLToPath(new URL('./chaosNode.js', import.meta.url)),
  maxDurationMs: Number(values.minutes) * 60_000,
  leaseMs: Number(values.lease),
  clients: Number(values.clients),
  waitTimeoutMs: Number(values.patience) * 1_000,
  pausedMs: 250,
  report: (line) => void process.stderr.write(`${line}\n`),
});
write(`\n${reportOf(history, violations)}\n`);
for (const { invariant, what } of violations) write(`${invariant} (${invariants[invariant]}): ${what}`);
if (violations.length > 0 || values.keep) {
  const path = join(await mkdtemp(join(tmpdir(), 'greenroom-chaos-')), 'history.jsonl');
  await writeFile(path, history.map((happening) => `${JSON.stringify(happening)}\n`).join(''));
  write(path);
}
write(`seed ${seed}, ${seconds.toFixed(0)} s`);
write(`${faults} faults, ${violations.length} violations`);
process.exitCode = violations.length > 0 ? 1 : 0;
