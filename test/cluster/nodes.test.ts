import type { ClusterStore } from '../../src/cluster/clusterStore.js';
import { postJson } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import type { TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { serveNode, useClusterNodes } from './clusterNodes.js';

const { kinds, nodes } = useClusterNodes();

/** Two nodes, each with a store of its own or one for both. */
async function twoNodes(stores: () => ClusterStore): Promise<[TestServer, TestServer, TestTools]> {
  const tools = new TestTools();
  const given = { tools: tools.all, options: { tools: ['all'] } };
  const [one, other] = [await serveNode(stores(), given), await serveNode(stores(), given)];
  nodes.push(one, other);
  return [one, other, tools];
}

describe.each(kinds)('two nodes over $name', ({ stores }) => {
  test('[C-NODES] what is posted at one node is done at the other, and answered on its stream', async () => {
    const [one, other] = await twoNodes(stores());
    const stream = await new RawSse(one.url).whenAnnounced();
    const elsewhere = new URL(stream.endpoint ?? '', other.url).href;
    const initialize = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } };
    const first = await postJson(elsewhere, { jsonrpc: '2.0', id: 1, method: 'initialize', params: initialize });
    expect([first.status, first.text]).toEqual([202, 'Accepted']);
    expect(await stream.answer(1)).toMatchObject({ result: { protocolVersion: '2025-11-25' } });
    for (let id = 2; id < 22; id += 1) {
      const params = { name: 'echo', arguments: { value: `${id} ä` } };
      const url = new URL(stream.endpoint ?? '', id % 2 === 0 ? one.url : other.url).href;
      const { status } = await postJson(url, { jsonrpc: '2.0', id, method: 'tools/call', params });
      expect(status).toBe(202);
    }
    const last = await stream.answer(21);
    expect(last).toMatchObject({ result: { content: [{ text: '21 ä' }] } });
    const ids = stream.messages.flatMap((message) => ('id' in message ? [message.id] : []));
    expect(ids.toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 21 }, (_, index) => index + 1));
    await stream.disconnect();
  });

  test('[C-NODES] refusals are those of one node, byte for byte', async () => {
    const [one, other, tools] = await twoNodes(stores());
    const stream = await new RawSse(one.url, { path: '/sse?userId=alice' }).whenAnnounced();
    await stream.initialize();
    await stream.post({
      jsonrpc: '2.0',
      id: 7,
      method: 'tools/call',
      params: { name: 'hold', arguments: { value: 'x' } },
    });
    const headers = { 'x-request-id': 'the-same' };
    const path = `/message?sessionId=${stream.sessionId}`;
    const ask = async (url: string, suffix: string, message: unknown) => {
      const { status, text, headers: head } = await postJson(`${url}${suffix}`, message, headers);
      const { date: _date, ...rest } = head;
      return { status, text, rest };
    };
    const cases: [string, unknown][] = [
      [path, { jsonrpc: '2.0', id: 7, method: 'ping' }],
      [path, { no: 'message' }],
      [path, [{ jsonrpc: '2.0', id: 8, method: 'ping' }]],
      [`${path}&userId=bob`, { jsonrpc: '2.0', id: 8, method: 'ping' }],
      ['/message', { jsonrpc: '2.0', id: 8, method: 'ping' }],
      ['/message?sessionId=nobody', { jsonrpc: '2.0', id: 8, method: 'ping' }],
      [path, { jsonrpc: '2.0', id: 9, method: 'ping', params: {} }],
    ];
    for (const [suffix, message] of cases) {
      expect(await ask(other.url, suffix, message)).toEqual(
        await ask(one.url, suffix, message === cases[6]?.[1] ? { ...(message as object), id: 10 } : message),
      );
    }
    const mcp = { 'mcp-session-id': stream.sessionId, accept: 'application/json, text/event-stream', ...headers };
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    const [here, there] = await Promise.all([one, other].map(({ url }) => postJson(`${url}/mcp`, ping, mcp)));
    expect([there?.status, there?.text]).toEqual([here?.status, here?.text]);
    tools.releaseCalls();
    await stream.disconnect();
    for (const session of one.orchestrator.registry.list()) await session.ended;
  });

  test('[C-NODES] Streamable HTTP needs no stickiness: POST, GET with and without Last-Event-ID, DELETE', async () => {
    const [one, other] = await twoNodes(stores());
    const client = new RawMcp(one.url);
    await client.initialize();
    const away = new RawMcp(other.url);
    away.sessionId = client.sessionId;
    const call = { name: 'echo', arguments: { value: 'there' } };
    const asked = await away.sendRequest({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: call });
    await asked.whenClosed();
    expect(asked.messages).toMatchObject([{ id: 2, result: { content: [{ text: 'there' }] } }]);
    expect([asked.status, asked.headers['content-type']]).toEqual([200, 'text/event-stream']);
    // Lost after its first event, and gone on with at the other node.
    const primed = asked.events[0]?.id ?? '';
    const resumed = await client.listen(primed);
    await resumed.whenClosed();
    expect(resumed.messages).toEqual(asked.messages);
    const listening = await away.listen();
    one.orchestrator.registry.list()[0]?.server.log('warning', 'told');
    await listening.when(({ messages }) => messages.length > 0);
    expect(listening.messages).toMatchObject([{ params: { data: 'told' } }]);
    expect((await away.delete()).status).toBe(204);
    await listening.whenClosed();
    const [here, there] = await Promise.all(
      [one, other].map(({ url }) =>
        postJson(
          `${url}/mcp`,
          { jsonrpc: '2.0', id: 3, method: 'ping' },
          { ...client.headers, 'x-request-id': 'same' },
        ),
      ),
    );
    expect(here?.status).toBe(404);
    expect([there?.status, there?.text]).toEqual([here?.status, here?.text]);
  });

  test('[S5] a client that leaves at one node is noticed at the other', async () => {
    const [one, other] = await twoNodes(stores());
    const client = new RawMcp(one.url);
    await client.initialize();
    const away = new RawMcp(other.url);
    away.sessionId = client.sessionId;
    const listening = await away.listen();
    const [session] = one.orchestrator.registry.list();
    const detached = new Promise<void>((resolve) => {
      session?.actor.subscribe((snapshot) => snapshot.matches({ active: 'detached' }) && resolve());
    });
    await listening.disconnect();
    await detached;
    expect(session?.state).toBe('active');
    session?.close('operator-closed');
    await session?.ended;
  });
});
