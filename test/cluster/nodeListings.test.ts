import { Roster } from '../../src/cluster/roster.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import type { Frame } from '../../src/inspector/wire.js';
import { top } from '../../src/cli/top.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { StatelessClient } from '../support/statelessClient.js';
import type { TestServer } from '../support/testServer.js';
import { serveNode, useClusterNodes } from './clusterNodes.js';

const { kinds, nodes } = useClusterNodes();

interface Sessions {
  readonly sessions: readonly { readonly id: string; readonly node: string; readonly user: string }[];
}

const listed = async ({ url }: TestServer) => ((await send(`${url}/api/sessions`)).json as Sessions).sessions;
const health = async ({ url }: TestServer) =>
  (await send(`${url}/health`)).json as { readonly sessions: object; readonly nodes: readonly object[] };

/** Asks until it is so: what a node tells the others comes within a second or two. */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo()));
}

describe.each(kinds)('two nodes over $name', ({ stores }) => {
  test('[C-SHARED][C-OPERATOR][C-HEALTH][C-INSPECTOR] show the sessions of both, each with its node, until they end', async () => {
    const open = stores();
    const [one, other] = [
      await serveNode(open(), { options: { nodeId: 'one' } }),
      await serveNode(open(), { options: { nodeId: 'other' } }),
    ];
    nodes.push(one, other);
    const anna = await new RawSse(one.url, { path: '/sse?userId=anna' }).whenAnnounced();
    const bert = await new RawSse(other.url, { path: '/sse?userId=bert' }).whenAnnounced();
    const frames: Frame[] = [];
    const watching = new RawSse(one.url, {
      path: '/inspector/stream',
      onEvent: ({ data }) => void frames.push(JSON.parse(data) as Frame),
    });
    for (const node of [one, other]) {
      await until(async () => (await listed(node)).length === 2);
      expect(await listed(node)).toMatchObject([
        { id: bert.sessionId, node: 'other', user: 'bert', state: 'connected', calls: 0 },
        { id: anna.sessionId, node: 'one', user: 'anna', state: 'connected', calls: 0 },
      ]);
      const { sessions, nodes: each } = await health(node);
      expect(sessions).toMatchObject({ total: 2, active: 0, byState: { connected: 2 }, byUser: { anna: 1, bert: 1 } });
      expect(each).toEqual(
        expect.arrayContaining(['one', 'other'].map((name) => ({ node: name, total: 1, active: 0, warm: 0 }))),
      );
    }
    const browsersOf = (user: string) => new StatelessClient(one.url, `/mcp?userId=${user}`).text('list_browsers');
    expect(await browsersOf('bert')).toContain(bert.sessionId);
    expect(await browsersOf('anna')).not.toContain(bert.sessionId);
    await watching.when(() => rowOf(frames, bert)?.state === 'connected');
    expect([rowOf(frames, anna)?.node, rowOf(frames, bert)?.node]).toEqual(['one', 'other']);
    // At whichever node one looks: the chart and the timeline are those of the session's own.
    const details: (Frame['detail'] | undefined)[] = [];
    const looking = new RawSse(one.url, {
      path: `/inspector/stream?session=${bert.sessionId.slice(0, 8)}&contents=1`,
      onEvent: ({ data }) => void details.push((JSON.parse(data) as Frame).detail),
    });
    await looking.when(() => details.length > 0);
    expect(details[0]).toMatchObject({ id: bert.sessionId.slice(0, 8), leaves: ['connected'] });
    expect(details[0]?.entries.length).toBeGreaterThan(0);
    const lines: string[] = [];
    const stopped = Promise.resolve();
    await top({ url: one.url, write: (text) => void lines.push(text), screen: null, colored: false, stopped });
    const [, , head = '', ...rows] = lines.join('').split('\n');
    expect(head).toMatch(/ERRORS +NODE$/);
    expect(rows.filter((row) => /(anna.* one|bert.* other)$/.test(row))).toHaveLength(2);

    const session = other.orchestrator.registry.peek(bert.sessionId);
    await bert.disconnect();
    await session?.ended;
    await until(async () => (await listed(one)).length === 1);
    await watching.when(() => rowOf(frames, bert)?.state === 'closed');
    expect(rowOf(frames, bert)).toMatchObject({ closedBecause: 'client-closed' });
    await looking.whenClosed();
    await Promise.all([watching, anna].map((stream) => stream.disconnect()));
  });
});

/** The row as a page has it that has taken in all frames. */
function rowOf(frames: readonly Frame[], { sessionId }: RawSse) {
  const all = frames.flatMap(({ rows, changes }) => [...rows, ...changes]);
  const [first, ...changes] = all.filter(({ id }) => id === sessionId.slice(0, 8));
  return first && Object.assign({}, first, ...changes);
}

test('[C-SHARED] a node that says nothing more is told of for two leases, and one that leaves no longer', async () => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock).server.rosters;
  const onPublishFailed = (error: unknown): never => {
    throw error;
  };
  const node = (name: string): Roster =>
    new Roster({ store, node: name, leaseMs: 5_000, clock, describe: () => `of ${name}`, onPublishFailed });
  const [one, other] = [node('one'), node('other')];
  one.start();
  other.start();
  expect([await one.readOthers(), await other.readOthers()]).toEqual([['of other'], ['of one']]);
  await other.stop();
  expect(await one.readOthers()).toEqual([]);
  await one.stop();
  await store.put('dead', 'of dead', 10_000);
  clock.advance(9_999);
  expect(await one.readOthers()).toEqual(['of dead']);
  clock.advance(1);
  expect(await one.readOthers()).toEqual([]);
  expect(await store.put('dead', null, 10_000)).toBe(false);
});

test('[C-SHARED] while the store cannot be reached, what was told last is known for two leases', async () => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock).server.rosters;
  const one = new Roster({
    store,
    node: 'one',
    leaseMs: 5_000,
    clock,
    describe: () => '',
    onPublishFailed: () => undefined,
  });
  await store.put('other', 'of other', 10_000);
  expect(await one.readOthers()).toEqual(['of other']);
  store.list = () => Promise.reject(new Error('It is away.'));
  clock.advance(9_999);
  expect(await one.readOthers()).toEqual(['of other']);
  clock.advance(1);
  expect(await one.readOthers()).toEqual([]);
});
