import { once } from 'node:events';
import { systemClock } from '../../src/clock.js';
import { startServer } from '../../src/server/httpServer.js';
import { connectSocket } from '../support/webSocketHandshake.js';

/** The server's socket with its bounds, and nothing behind it but `ok`. */
async function listen(bounds: { readonly requestTimeout?: number } = {}) {
  const server = startServer({
    app: (request, response) => {
      request.resume();
      request.on('end', () => response.end('ok'));
    },
    upgrade: (_request, socket) => socket.destroy(),
    config: { host: '127.0.0.1', port: 0, drainTimeout: 1_000, maxSessions: 0 },
    clock: systemClock,
    inspect: () => undefined,
    drainSessions: () => Promise.resolve(),
    closeBrowsers: () => Promise.resolve(),
    ...bounds,
  });
  return { url: (await server.opened).url, close: () => server.drain() };
}

/** What a connection hears that sends these bytes and then holds on. */
async function heard(url: string, bytes: string): Promise<string> {
  const socket = connectSocket(url);
  socket.on('error', () => undefined);
  socket.write(bytes);
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  await once(socket, 'close');
  return text;
}

test.each([
  ['headers', 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: '],
  ['a body', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf'],
  ['a chunk', 'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha'],
  ['a handshake', 'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'],
])('[C-SECURITY] slow loris: a client that never ends %s is answered 408 and cut off', async (_, bytes) => {
  const server = await listen({ requestTimeout: 300 });
  expect(await heard(server.url, bytes)).toMatch(/^HTTP\/1\.1 408 /);
  await server.close();
});

test('[C-SECURITY][S10] past the cap a connection is hung up on without a byte; those before it are served', async () => {
  const server = await listen();
  const sockets = [];
  // One by one: all at once could be more than the system lets wait at the door.
  for (let count = 0; count < 256; count += 1) {
    const socket = connectSocket(server.url);
    await once(socket, 'connect');
    sockets.push(socket);
  }
  expect(await heard(server.url, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')).toBe('');
  const [first] = sockets;
  first?.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  expect(String(first && (await once(first, 'data')))).toMatch(/^HTTP\/1\.1 200 /);
  for (const socket of sockets) socket.destroy();
  await server.close();
});

test.each([
  ['one huge header', `X-Flood: ${'x'.repeat(17_000)}\r\n`],
  ['very many headers', 'a: b\r\n'.repeat(9_000)],
])('[C-SECURITY] header floods: %s is answered 431 and the connection closed', async (_, flood) => {
  const server = await listen();
  expect(await heard(server.url, `GET / HTTP/1.1\r\nHost: localhost\r\n${flood}\r\n`)).toMatch(/^HTTP\/1\.1 431 /);
  await server.close();
});

test.each([
  ['two lengths', 'Content-Length: 1\r\nContent-Length: 2\r\n'],
  ['a length and chunks', 'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n'],
  ['a coding that is not known', 'Transfer-Encoding: chunked, identity\r\n'],
  ['a negative length', 'Content-Length: -1\r\n'],
  ['a folded header', 'X-One: a\r\n b: c\r\nContent-Length : 1\r\n'],
])(
  '[C-SECURITY] request smuggling: %s is answered 400, and what follows is not read as a request',
  async (_, lines) => {
    const server = await listen();
    const bytes = `POST / HTTP/1.1\r\nHost: localhost\r\n${lines}\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const answer = await heard(server.url, bytes);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 400']);
    await server.close();
  },
);

test.each([
  ['CONNECT', 'CONNECT elsewhere.example:443 HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n', /^$/],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', /^(HTTP\/1\.1 400 |$)/],
])('[C-SECURITY] %s opens no tunnel and no other protocol', async (_, bytes, answer) => {
  const server = await listen();
  expect(await heard(server.url, bytes)).toMatch(answer);
  await server.close();
});
