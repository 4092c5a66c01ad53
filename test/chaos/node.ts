import { appendFileSync } from 'node:fs';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import type { Hint } from '../../src/cluster/store.js';
import { messageOf } from '../../src/errors.js';
import { silentLog, type Fields, type Log } from '../../src/log.js';
import { createOrchestrator } from '../../src/orchestrator.js';
import { now } from './history.js';
import { noteTool } from './note.js';

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
  readonly isDeaf: boolean;
}

const { redisUrl, name, leaseMs, timeoutMs, ledger, dataDir } = JSON.parse(process.argv[2] ?? '{}') as NodeArguments;
const tell = (told: object): void => appendFileSync(ledger, `${JSON.stringify({ at: now(), node: name, ...told })}\n`);

const defect = (message: string, fields?: Fields): void =>
  tell({ is: 'defect', what: `${message} ${JSON.stringify(fields ?? {})}` });
const log: Log = {
  ...silentLog,
  error: defect,
  info: (message, fields) => {
    const [session, isRestored] = [fields?.['session'] ?? '', fields?.['restored'] === true];
    if (message === 'took over') tell({ is: 'takenOver', session, isRestored });
  },
};
process.on('unhandledRejection', (error) => defect(`unhandled rejection: ${messageOf(error)}`));

let isDeaf = false;
const nothing = (): void => undefined;
const store = new RedisStore({ url: redisUrl, timeoutMs, onLost: nothing, onFound: nothing });
const { listen } = store.nodes;
Object.assign(store.nodes, {
  listen: (node: string, onHint: (hint: Hint) => void) =>
    listen(node, (hint) => {
      if (!isDeaf) onHint(hint);
    }),
});

const orchestrator = await createOrchestrator({
  store,
  tools: [noteTool(name, tell)],
  log,
  options: {
    ...{ port: 0, prewarm: 0, lease: 'lazy', dataDir, nodeId: name, nodeLease: `${leaseMs}ms` },
    ...{ maxSessions: 1_000, maxSessionsPerUser: 1_000, connectRate: 1e6, requestRate: 1e6 },
    // A client that was never told of its session does not come back.
    ...{ resumeGrace: '10s', idleTimeout: '60s', drainTimeout: '5s' },
  },
});
const { url } = await orchestrator.listen();

process.on('message', (order: NodeOrder) => (isDeaf = order.isDeaf));
process.on('disconnect', () => process.exit());
process.on('SIGTERM', () => void orchestrator.close().then(() => process.disconnect()));
process.send?.({ url });
