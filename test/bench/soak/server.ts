import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openBrowserPool } from '../../../src/browser/pool/browserPool.js';
import type { ResourceCount, ResourceKind } from '../../../src/browser/process/browserConnection.js';
import { defineConfig } from '../../../src/config/config.js';
import { silentLog, type LogFields, type Log } from '../../../src/log.js';
import { createOrchestrator } from '../../../src/server/orchestrator.js';
import { supervisorDefaults, createSupervisor } from '../../../src/browser/supervisor.js';
import { allTools } from '../../../src/tools/allTools.js';
import { TraceRecorder, type SeenStep } from '../../prove/traces.js';
import { crowdTools } from './crowd.js';

/** What the server of the soak is asked for; it answers `end` when everything is closed. */
export type Question = 'sample' | 'end';

/** Bytes, and what is open. */
export interface Sample {
  readonly heap: number;
  readonly resident: number;
  readonly chromium: number;
  readonly sessions: number;
  /** The most that the process had resident since it began. */
  readonly peak: number;
  /** The longest that its event loop was held since the last sample but the time of measuring, in milliseconds. */
  readonly heldMs: number;
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

const part = process.argv[2];
const sessions = part === 'hostile' ? 10_000 : 1_000;
const config = defineConfig({
  port: 0,
  maxSessions: sessions,
  maxSessionsPerUser: sessions,
  connectRate: 1e9,
  requestRate: 1e9,
  resumeGrace: '1s',
  // A client of Streamable HTTP that has gone without a word, and listened nowhere, is missed by nobody else.
  idleTimeout: '8s',
  tools: 'all',
  // Of 20,000 connects few come to a page: the rest would measure Chromium.
  ...(part === 'hostile' ? { lease: 'lazy', structured: true } : { bodyLimit: '64kb' }),
});
const { CHROME_PATH: chromePath, PATH: searchPath } = process.env;
const pool = await openBrowserPool({
  config,
  supervise: createSupervisor(supervisorDefaults),
  chromePath,
  searchPath,
});
const orchestrator = await createOrchestrator({
  ...{ config, pool, log, observe: traces.observe },
  ...(part === 'hostile' && { tools: [...allTools, ...crowdTools] }),
});
const { url } = await orchestrator.listen();

const loop = monitorEventLoopDelay({ resolution: 5 });
loop.enable();

async function sample(): Promise<Sample> {
  const heldMs = loop.max / 1e6;
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
    peak: process.resourceUsage().maxRSS * 1024,
    heldMs,
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
    loop.reset();
  })();
});
process.on('disconnect', () => process.exit());
process.send?.({ url });
