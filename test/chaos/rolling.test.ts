import { noteTool } from './noteTool.js';
import { findViolations } from './invariants.js';
import type { ClientOptions, ClientSession } from './chaosClient.js';
import { History } from './history.js';
import { Random } from './random.js';
import { openStreamable } from './streamableClient.js';
import { serveNode } from '../cluster/clusterNodes.js';
import { nextTurn } from '../support/gate.js';
import { RedisServer, redisStore } from '../support/redisServer.js';
import type { TestServer } from '../support/testServer.js';

let redis: RedisServer;
const nodes: TestServer[] = [];
const history = new History();

beforeAll(async () => {
  redis = await RedisServer.start();
  for (const name of ['node-0', 'node-1', 'node-2']) nodes.push(await startNode(name));
});
afterAll(async () => {
  await Promise.all(nodes.map((node) => node.close()));
  await redis.stop();
});

const startNode = (name: string): Promise<TestServer> =>
  serveNode(redisStore(redis), {
    tools: [noteTool(name, (told) => history.record(told))],
    options: { tools: ['all'], nodeLease: '30s' },
  });

/** Talks until it is told to stop, then leaves. */
async function talk(options: ClientOptions, until: () => boolean): Promise<ClientSession> {
  let session: ClientSession | null = null;
  // The node that it comes to may just be gone.
  while (session === null) session = await openStreamable(options);
  for (let count = 1; !until() || count < 10; count += 1) {
    const { settled } = await session.callNote(`${options.name}-${count}`, count % 4 === 0 ? 30 : 0);
    await settled;
  }
  await session.leave();
  return session;
}

/** Resolves when each of the six has been answered something that it is yet to ask. */
async function everyoneAnswered(): Promise<void> {
  const from = history.events.length;
  const answered = (): Set<string> =>
    new Set(history.events.slice(from).flatMap((each) => (each.type === 'answered' ? [each.echo.session] : [])));
  while (answered().size < 6) await nextTurn();
}

test('[C-CHAOS][C-TAKEOVER] a rolling restart under load loses no session of /mcp and no message that was taken', async () => {
  const state = { isOver: false };
  const clients = Array.from({ length: 6 }, (_, index) => {
    const user = index % 2 === 0 ? 'ann' : 'bob';
    const options: ClientOptions = {
      ...{ history, user, name: `c${index}`, nodes: nodes.length, patienceMs: 60_000, random: new Random(index) },
      urlOf: (node) => nodes[node]?.url ?? '',
      onAnnounced: (session) => history.record({ type: 'claimed', session, user }),
    };
    return talk(options, () => state.isOver);
  });
  await everyoneAnswered();
  for (const [index, node] of nodes.entries()) {
    await node.close();
    nodes[index] = await startNode(`node-${index}`);
    await everyoneAnswered();
  }
  state.isOver = true;
  await Promise.all(clients);

  const { events } = history;
  expect(findViolations(events)).toEqual([]);
  expect(events.filter(({ type }) => type === 'announced')).toHaveLength(6);
  // Each of them ended because its client left.
  const ends = events.flatMap((each) => (each.type === 'ended' ? [each.because] : []));
  expect(ends).toEqual(Array(6).fill('204 '));
  const taken = events.flatMap((each) => (each.type === 'acknowledged' ? [each.text] : []));
  const answered = events.flatMap((each) => (each.type === 'answered' ? [each.text] : []));
  expect(answered.toSorted()).toEqual(taken.toSorted());
  // Every session has lived at more than one node.
  const terms = new Set(events.flatMap((each) => (each.type === 'answered' ? [each.echo.term] : [])));
  expect(terms.size).toBeGreaterThanOrEqual(12);
});
