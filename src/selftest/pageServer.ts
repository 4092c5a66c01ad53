import { createReadStream, existsSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { createHash } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { packageRoot } from '../packageInfo.js';

/** The sample extension of this package, unpacked, Manifest V3. */
export const sampleExtensionFolder = join(packageRoot, 'src/selftest/extension');

const pagesFolder = join(packageRoot, 'src/selftest/pages');

const contentTypes: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
};

export interface PageServer {
  /** `http://127.0.0.1:<port>`, without a trailing slash. */
  readonly url: string;
  readonly server: Server;
  /** Ends open connections and the socket. */
  close(): Promise<void>;
}

/**
 * Serves the sample pages on a free loopback port, with `/echo` (answers the request as JSON), `/slow?ms=`,
 * `/private` (for ada, password engine), `/status?code=` and `/bytes?base64=`. Owned and closed by the caller.
 */
export async function startPageServer(): Promise<PageServer> {
  const server = createServer((request, response) => {
    void respond(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function letIn(request: IncomingMessage, response: ServerResponse): void {
  const isKnown = request.headers.authorization === `Basic ${Buffer.from('ada:engine').toString('base64')}`;
  response.writeHead(isKnown ? 200 : 401, isKnown ? {} : { 'www-authenticate': 'Basic realm="Selftest"' });
  response.end(isKnown ? 'private' : 'refused');
}

async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  if (url.pathname === '/echo') return echo(request, response);
  if (url.pathname === '/private') {
    letIn(request, response);
    return;
  }
  if (url.pathname === '/slow') {
    await delay(Math.min(Number(url.searchParams.get('ms') ?? 0), 60_000));
    response.writeHead(200, { 'content-type': 'text/plain' }).end('slow');
    return;
  }
  if (url.pathname === '/status') {
    const code = Number(url.searchParams.get('code') ?? 500);
    response.writeHead(code, { 'content-type': 'text/plain' }).end(`status ${code}`);
    return;
  }
  if (url.pathname === '/bytes') {
    const bytes = Buffer.from(url.searchParams.get('base64') ?? '', 'base64');
    response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(bytes);
    return;
  }
  const path = join(pagesFolder, normalize(url.pathname === '/' ? '/index.html' : url.pathname));
  const type = contentTypes[extname(path)];
  if (!path.startsWith(pagesFolder) || type === undefined || !existsSync(path)) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('not found');
    return;
  }
  response.writeHead(200, { 'content-type': type });
  createReadStream(path).pipe(response);
}

async function echo(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request);
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify({ method: request.method, url: request.url, headers: request.headers, body }));
}

/** Appended to the client's key in the handshake response (RFC 6455, 4.2.2). */
const handshakeGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const opcodeClose = 8;
const finalBit = 0x80;

/**
 * Echoes WebSocket messages: the part of RFC 6455 for short messages in one frame. Open sockets end with the connections of
 * the server.
 */
export function echoWebSockets(server: Server): void {
  server.on('upgrade', (request, socket: Duplex) => {
    const key = String(request.headers['sec-websocket-key']);
    const accept = createHash('sha1').update(`${key}${handshakeGuid}`).digest('base64');
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
    socket.write([...lines, `Sec-WebSocket-Accept: ${accept}`, '', ''].join('\r\n'));
    socket.on('data', (frame: Buffer) => echoFrame(socket, frame));
    socket.on('error', () => socket.destroy());
  });
}

/** A client's frame is masked: type, length, four bytes of mask, payload. A server's frame is not. */
function echoFrame(socket: Duplex, frame: Buffer): void {
  const [type = 0, masked = 0] = frame;
  const length = masked & 0x7f;
  const mask = frame.subarray(2, 6);
  const payload = frame.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  socket.write(Buffer.concat([Buffer.from([type | finalBit, length]), payload]));
  if ((type & 0x0f) === opcodeClose) socket.end();
}

/** The id of the sample extension, which follows from the public key in its manifest. */
export const sampleExtensionId = 'bjhabeflcgbaaeafjkekchefdmehkeon';
