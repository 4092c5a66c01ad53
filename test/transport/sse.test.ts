import { once } from 'node:events';
import { createServer, type Server as HttpServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import { systemClock, type Clock } from '../../src/clock.js';
import { Refusal } from '../../src/errors/errors.js';
import { parseMessage, type JSONRPCMessage } from '../../src/mcp/protocol.js';
import { SseTransport } from '../../src/transport/sse.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { Gate, nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { connectClient, startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

interface BareServer {
  readonly url: string;
  readonly http: HttpServer;
  /** The transport of the next stream that is opened, and the answer it writes to. */
  readonly accepted: Promise<{ transport: SseTransport; response: ServerResponse }>;
}

/** One SSE transport with no session behind it. Messages that are posted go to its `onmessage`. */
async function startBareServer(clock: Clock, maxPendingBytes = 1_000): Promise<BareServer> {
  let accept: (accepted: { transport: SseTransport; response: ServerResponse }) => void;
  let transport: SseTransport | undefined;
  const accepted: BareServer['accepted'] = new Promise((resolve) => (accept = resolve));
  const http = createServer((request, response) => {
    if (request.method === 'GET') {
      transport = new SseTransport(response, { messagePath: '/message', clock, maxPendingBytes });
      accept({ transport, response });
      return;
    }
    request.setEncoding('utf8');
    void request.toArray().then((chunks) => {
      void transport?.onmessage?.(parseMessage(JSON.parse(chunks.join(''))));
      response.writeHead(202).end();
    });
  });
  await once(http.listen(0, '127.0.0.1'), 'listening');
  return { http, accepted, url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` };
}

async function stopServer({ http }: BareServer): Promise<void> {
  http.closeAllConnections();
  await once(http.close(), 'close');
}

const notice = (data: string) => ({ jsonrpc: '2.0', method: 'notifications/message', params: { data } }) as const;

test('[C-SSE] the official client initialises, pings, lists tools, calls one, and leaves nothing behind', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const client = await connectClient(served.url);
  await expect(client.ping()).resolves.toEqual({});
  expect((await client.listTools()).tools.map(({ name }) => name)).toContain('echo');
  const answer = await client.callTool({ name: 'echo', arguments: { value: 'hello' } });
  expect(answer).toMatchObject({ content: [{ type: 'text', text: 'hello' }], structuredContent: { value: 'hello' } });
  expect(await served.orchestrator.health()).toMatchObject({ sessions: { total: 1, active: 1 } });
  await client.close();
  await served.close();
});

test("[C-SSE] the SDK's own server works behind the transport", async () => {
  const given = await startBareServer(systemClock);
  // oxlint-disable-next-line typescript/no-deprecated -- the low-level server is the one whose contract this is
  const server = new Server({ name: 'sdk', version: '1' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [{ name: 'a', inputSchema: { type: 'object' } }] }));
  const client = new Client({ name: 'test', version: '1' });
  const connected = client.connect(new SSEClientTransport(new URL('/sse', given.url)));
  const { transport, response } = await given.accepted;
  const send = (message: JSONRPCMessage): Promise<void> => {
    transport.deliver(message);
    return Promise.resolve();
  };
  await server.connect(Object.assign(transport, { start: () => Promise.resolve(), send }));
  transport.announce('an-id');
  await connected;
  expect((await client.listTools()).tools).toMatchObject([{ name: 'a' }]);
  const closed = new Promise<void>((resolve) => (server.onclose = resolve));
  await client.close();
  await closed;
  const { bytesWritten } = response.req.socket;
  transport.deliver(notice('late'));
  expect([response.writableLength, response.req.socket.bytesWritten]).toEqual([0, bytesWritten]);
  await stopServer(given);
});

test('[C-SSE] keep-alive comments go out every 15 s once the stream is announced, and stop with it', async () => {
  const clock = new ManualClock();
  const served = await startTestServer({ clock, options: { initializeTimeout: '1h', setupTimeout: '1h' } });
  served.pool.holdLeases();
  const stream = new RawSse(served.url);
  await served.pool.whenWaiting();
  clock.advance(29_000);
  served.pool.releaseLeases();
  await stream.whenAnnounced();
  expect(stream.comments).toEqual([]);
  clock.advance(15_000);
  await stream.when(({ comments }) => comments.length === 1);
  clock.advance(14_999);
  clock.advance(1);
  await stream.when(({ comments }) => comments.length === 2);
  expect(stream.headers).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-cache, no-transform',
  });
  await stream.disconnect();
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[S5] a client that hangs up before it is announced leaves nothing behind, also what opens late', async () => {
  const served = await startTestServer();
  served.pool.holdLeases();
  const stream = new RawSse(served.url);
  await served.pool.whenWaiting();
  const [session] = served.orchestrator.registry.list();
  await stream.disconnect();
  await session?.ended;
  expect(served.orchestrator.registry.list()).toEqual([]);
  served.pool.releaseLeases();
  await nextTurn();
  expect([served.pool.opened.length, served.pool.closed.length]).toEqual([1, 1]);
  await served.close();
});

test('[S5] streams that are pipelined on one connection all end with it', async () => {
  const served = await startTestServer();
  const { hostname, port } = new URL(served.url);
  const socket = connect(Number(port), hostname);
  socket.write(`GET /sse HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`.repeat(3));
  await once(socket, 'data');
  const sessions = served.orchestrator.registry.list();
  expect(sessions).toHaveLength(3);
  socket.destroy();
  await Promise.all(sessions.map((session) => session.ended));
  expect(served.orchestrator.registry.list()).toEqual([]);
  await served.close();
});

test('[S5] a legacy client that comes again has a new session at once, while the old one is still being released', async () => {
  const releasing = new Gate();
  class SlowPool extends FakeBrowserPool {
    override lease(...given: Parameters<FakeBrowserPool['lease']>): BrowserLease {
      const lease = super.lease(...given);
      return { ...lease, release: () => releasing.pass().then(() => lease.release()) };
    }
  }
  const served = await startTestServer({ pool: new SlowPool(), options: { maxSessionsPerUser: 2 } });
  const streams = [await new RawSse(served.url).whenInitialized()];
  for (let round = 1; round <= 20; round += 1) {
    const [old] = served.orchestrator.registry.list();
    // It is back before the server can have heard that it was gone.
    const gone = streams.at(-1)?.disconnect();
    streams.push(await new RawSse(served.url).whenInitialized());
    await Promise.all([gone, old?.closed, releasing.whenReached(round)]);
  }
  expect(new Set(streams.map(({ sessionId }) => sessionId)).size).toBe(21);
  expect([served.pool.opened.length, served.pool.closed.length]).toEqual([21, 0]);
  releasing.open();
  await streams.at(-1)?.disconnect();
  await served.close();
});

test('[S10] a client that does not read is given up at the bound of waiting bytes', async () => {
  const [bound, message] = [200_000, notice('x'.repeat(10_000))];
  const given = await startBareServer(systemClock, bound);
  const stream = new RawSse(given.url);
  const { transport, response } = await given.accepted;
  const errors: Error[] = [];
  let closings = 0;
  transport.onerror = (error) => void errors.push(error);
  transport.onclose = () => void (closings += 1);
  transport.announce('an-id');
  await stream.whenAnnounced();
  stream.pause();
  let [most, sent] = [0, 0];
  // What the kernel's buffers take is not known; more than this they do not.
  for (; closings === 0 && sent < 5_000; sent += 1) {
    transport.deliver(message);
    most = Math.max(most, response.writableLength);
    if (sent % 10 === 0) await nextTurn();
  }
  expect([closings, transport.closedBecause, errors.length]).toEqual([1, 'slow-client', 1]);
  expect(most).toBeLessThanOrEqual(bound + JSON.stringify(message).length + 100);
  transport.deliver(message);
  transport.end({ closedBecause: 'slow-client', refusal: new Refusal('closed') });
  expect([closings, response.destroyed]).toEqual([1, true]);
  await stream.disconnect();
  await stopServer(given);
});

test('[S5] a client that does not read keeps neither socket nor bytes once its session has ended', async () => {
  const clock = new ManualClock();
  const given = await startBareServer(clock, Number.POSITIVE_INFINITY);
  const stream = new RawSse(given.url);
  const { transport, response } = await given.accepted;
  transport.announce('an-id');
  await stream.whenAnnounced();
  stream.pause();
  // More than the kernel's buffers take.
  for (let sent = 0; sent < 40; sent += 1) transport.deliver(notice('x'.repeat(1_000_000)));
  const cut = once(response, 'close');
  transport.end({ closedBecause: 'operator-closed', refusal: new Refusal('closed') });
  clock.advance(4_999);
  expect(response.destroyed).toBe(false);
  clock.advance(1);
  await cut;
  expect(clock.pending).toBe(0);
  await stream.disconnect();
  await stopServer(given);
});

test('[S10] the session of a client that does not read ends as slow-client; its neighbours do not notice', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const [slow, other] = [
    await new RawSse(served.url).whenInitialized(),
    await new RawSse(served.url).whenInitialized(),
  ];
  const session = served.orchestrator.registry.find(slow.sessionId, 'anyone');
  slow.pause();
  let [isOver, id] = [false, 0];
  void session.closed.then(() => (isOver = true));
  const params = { name: 'large', arguments: { bytes: 2_000_000 } };
  for (; !isOver && id < 50; id += 1) await slow.post({ jsonrpc: '2.0', id, method: 'tools/call', params });
  await session.ended;
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await slow.post(ping)).json).toMatchObject({ error: { data: { closedBecause: 'slow-client' } } });
  expect(await other.call(1, 'ping')).toMatchObject({ result: {} });
  await Promise.all([slow.disconnect(), other.disconnect()]);
  await served.close();
});
