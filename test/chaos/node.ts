import { appendFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import type { Hint } from '../../src/cluster/store.js';
import { messageOf } from '../../src/errors.js';
import { silentLog, type Fields, type Log } from '../../src/log.js';
import { createOrchestrator } from '../../src/orchestrator.js';
import { defineTool, type Resources } from '../../src/tools/defineTool.js';
import { now } from './history.js';

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

interface Term {
  readonly id: string;
  readonly notes: string[];
}

/** By what each session has for itself: one that goes on here has it anew. */
const terms = new WeakMap<Resources, Term>();

const note = defineTool({
  name: 'note',
  group: 'session',
  description: 'Notes a text and answers all that this session has noted here.',
  input: z.object({ text: z.string(), holdMs: z.number() }).strict(),
  output: z.object({
    ...{ node: z.string(), term: z.string(), session: z.string(), user: z.string() },
    ...{ notes: z.array(z.string()), calls: z.number() },
  }),
  annotations: { readOnlyHint: false },
  needs: 'nothing',
  handler: async ({ text, holdMs }, { session, resources, progress, signal }) => {
    const term = terms.get(resources) ?? { id: randomUUID(), notes: [] };
    terms.set(resources, term);
    term.notes.push(text);
    const echo = { node: name, term: term.id, session: session.id, user: session.user, calls: session.toolCalls };
    const notes = [...term.notes];
    tell({ is: 'carriedOut', text, ...echo });
    progress(1, 2);
    if (holdMs > 0) await pause(holdMs, undefined, { signal });
    progress(2, 2);
    return { text: 'Noted.', structured: { ...echo, notes } };
  },
});

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
  listen: (node: string, onHint: (hint: Hint) => void) => listen(node, (hint) => void (isDeaf || onHint(hint))),
});

const orchestrator = await createOrchestrator({
  store,
  tools: [note],
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
