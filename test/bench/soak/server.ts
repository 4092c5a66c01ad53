import { openBrowserPool } from '../../../src/browser/pool/browserPool.js';
import type { ResourceCount, ResourceKind } from '../../../src/browser/process/resourceLedger.js';
import { defineConfig } from '../../../src/config/config.js';
import { silentLog, type LogFields, type Log } from '../../../src/log.js';
import { createOrchestrator } from '../../../src/server/orchestrator.js';
import { supervisorDefaults, createSupervisor } from '../../../src/browser/supervisor.js';
import { TraceRecorder, type SeenStep } from '../../prove/traces.js';

/** What the server of the soak is asked for; it answers `end` when everything is closed. */
export type Question = 'sample' | 'end';

/** Bytes, and what is open. */
export interface Sample {
  readonly heap: number;
  readonly resident: number;
  readonly chromium: number;
  readonly sessions: number;
  /** Open by the ledger. */
  readonly open: Readonly<Record<ResourceKind, number>>;
  /** What the log told at the level `error`. */
  readonly errors: readonly string[];
  /** What its charts were seen to do. */
  readonly steps: readonly SeenStep[];
}

const traces = new TraceRecorder();
const errors: string[] = [];
const note = (message: string, fields?: LogFields): void => void errors.push(`${message} ${JSON.stringify(fields)}`);
const log: Log = { ...silentLog, error: note };

const sessions = 1_000;
const config = defineConfig({
  port: 0,
  maxSessions: sessions,
  maxSessionsPerUser: sessions,
  connectRate: 1e6,
  requestRate: 1e6,
  bodyLimit: '64kb',
  resumeGrace: '1s',
  // A client of Streamable HTTP that has gone without a word, and listened nowhere, is missed by nobody else.
  idleTimeout: '8s',
  tools: 'all',
});
const { CHROME_PATH: chromePath, PATH: searchPath } = process.env;
const pool = await openBrowserPool({
  config,
  supervise: createSupervisor(supervisorDefaults),
  chromePath,
  searchPath,
});
const orchestrator = await createOrchestrator({ config, pool, log, observe: traces.observe });
const { url } = await orchestrator.listen();

async function sample(): Promise<Sample> {
  globalThis.gc?.();
  globalThis.gc?.();
  const { heapUsed: heap, rss: resident } = process.memoryUsage();
  const open = Object.entries(pool.ledger).map(([kind, { opened, closed }]: [string, ResourceCount]) => [
    kind,
    opened - closed,
  ]);
  return {
    heap,
    resident,
    chromium: (await pool.memory()) ?? 0,
    sessions: orchestrator.registry.list().length,
    // Made of the ledger's own entries.
    open: Object.fromEntries(open) as Sample['open'],
    errors,
    steps: traces.steps,
  };
}

process.on('message', (question: Question) => {
  void (async () => {
    if (question === 'end') await orchestrator.close();
    process.send?.(await sample());
  })();
});
process.on('disconnect', () => process.exit());
process.send?.({ url });
