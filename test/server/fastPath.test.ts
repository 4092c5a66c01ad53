import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import express from 'express';
import { send, type SendOptions } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

/** One server, reached as it listens itself and mounted in somebody's app that has read the body already. */
let served: TestServer;
let mounted: string;
let close: () => Promise<void>;

beforeAll(async () => {
  served = await startTestServer({ options: { bodyLimit: 10_000 } });
  const outer = express().disable('x-powered-by').use(express.json(), served.orchestrator.app);
  const server = createServer((request, response) => void outer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  mounted = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  close = async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  };
});
afterAll(async () => {
  await close();
  await served.close();
});

const json = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' };
const ping = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' });

const sendings: [string, string, SendOptions][] = [
  ['a message to nobody', '/message', { method: 'POST', headers: json, body: ping }],
  ['a message to a session that never was', '/message?sessionId=x', { method: 'POST', headers: json, body: ping }],
  ['a request without a session', '/mcp', { method: 'POST', headers: json, body: ping }],
  ['a session that never was', '/mcp', { method: 'DELETE', headers: { 'mcp-session-id': 'x' } }],
  ['a stream of nobody', '/mcp', { headers: { accept: 'text/event-stream' } }],
  ['no media type', '/message', { method: 'POST', body: ping }],
  ['a verb that is not there', '/message', { method: 'PUT', headers: json, body: ping }],
  ['a HEAD of a stream', '/sse', { method: 'HEAD' }],
  ['a HEAD of streams', '/mcp', { method: 'HEAD' }],
  ['a path in capitals', '/MESSAGE', { method: 'POST', headers: json, body: ping }],
  ['a path with a slash', '/mcp/?x', { method: 'POST', headers: json, body: ping }],
  ['a path that cannot be decoded', '/%E0%A4%A', {}],
  ['a foreign host', '/sse', { headers: { host: 'rebind.example' } }],
  ['a foreign origin', '/mcp', { method: 'POST', headers: { ...json, origin: 'https://evil.example' }, body: ping }],
];

test.each(sendings)(
  '%s: the front of a server answers as the app does behind another',
  async (_name, path, sending) => {
    const headers = { ...sending.headers, 'x-request-id': 'mine' };
    const [own, other] = [
      await send(served.url + path, { ...sending, headers }),
      await send(mounted + path, { ...sending, headers }),
    ];
    const told = ({ status, text, headers: { date: _date, ...rest } }: typeof own) => ({ status, text, rest });
    expect(told(own)).toEqual(told(other));
    expect(own.status).toBeGreaterThanOrEqual(400);
  },
);

test('a session opens and answers behind middleware that has read the bodies', async () => {
  const stream = await new RawSse(mounted).whenAnnounced();
  await stream.initialize();
  expect(stream.events.at(-1)?.data).toContain('protocolVersion');
  await stream.disconnect();
  await stream.whenClosed();
});

test('a body that declares no length is refused at the limit, and its connection serves the next request', async () => {
  const head = 'POST /message HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
  const chunk = `${(0x4e20).toString(16)}\r\n${'x'.repeat(0x4e20)}\r\n0\r\n\r\n`;
  const next = 'GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const socket = connect(Number(new URL(served.url).port), '127.0.0.1');
  socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}${next}`);
  const replies = await text(socket);
  expect(replies.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
});

test('a message does not pass through the router', async () => {
  let passed = 0;
  // Express calls this for whatever it is given; its types do not tell.
  const app = served.orchestrator.app as unknown as { handle: (...given: unknown[]) => void };
  const handle = app.handle.bind(app);
  app.handle = (...given) => {
    passed += 1;
    handle(...given);
  };
  const stream = await new RawSse(served.url).whenAnnounced();
  await stream.initialize();
  await stream.disconnect();
  expect(passed).toBe(0);
  await send(`${served.url}/ready`);
  expect(passed).toBe(1);
});
