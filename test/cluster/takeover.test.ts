import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import type { ClusterStore } from '../../src/cluster/clusterStore.js';
import { Gate, nextTurn } from '../support/gate.js';
import { postJson, send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import type { TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { withOverrides, type StoreOverrides } from './storeOverrides.js';
import { memoryStores, serveNode, useClusterNodes } from './clusterNodes.js';

const { kinds, nodes } = useClusterNodes();

interface StallableNode {
  readonly node: TestServer;
  /** Others take it for dead from here on, as one that stands still, and it hears of nothing. */
  stall(): Promise<void>;
}

async function startStallableNode(store: ClusterStore, tools: TestTools): Promise<StallableNode> {
  let name = '';
  let isStalled = false;
  const { renewLease, subscribe } = store.nodes;
  const mine = withOverrides(store, {
    nodes: {
      renewLease: (node, ms) => renewLease((name = node), ms),
      subscribe: (node, onHint) => subscribe(node, (hint) => !isStalled && onHint(hint)),
    },
  });
  const node = await startNode(mine, tools);
  return {
    node,
    stall: async () => {
      isStalled = true;
      await store.nodes.releaseLease(name);
    },
  };
}

async function startNode(store: ClusterStore, tools: TestTools): Promise<TestServer> {
  const node = await serveNode(store, { tools: tools.all, options: { tools: ['all'] } });
  nodes.push(node);
  return node;
}

const echo = (id: number, value: string) => ({
  ...{ jsonrpc: '2.0', id, method: 'tools/call' },
  params: { name: 'echo', arguments: { value } },
});

describe.each(kinds)('a node that dies, over $name', ({ stores }) => {
  test('[S11][C-TAKEOVER] its Streamable HTTP session goes on at the node that is asked; what it had is refused', async () => {
    const open = stores();
    const tools = new TestTools();
    const mortal = await startStallableNode(open(), tools);
    const other = await startNode(open(), tools);
    const client = await new RawMcp(mortal.node.url).initialize();
    await client.post({ jsonrpc: '2.0', id: 'level', method: 'logging/setLevel', params: { level: 'error' } });
    const [before] = mortal.node.orchestrator.registry.list();
    const held = await client.sendRequest({ jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'hold' } });
    await held.when(({ events }) => events.length > 0);
    await tools.whenHeld();
    await mortal.stall();

    const away = client.atNode(other.url);
    const asked = await away.sendRequest(echo(6, 'there'));
    await asked.whenClosed();
    expect(asked.messages).toMatchObject([{ id: 6, result: { content: [{ text: 'there' }] } }]);
    const [after] = other.orchestrator.registry.list();
    expect(after?.facts()).toMatchObject({
      id: client.sessionId,
      client: { name: 'raw' },
      protocolVersion: '2025-11-25',
      // Two calls: the one that was lost, and this one.
      toolCalls: 2,
    });
    expect(after?.server.logLevel).toBe('error');
    expect(after?.createdAt).toEqual(before?.createdAt);

    // What was under way there is answered, once, where the client comes back for it.
    const resumed = await away.listen(held.events[0]?.id);
    await resumed.whenClosed();
    expect(resumed.messages).toMatchObject([{ id: 5, error: { data: { reason: 'node_lost' } } }]);

    // It wakes up and has its answer: nobody hears it, and it lets go of the session.
    tools.releaseCalls();
    await before?.closed;
    expect(before?.actor.getSnapshot().context.closedBecause).toBe('node-lost');
    await held.whenClosed();
    expect(held.messages).toEqual([]);
    const again = await away.sendRequest(echo(7, 'still'));
    await again.whenClosed();
    expect(again.messages).toMatchObject([{ id: 7 }]);
    expect((await away.delete()).status).toBe(204);
  });

  test('[C-TAKEOVER] of many who ask at once one node takes over, and each is answered once', async () => {
    const open = stores();
    const tools = new TestTools();
    const mortal = await startStallableNode(open(), tools);
    const others = [await startNode(open(), tools), await startNode(open(), tools)];
    const client = await new RawMcp(mortal.node.url).initialize();
    await mortal.stall();
    const ids = Array.from({ length: 12 }, (_, index) => index + 10);
    const streams = await Promise.all(
      ids.map((id) => client.atNode(others[id % 2]?.url ?? '').sendRequest(echo(id, String(id)))),
    );
    await Promise.all(streams.map((stream) => stream.whenClosed()));
    expect(streams.map(({ messages }) => messages)).toMatchObject(
      ids.map((id) => [{ id, result: { content: [{ text: String(id) }] } }]),
    );
    expect(others.flatMap(({ orchestrator }) => orchestrator.registry.list())).toHaveLength(1);
  });
});

test('[C-TAKEOVER] a node that is stopped finishes what is under way and leaves its session to the others', async () => {
  const open = memoryStores();
  const tools = new TestTools();
  const [one, other] = [
    await serveNode(open(), { tools: tools.all, options: { tools: ['all'] } }),
    await startNode(open(), tools),
  ];
  const client = await new RawMcp(one.url).initialize();
  const listening = await client.listen();
  await listening.when(({ events }) => events.length > 0);
  const held = await client.sendRequest({ jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'hold' } });
  await tools.whenHeld();
  const [session] = one.orchestrator.registry.list();
  const draining = new Promise<void>((resolve) => {
    session?.actor.subscribe((snapshot) => snapshot.matches({ active: 'draining' }) && resolve());
  });
  const closing = one.close();
  await draining;
  tools.releaseCalls();
  await Promise.all([closing, held.whenClosed(), listening.whenClosed()]);
  expect(held.messages).toMatchObject([{ id: 5, result: {} }]);
  expect(listening.messages).toMatchObject([{ params: { data: 'The server is shutting down.' } }]);

  const away = client.atNode(other.url);
  const asked = await away.sendRequest(echo(6, 'there'));
  await asked.whenClosed();
  expect(asked.messages).toMatchObject([{ id: 6, result: { content: [{ text: 'there' }] } }]);
  // What was answered there is not answered once more.
  const over = await away.listen(held.events.at(-1)?.id);
  await over.whenClosed();
  expect([over.status, over.text]).toEqual([204, '']);
  const resumed = await away.listen(listening.events[0]?.id);
  await resumed.when(({ messages }) => messages.length > 0);
  expect(resumed.messages).toEqual(listening.messages);
  await resumed.disconnect();
});

