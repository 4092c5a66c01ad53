import { runInThisContext } from 'node:vm';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import { WebSocket } from 'ws';
import { initialize, ping } from '../support/messages.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, whenAllEnded } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

// The official client takes the WebSocket of its global object, which is Node's own. Node 20 has none.
Object.assign(runInThisContext('globalThis'), { WebSocket });

test('[C-WS] the official client initialises, pings, lists tools, calls one, and leaves nothing behind', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const client = new Client({ name: 'test-client', version: '1.0.0' });
  const errors: Error[] = [];
  client.onerror = (error) => void errors.push(error);
  await client.connect(new WebSocketClientTransport(new URL('/ws', served.url.replace('http', 'ws'))));
  await expect(client.ping()).resolves.toEqual({});
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain('echo');
  const answer = await client.callTool({ name: 'echo', arguments: { value: 'hello' } });
  expect(answer).toMatchObject({ structuredContent: { value: 'hello' } });
  expect(served.orchestrator.registry.list().map((session) => session.facts().transport)).toEqual(['websocket']);
  const ended = whenAllEnded(served);
  await client.close();
  await ended;
  expect(errors).toEqual([]);
  await served.close();
});

test('[S1] 100 sockets that initialise in the tick of the 101 each get the version of their own', async () => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const versions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];
  const sockets = Array.from({ length: 100 }, (_, index) => {
    const version = versions[index % 4] ?? '';
    const path = `/ws?userId=user-${index}`;
    return {
      version,
      socket: new RawWebSocket(served.url, { path, onOpen: (open) => open.send(initialize('first', version)) }),
    };
  });
  await served.pool.whenWaiting(100);
  served.pool.releaseLeases();
  for (const { socket, version } of sockets) {
    expect(await socket.answer('first')).toMatchObject({ result: { protocolVersion: version } });
    expect(socket.frames).toHaveLength(1);
  }
  const listed = served.orchestrator.registry.list();
  sockets.forEach(({ socket, version }, index) => {
    const session = listed.find(({ id }) => id === socket.sessionId);
    expect([session?.user, session?.server.protocolVersion]).toEqual([`user-${index}`, version]);
  });
  await Promise.all(sockets.map(({ socket }) => socket.disconnect()));
  await served.close();
});

test('[C-ISOLATION] what one socket negotiates and sets does not touch its neighbour', async () => {
  const served = await startTestServer();
  const [old, recent] = [new RawWebSocket(served.url), new RawWebSocket(served.url)];
  await Promise.all([old.whenAnnounced(), recent.whenAnnounced()]);
  for (const [socket, version] of [
    [old, '2024-11-05'],
    [recent, '2025-06-18'],
  ] as const)
    socket.send(initialize('first', version));
  await Promise.all([old.answer('first'), recent.answer('first')]);
  await old.call(1, 'logging/setLevel', { level: 'error' });
  await recent.call(1, 'logging/setLevel', { level: 'debug' });
  const facts = ({ sessionId }: RawWebSocket) => {
    const { server } = served.orchestrator.registry.find(sessionId, 'anyone');
    return [server.protocolVersion, server.logLevel];
  };
  expect([facts(old), facts(recent)]).toEqual([
    ['2024-11-05', 'error'],
    ['2025-06-18', 'debug'],
  ]);
  await Promise.all([old.disconnect(), recent.disconnect()]);
  await served.close();
});

test('[S4] ten calls at once on each of ten sockets are answered once each, to the one who asked', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const sockets = await Promise.all(Array.from({ length: 10 }, () => new RawWebSocket(served.url).whenInitialized()));
  const ids = Array.from({ length: 10 }, (_, index) => index);
  for (const id of ids) {
    for (const socket of sockets) {
      const params = { name: 'echo', arguments: { value: `${socket.sessionId} ${id}` } };
      socket.send({ jsonrpc: '2.0', id, method: 'tools/call', params });
    }
  }
  for (const socket of sockets) {
    await socket.when(({ frames }) => frames.length === 10);
    const values = socket.messages.map((message) => JSON.stringify(message));
    for (const id of ids)
      expect(values.filter((value) => value.includes(`"${socket.sessionId} ${id}"`))).toHaveLength(1);
  }
  await Promise.all(sockets.map((socket) => socket.disconnect()));
  await served.close();
});

test('[S4] a long call holds up neither ping nor its own cancellation; messages are handed over in their order', async () => {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all });
  const socket = await new RawWebSocket(served.url).whenInitialized();
  socket.send({ jsonrpc: '2.0', id: 'long', method: 'tools/call', params: { name: 'hold', arguments: {} } });
  for (let id = 0; id < 50; id += 1) socket.send(ping(id));
  await socket.when(({ frames }) => frames.length === 50);
  expect(socket.messages.map((message) => 'id' in message && message.id)).toEqual(
    Array.from({ length: 50 }, (_, id) => id),
  );
  socket.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'long' } });
  await socket.call('after', 'ping');
  expect(tools.held[0]?.context.signal.aborted).toBe(true);
  tools.releaseCalls();
  await socket.disconnect();
  await served.close();
  expect(socket.frames).toHaveLength(51);
});

test.each([
  ['not JSON', '{"jsonrpc":', -32700, null],
  ['nothing', '', -32700, null],
  ['not JSON-RPC', '{"hello":1}', -32600, null],
  ['a batch', JSON.stringify([ping(1)]), -32600, null],
  ['a request with a wrong "params"', '{"jsonrpc":"2.0","id":7,"method":"ping","params":1}', -32600, 7],
])('[C-WS] a frame that is %s is answered with an error, and the session goes on', async (_, frame, code, id) => {
  const served = await startTestServer();
  const socket = await new RawWebSocket(served.url).whenInitialized();
  socket.send(frame);
  await socket.when(({ frames }) => frames.length === 1);
  expect(JSON.parse(socket.frames[0] ?? '')).toMatchObject({ jsonrpc: '2.0', id, error: { code } });
  expect(await socket.call('next', 'ping')).toMatchObject({ result: {} });
  await socket.disconnect();
  await served.close();
});

test('[C-WS] an id that is in flight already is refused, and the request that has it is not disturbed', async () => {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all });
  const socket = await new RawWebSocket(served.url).whenInitialized();
  const request = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'hold', arguments: {} } };
  socket.send(request);
  socket.send(request);
  expect(await socket.answer(1)).toMatchObject({ error: { data: { reason: 'invalid_message' } } });
  tools.releaseCalls();
  await socket.when(({ frames }) => frames.length === 2);
  expect(socket.messages[1]).toMatchObject({ id: 1, result: { structuredContent: { value: 'held' } } });
  await socket.disconnect();
  await served.close();
});

test('[C-WS] compression is not agreed to, whatever the client offers', async () => {
  const served = await startTestServer();
  const socket = await new RawWebSocket(served.url, { options: { perMessageDeflate: true } }).whenAnnounced();
  expect([socket.socket.extensions, socket.headers['sec-websocket-extensions']]).toEqual(['', undefined]);
  await socket.disconnect();
  await served.close();
});
