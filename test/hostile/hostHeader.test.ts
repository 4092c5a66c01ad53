import { once } from 'node:events';
import { connect } from 'node:net';
import { startTestServer } from '../support/testServer.js';

test.each(['/health', '/sse', '/ws'])('a request to %s with two Host headers is refused', async (path) => {
  const served = await startTestServer();
  const { hostname, port, host } = new URL(served.url);
  const socket = connect(Number(port), hostname);
  const upgrade = path === '/ws' ? 'connection: upgrade\r\nupgrade: websocket\r\n' : '';
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nhost: evil.example\r\n${upgrade}\r\n`);
  const [data] = (await once(socket, 'data')) as [Buffer];
  expect(data.toString()).toMatch(/^HTTP\/1.1 400 /);
  socket.destroy();
  await served.close();
});
