import { createHash } from 'node:crypto';
import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** Joined to the client's key in the answer to the handshake (RFC 6455, 4.2.2). */
const handshakeGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const opcodeClose = 8;
const finalBit = 0x80;

/**
 * Makes a server answer WebSockets with what they send: just enough of RFC 6455 for short messages in one frame. Open
 * sockets end with the server's connections.
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

/** A client's frame is masked: type, length, four bytes of mask, payload. Ours is not. */
function echoFrame(socket: Duplex, frame: Buffer): void {
  const [type = 0, masked = 0] = frame;
  const length = masked & 0x7f;
  const mask = frame.subarray(2, 6);
  const payload = frame.subarray(6, 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0));
  socket.write(Buffer.concat([Buffer.from([type | finalBit, length]), payload]));
  if ((type & 0x0f) === opcodeClose) socket.end();
}