test('[C-TAKEOVER] a session that nobody comes back to ends when its time is up: deadlines are armed again', async () => {
  const open = memoryStores();
  const tools = new TestTools();
  const mortal = await startStallableNode(open(), tools);
  const clock = new ManualClock();
  const other = await serveNode(open(), { clock, tools: tools.all });
  nodes.push(other);
  const client = await new RawMcp(mortal.node.url).initialize();
  await mortal.stall();
  const listening = await client.atNode(other.url).listen();
  const [session] = other.orchestrator.registry.list();
  const detached = new Promise<void>((resolve) => {
    session?.actor.subscribe((snapshot) => snapshot.matches({ active: 'detached' }) && resolve());
  });
  await listening.disconnect();
  await detached;
  clock.advance(60_000);
  await session?.ended;
  expect(session?.actor.getSnapshot().context.closedBecause).toBe('client-closed');
});

const died = [
  { transport: 'HTTP+SSE', hears: [404, { error: { data: { reason: 'closed', closedBecause: 'node-lost' } } }] },
  { transport: 'Streamable HTTP', hears: [200, { result: { content: [{ text: 'there' }] } }] },
] as const;

test.each(died)(
  '[C-TAKEOVER] $transport: what waits for a node that died is served when the takeover is over, though it is woken before',
  async ({ transport, hears }) => {
    const [store, tools, gate] = [new MemoryStore(systemClock), new TestTools(), new Gate()];
    const mortal = await startStallableNode(store, tools);
    let name = '';
    const late: StoreOverrides = {
      nodes: { renewLease: (node, ms) => store.nodes.renewLease((name = node), ms) },
      snapshots: { get: (sessionId) => gate.pass().then(() => store.snapshots.get(sessionId)) },
    };
    const other = await startNode(withOverrides(store, late), tools);
    const stream = await new RawSse(mortal.node.url).whenAnnounced();
    const client = await new RawMcp(mortal.node.url).initialize();
    const isSse = transport === 'HTTP+SSE';
    const sessionId = isSse ? stream.sessionId : client.sessionId;
    await mortal.stall();
    const posting = isSse
      ? postJson(`${other.url}/message?sessionId=${sessionId}`, echo(1, 'there'))
      : client.atNode(other.url).post(echo(1, 'there'), { accept: 'application/json, text/event-stream;q=0.5' });
    await gate.whenReached();
    await store.nodes.wake(name, sessionId);
    // Time enough for what waits to be taken out, and to be refused by who does not have the session yet.
    await Promise.all([send(`${other.url}/health`), nextTurn()]);
    gate.open();
    const { status, json } = await posting;
    expect([status, json]).toMatchObject(hears);
    await stream.disconnect();
  },
);
