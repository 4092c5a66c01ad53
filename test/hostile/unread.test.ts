import { connect as openSocket, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { noop } from '../../src/async.js';
import { ResponseMemory } from '../../src/mcp/responseMemory.js';
import type { Session } from '../../src/session/session.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const mebibyte = 1024 ** 2;
const limit = 32 * mebibyte;
const resourceBytes = 8 * mebibyte;
/** One answer of the size of the resource may be written past the limit, and its frame. */
const bound = limit + resourceBytes + mebibyte;

let served: TestServer;
beforeAll(async () => {
  served = await startTestServer({ tools: new TestTools().all });
});
afterAll(() => served.close());

const keptBytes = (): number => {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

async function largeResource(session: Session): Promise<string> {
  const data = Buffer.alloc(resourceBytes, 'x');
  return (await session.resources.add({ name: 'large.txt', mimeType: 'text/plain', data })).uri;
}

const read = (id: number, uri: string) => ({ jsonrpc: '2.0', id, method: 'resources/read', params: { uri } });

/** Watches a session until it is stopped: the most bytes that it owed, and by how much the process has grown. */
function watch({ memory }: Session) {
  const before = keptBytes();
  const peak = { owed: 0, growth: 0 };
  const stopped = new AbortController();
  const done = (async () => {
    while (!stopped.signal.aborted) {
      peak.owed = Math.max(peak.owed, memory.bytes);
      peak.growth = Math.max(peak.growth, keptBytes() - before);
      await nextTurn();
    }
  })();
  return async () => {
    stopped.abort();
    await done;
    return peak;
  };
}

const whenNothingIsOwed = async ({ memory }: Session): Promise<void> => {
  while (memory.bytes > 0) await nextTurn();
};

/** Posts over a socket of its own, of whose answer no more than the first bytes are read. */
async function postUnread(client: RawMcp, message: object, accept: string): Promise<{ socket: Socket; head: string }> {
  const { hostname, port, host } = new URL(client.address);
  const socket = openSocket(Number(port), hostname);
  socket.on('error', () => undefined);
  const body = JSON.stringify(message);
  const headers = {
    ...client.headers,
    accept,
    host,
    'content-type': 'application/json',
    'content-length': body.length,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  socket.write(`POST /mcp HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
  const head = await new Promise<string>((resolve) => {
    let text = '';
    const readMore = (): void => {
      text += String(socket.read() ?? '');
      if (!text.includes('"')) return;
      socket.off('readable', readMore).on('readable', noop);
      resolve(text);
    };
    socket.on('readable', readMore).once('close', () => resolve(text));
  });
  return { socket, head };
}

test.each([
  ['event streams', 'application/json;q=0.5, text/event-stream'],
  ['JSON', 'application/json, text/event-stream;q=0.5'],
])('400 posts for 8 MB each whose answers, as %s, nobody reads', async (_form, accept) => {
  const client = await new RawMcp(served.url, { version: '2025-06-18' }).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  const uri = await largeResource(session);
  const stop = watch(session);
  const posts = await Promise.all(Array.from({ length: 400 }, (_, id) => postUnread(client, read(id, uri), accept)));
  const { owed, growth } = await stop();
  expect(owed).toBeLessThan(bound);
  expect(growth).toBeLessThan(400 * mebibyte);
  const refused = posts.filter(({ head }) => head.includes('"reason":"queue_full"'));
  expect(refused.length).toBeGreaterThan(380);
  expect(posts.some(({ head }) => head.includes('large.txt'))).toBe(true);
  for (const { socket } of posts) socket.destroy();
  await whenNothingIsOwed(session);
  expect((await client.post({ jsonrpc: '2.0', id: 'later', method: 'ping' })).text).toContain('"result":{}');
  await client.disconnect();
});

test('a stream of events that is asked for again and again, and never read', async () => {
  const client = await new RawMcp(served.url).initialize();
  const session = served.orchestrator.registry.find(client.sessionId, 'anyone');
  for (let line = 0; line < 15; line += 1) session.server.log('info', 'x'.repeat(500_000));
  const stop = watch(session);
  const first = await client.listen();
  const { id } = (await first.when(({ events }) => events.length > 0)).events.find((event) => event.id !== '') ?? {
    id: '',
  };
  first.pause();
  let status: number | undefined = 200;
  for (let attempt = 0; attempt < 100 && status === 200; attempt += 1) {
    const again = await client.listen(id);
    again.pause();
    ({ status } = again);
  }
  expect(status).toBe(429);
  expect((await stop()).owed).toBeLessThan(2 * limit);
  await client.disconnect();
  await whenNothingIsOwed(session);
});

test.each([
  ['SSE', async () => sseReader(await new RawSse(served.url).whenInitialized())],
  ['WebSocket', async () => webSocketReader(await new RawWebSocket(served.url).whenInitialized())],
])('400 messages for 8 MB each over a stream that nobody reads: %s', async (_transport, open) => {
  const { sessionId, send, disconnect } = await open();
  const session = served.orchestrator.registry.find(sessionId, 'anyone');
  const uri = await largeResource(session);
  const stop = watch(session);
  for (let id = 0; id < 400 && session.state !== 'closed'; id += 1) await send(read(id, uri));
  await session.ended;
  expect(session.end.closedBecause).toBe('slow-client');
  const { owed, growth } = await stop();
  expect(owed).toBeLessThan(bound);
  expect(growth).toBeLessThan(400 * mebibyte);
  await disconnect();
  await whenNothingIsOwed(session);
});

function sseReader(stream: RawSse) {
  stream.pause();
  const { sessionId } = stream;
  return { sessionId, send: (message: object) => stream.post(message), disconnect: () => stream.disconnect() };
}

function webSocketReader(client: RawWebSocket) {
  client.socket.pause();
  const { sessionId, socket } = client;
  const send = async (message: object): Promise<void> => {
    client.send(message);
    await nextTurn();
  };
  const disconnect = async (): Promise<void> => socket.terminate();
  return { sessionId, send, disconnect };
}

test('unread bytes are bounded for a session, its user and all users; one answer of any size passes', () => {
  const memory = new ResponseMemory(100_000);
  const [mine] = [memory.open('anna')];
  const release = mine.reserve(250_000);
  expect(() => mine.reserve(1)).toThrow('Too many bytes of answers');
  expect(() => mine.checkRoom()).toThrow('Too many bytes of answers');
  expect(() => memory.open('anna').reserve(200_000)).toThrow('Too many bytes of answers');
  const releases = ['bert', 'carl', 'dora'].map((user) => memory.open(user).reserve(400_000));
  expect(() => memory.open('emil').reserve(200_000)).toThrow('Too many bytes of answers');
  memory.open('emil').reserve(1_000)();
  release();
  release();
  expect(mine.bytes).toBe(0);
  for (const releaseOther of releases) releaseOther();
  mine.reserve(400_000)();
});
