import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import { defineTool } from '../../../src/tools/defineTool.js';
import { call, initialize, ping } from '../../support/messages.js';
import { RawMcp } from '../../support/rawMcp.js';
import { RawSse } from '../../support/rawSse.js';
import { RawWebSocket } from '../../support/rawWebSocket.js';
import { StatelessClient } from '../../support/statelessClient.js';

/** Where a client goes, and as whom. */
export interface Door {
  readonly url: string;
  readonly user: string;
}

/** Comes and goes. Rejects if a whole visit was not answered as it has to be. */
export type ShortVisit = (door: Door) => Promise<void>;

/** Does its worst, and stays until what it resolves with is called, which cuts its connections. */
export type Intruder = (door: Door) => Promise<() => Promise<void>>;

/** Keeps a resource of as many bytes as it is asked for, which pictures and traces are in earnest. */
const keepTool = defineTool({
  name: 'keep',
  group: 'session',
  description: 'Keeps a resource.',
  input: z.object({ bytes: z.number() }).strict(),
  output: z.object({ uri: z.string() }),
  annotations: { readOnlyHint: true },
  needs: 'nothing',
  handler: async ({ bytes }, { resources }) => {
    const data = Buffer.alloc(bytes, 'x');
    const { uri } = await resources.add({ name: 'kept.txt', mimeType: 'text/plain', data });
    return { text: uri, structured: { uri } };
  },
});

/** Answers as many bytes as it is asked for. */
const largeTool = defineTool({
  name: 'large',
  group: 'session',
  description: 'Answers at length.',
  input: z.object({ bytes: z.number() }).strict(),
  output: z.object({ value: z.string() }),
  annotations: { readOnlyHint: true },
  needs: 'nothing',
  handler: ({ bytes }) => Promise.resolve({ text: 'x'.repeat(bytes), structured: { value: '' } }),
});

/** Ends with its session. */
const holdTool = defineTool({
  name: 'hold',
  group: 'session',
  description: 'Never answers.',
  input: z.object({}).strict(),
  output: z.object({ value: z.string() }),
  annotations: { readOnlyHint: true },
  needs: 'nothing',
  handler: async (_args, { signal }) => {
    await once(signal, 'abort');
    return { text: '', structured: { value: '' } };
  },
});

/** What the clients of the crowd call. */
export const crowdTools = [keepTool, largeTool, holdTool];

const accept = 'accept: application/json, text/event-stream\r\n';
const json = 'content-type: application/json\r\n';

const at = ({ user }: Door, path: string): string => `${path}?userId=${user}`;

/** Bytes on a socket of their own, of whose answer nothing is read but that it came. */
function socketTo(url: string, bytes: string): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => undefined);
  socket.write(bytes);
  return socket;
}

const head = ({ url }: Door, verb: string, path: string, more = ''): string =>
  `${verb} ${path} HTTP/1.1\r\nhost: ${new URL(url).host}\r\n${accept}${more}`;

async function cutOff(door: Door, bytes: string, when: 'connect' | 'data' | 'close'): Promise<void> {
  const socket = socketTo(door.url, bytes);
  const over = once(socket, 'close');
  socket.resume();
  await Promise.race([once(socket, when), over]).catch(() => undefined);
  socket.destroy();
  await over;
}

const posted = (door: Door, path: string, text: string, sent = text): string =>
  `${head(door, 'POST', path, `${json}content-length: ${text.length}\r\n`)}\r\n${sent}`;

const upgrade = (door: Door): string =>
  head(
    door,
    'GET',
    at(door, '/ws'),
    `connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${Buffer.alloc(16, 'k').toString('base64')}\r\nsec-websocket-protocol: mcp\r\n`,
  );

function expectResult(answer: unknown): void {
  const text = JSON.stringify(answer);
  if (!/"result\\?"/.test(text)) throw new Error(text.slice(0, 500));
}

