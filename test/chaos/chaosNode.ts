import { appendFileSync } from 'node:fs';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import type { WakeHint } from '../../src/cluster/clusterStore.js';
import { messageOf } from '../../src/errors/errors.js';
import { silentLog, type LogFields, type Log } from '../../src/log.js';
import { createOrchestrator } from '../../src/server/orchestrator.js';
import { TraceRecorder } from '../prove/traces.js';
import { now } from './history.js';
import { noteTool } from './noteTool.js';

/** What a node of the run is started with, as JSON. */
export interface NodeArguments {
  readonly redisUrl: string;
  readonly name: string;
  readonly leaseMs: number;
  /** How long Redis may take for one command. */
  readonly timeoutMs: number;
  /** The file in which it notes what it does: what is written is there also after kill -9. */
  readonly ledger: string;
  readonly dataDir: string;
}

/** What it can be told by the process that started it. */
export interface NodeOrder {
  readonly isMuted: boolean;
}

const { redisUrl, name, leaseMs, timeoutMs, ledger, dataDir } = JSON.parse(process.argv[2] ?? '{}') as NodeArguments;
const writeToLedger = (told: object): void =>
  appendFileSync(ledger, `${JSON.stringify({ at: now(), node: name, ...told })}\n`);

const defect = (message: string, fields?: LogFields): void =>
  writeToLedger({ type: 'defect', what: `${message} ${JSON.stringify(fields ?? {})}` });
const log: Log = {
  ...silentLog,
  error: defect,
  info: (message, fields) => {
    const [session, isRestored] = [fields?.['session'] ?? '', fields?.['restored'] === true];
    if (message === 'session takeover') writeToLedger({ type: 'takenOver', session, isRestored });
  },
};
process.on('unhandledRejection', (error) => defect(`unhandled rejection: ${messageOf(error)}`));

let isMuted = false;
const noop = (): void => undefined;
const store = new RedisStore({ url: redisUrl, timeoutMs, onLost: noop, onReconnected: noop });
const { subscribe } = store.nodes;
Object.assign(store.nodes, {
  subscribe: (node: string, onHint: (hint: WakeHint) => void) =>
    subscribe(node, (hint) => {
      if (!isMuted) onHint(hint);
    }),
});

const orchestrator = await createOrchestrator({
  store,
  tools: [noteTool(name, writeToLedger)],
  log,
  observe: new TraceRecorder((step) => writeToLedger({ type: 'step', ...step })).observe,
  options: {
    ...{ port: 0, structured: true, prewarm: 0, lease: 'lazy', dataDir, nodeId: name, nodeLease: `${leaseMs}ms` },
    ...{ maxSessions: 1_000, maxSessionsPerUser: 1_000, connectRate: 1e6, requestRate: 1e6 },
    // A client that was never told of its session does not come back.
    ...{ resumeGrace: '10s', idleTimeout: '60s', drainTimeout: '5s' },
  },
});
const { url } = await orchestrator.listen();

process.on('message', (order: NodeOrder) => (isMuted = order.isMuted));
process.on('disconnect', () => process.exit());
process.on('SIGTERM', () => void orchestrator.close().then(() => process.disconnect()));
process.send?.({ url });