const opening = JSON.stringify(initialize(1));

export const shortVisits: Readonly<Record<string, ShortVisit>> = {
  'SSE, whole': async (door) => {
    const stream = await new RawSse(door.url, { path: at(door, '/sse') }).whenAnnounced();
    await stream.initialize();
    expectResult(await stream.call(1, 'ping'));
    await stream.disconnect();
  },
  'SSE, gone when announced': async (door) => {
    const stream = await new RawSse(door.url, { path: at(door, '/sse') }).whenAnnounced();
    await stream.disconnect();
  },
  'SSE, gone before its answer': (door) => cutOff(door, `${head(door, 'GET', at(door, '/sse'))}\r\n`, 'connect'),
  'Streamable HTTP, whole': async (door) => {
    const client = await new RawMcp(door.url, { path: at(door, '/mcp') }).initialize();
    expectResult((await client.post(ping(1))).text);
    await client.delete();
    await client.disconnect();
  },
  'Streamable HTTP, gone without a word': async (door) => {
    const client = await new RawMcp(door.url, { path: at(door, '/mcp') }).initialize();
    await client.disconnect();
  },
  'Streamable HTTP, half a body': (door) =>
    cutOff(door, posted(door, at(door, '/mcp'), opening, opening.slice(0, 50)), 'connect'),
  'Streamable HTTP, gone before its answer': (door) => cutOff(door, posted(door, at(door, '/mcp'), opening), 'connect'),
  '2026-07-28, whole': async ({ url, user }) => {
    expectResult((await new StatelessClient(url, `/mcp?userId=${user}`).request('server/discover')).response);
  },
  '2026-07-28, gone before its answer': async ({ url, user }) => {
    const { head: answered, close } = new StatelessClient(url, `/mcp?userId=${user}`).stream('tools/list');
    await Promise.race([answered, nextTurn()]).catch(() => undefined);
    close();
  },
  'WebSocket, whole': async (door) => {
    const socket = await new RawWebSocket(door.url, { path: at(door, '/ws') }).whenInitialized();
    expectResult(await socket.call(1, 'ping'));
    await socket.disconnect();
  },
  'WebSocket, gone when open': async (door) => {
    const socket = await new RawWebSocket(door.url, { path: at(door, '/ws') }).whenAnnounced();
    socket.socket.terminate();
    await socket.closed;
  },
  'WebSocket, half a handshake': (door) => cutOff(door, upgrade(door), 'connect'),
  'WebSocket, half a frame': async (door) => {
    const socket = socketTo(door.url, `${upgrade(door)}\r\n`);
    const over = once(socket, 'close');
    await Promise.race([once(socket, 'data'), over]);
    // A masked text of 60,000 bytes, of which four come.
    socket.write(Buffer.from([0x81, 0xfe, 0xea, 0x60, 1, 2, 3, 4, 5, 6, 7, 8]));
    socket.destroy();
    await over;
  },
  'what is no HTTP': (door) => cutOff(door, `\u0016\u0003\u0001 hello ${'x'.repeat(200)}\r\n\r\n`, 'close'),
};

const mebibyte = 1024 ** 2;
const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;

/** What no client may send, as text. */
const oddMessages = [
  `{"jsonrpc":"2.0","id":"${'i'.repeat(60_000)}","method":"ping"}`,
  `{"jsonrpc":"2.0","id":${'9'.repeat(400)},"method":"ping"}`,
  `{"jsonrpc":"2.0","id":1,"method":"${'m'.repeat(60_000)}"}`,
  `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${nested(200_000)}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[${'0,'.repeat(300_000)}0]}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"keep","_meta":{"progressToken":${nested(50_000)}}}}`,
  `[${'{"jsonrpc":"2.0","id":1,"method":"ping"},'.repeat(20_000)}1]`,
  `{"jsonrpc":"2.0","id":1,"result":{"a":${nested(50_000)}}}`,
];

const openStreamable = (door: Door): Promise<RawMcp> => new RawMcp(door.url, { path: at(door, '/mcp') }).initialize();
const openSocket = (door: Door): Promise<RawWebSocket> =>
  new RawWebSocket(door.url, { path: at(door, '/ws'), options: { autoPong: false } }).whenInitialized();

async function openSse(door: Door): Promise<RawSse> {
  const stream = await new RawSse(door.url, { path: at(door, '/sse') }).whenAnnounced();
  await stream.initialize();
  return stream;
}

/** Does something up to so many times, until the server refuses it or has ended the session. */
async function untilRefused(times: number, once: (turn: number) => Promise<{ readonly status: number | undefined }>) {
  for (let turn = 0; turn < times; turn += 1) {
    const { status } = await once(turn).catch(() => ({ status: 0 }));
    if (status !== 200 && status !== 202) return;
  }
}

const destroyAll = (sockets: readonly Socket[]) => async (): Promise<void> => {
  for (const socket of sockets) socket.destroy();
};

const terminate = (socket: RawWebSocket) => async (): Promise<void> => {
  socket.socket.terminate();
  await socket.closed;
};

export const intruders: Readonly<Record<string, Intruder>> = {
  'SSE that is not read': async (door) => {
    const stream = await openSse(door);
    stream.pause();
    await untilRefused(40, (id) => stream.post(call(id, 'large', { bytes: mebibyte })));
    return () => stream.disconnect();
  },
  'a WebSocket that is not read': async (door) => {
    const socket = await openSocket(door);
    socket.socket.pause();
    for (let id = 0; id < 60; id += 1) socket.send(call(id, 'large', { bytes: mebibyte }));
    return terminate(socket);
  },
  'resources that are asked for and not read': async (door) => {
    const client = await openStreamable(door);
    const kept = await client.post(call(1, 'keep', { bytes: 4 * mebibyte }));
    const params = { uri: /greenroom:[\w/-]+/.exec(kept.text)?.[0] ?? '' };
    const text = JSON.stringify({ jsonrpc: '2.0', id: 2, method: 'resources/read', params });
    const own = Object.entries(client.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
    const request = posted(door, at(door, '/mcp'), text).replace(accept, own.join(''));
    const sockets = Array.from({ length: 40 }, () => socketTo(door.url, request).pause());
    return async () => {
      await destroyAll(sockets)();
      await client.disconnect();
    };
  },
  'pings without end, and no pong': async (door) => {
    const socket = await openSocket(door);
    socket.socket.pause();
    for (let sent = 0; sent < 2_000; sent += 1) {
      socket.socket.ping(Buffer.alloc(125));
      socket.socket.pong(Buffer.alloc(125));
    }
    return terminate(socket);
  },
  'ids, depths and lists beyond measure, by POST': async (door) => {
    const client = await openStreamable(door);
    for (const text of oddMessages) await client.postText(text).catch(() => undefined);
    return () => client.disconnect();
  },
  'ids, depths and lists beyond measure, by WebSocket': async (door) => {
    const socket = await openSocket(door);
    for (const text of oddMessages) socket.send(text);
    return terminate(socket);
  },
  'bodies that come a byte at a time': async (door) => {
    const text = ' '.repeat(mebibyte);
    const sockets = Array.from({ length: 8 }, () => socketTo(door.url, posted(door, at(door, '/mcp'), text, ' ')));
    const drip = setInterval(() => {
      for (const socket of sockets) if (!socket.destroyed) socket.write(' ');
    }, 200);
    return async () => {
      clearInterval(drip);
      await destroyAll(sockets)();
    };
  },
  'progress tokens': async (door) => {
    const stream = await openSse(door);
    await untilRefused(60, (id) => {
      const { params, ...rest } = call(id, 'hold');
      return stream.post({ ...rest, params: { ...params, _meta: { progressToken: `${id}${'t'.repeat(900)}` } } });
    });
    return () => stream.disconnect();
  },
  subscriptions: async (door) => {
    const client = await openStreamable(door);
    await untilRefused(40, async (id) => {
      const params = { uri: `greenroom://resources/${id}/${'u'.repeat(2_000)}` };
      return client.post({ jsonrpc: '2.0', id, method: 'resources/subscribe', params });
    });
    const stateless = new StatelessClient(door.url, at(door, '/mcp'));
    const streams = Array.from({ length: 20 }, () =>
      stateless.stream('subscriptions/listen', { params: { notifications: { toolsListChanged: true } } }),
    );
    await Promise.allSettled(streams.map((stream) => stream.head));
    return async () => {
      for (const stream of streams) stream.close();
      await client.disconnect();
    };
  },
  'streams that are asked for again': async (door) => {
    const client = await openStreamable(door);
    await untilRefused(60, async () => {
      const stream = await client.listen();
      stream.pause();
      return stream;
    });
    return () => client.disconnect();
  },
  'answers and cancellations of nothing': async (door) => {
    const socket = await openSocket(door);
    for (let id = 0; id < 1_000; id += 1) {
      socket.send({ jsonrpc: '2.0', id, result: {} });
      const params = { requestId: id, progressToken: id, progress: id, reason: 'r'.repeat(500) };
      socket.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params });
      socket.send({ jsonrpc: '2.0', method: 'notifications/progress', params });
    }
    return terminate(socket);
  },
  'two requests in one': async (door) => {
    const bodies = [
      `${head(door, 'POST', at(door, '/mcp'), `${json}content-length: 5\r\ntransfer-encoding: chunked\r\n`)}\r\n0\r\n\r\nGET /api/users HTTP/1.1\r\n\r\n`,
      `${head(door, 'POST', at(door, '/mcp'), `${json}content-length: 5\r\ncontent-length: 6\r\n`)}\r\n{}`,
      `${head(door, 'POST', at(door, '/mcp'), `${json}transfer-encoding: chunked\r\n`)}\r\nffffffffffffffff\r\n`,
      `${head(door, 'GET', at(door, '/sse'), `x: ${'h'.repeat(60_000)}\r\n`)}\r\n`,
    ];
    return destroyAll(bodies.map((bytes) => socketTo(door.url, bytes)));
  },
  'browsers by their handles': async (door) => {
    const client = new StatelessClient(door.url, at(door, '/mcp'));
    await untilRefused(5, async () => {
      const { status, response } = await client.call('open_browser');
      return { status: response.error === undefined ? status : 429 };
    });
    return () => Promise.resolve();
  },
};

/** Those that need a page. */
export const pageIntruders: Readonly<Record<string, Intruder>> = {
  'mock rules': async (door) => {
    const rule = { action: 'add', url: 'https://x.example/*', status: 200, body: 'b'.repeat(mebibyte) };
    return fillPage(door, (id) => call(id, 'mock_network', rule));
  },
  'init scripts': async (door) => {
    const script = `/*${'s'.repeat(100_000)}*/`;
    return fillPage(door, (id) => call(id, 'add_init_script', { script }));
  },
  'what a page says': async (door) => {
    const source = "() => { for (let i = 0; i < 200; i++) console.log(i, 'c'.repeat(5000)); return 'x'.repeat(2e6); }";
    return fillPage(door, (id) => call(id, 'evaluate_script', { function: source }), 5);
  },
};

async function fillPage(door: Door, message: (id: number) => object, times = 20): Promise<() => Promise<void>> {
  const client = await openStreamable(door);
  await client.post(call('page', 'new_page', { url: 'about:blank' }));
  await untilRefused(times, async (id) => {
    const { text } = await client.post(message(id));
    return { status: text.includes('"isError":true') || text.includes('"error"') ? 429 : 200 };
  });
  return () => client.disconnect();
}
