import { once } from 'node:events';
import { connect as openSocket, type Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BodyMemory } from '../../src/transport/bodyMemory.js';
import { bearer, serveGuarded, type GuardedServer } from '../tenancy/support/guardedServer.js';
import { RawSse } from '../support/rawSse.js';

const mebibyte = 1024 ** 2;
let guarded: GuardedServer;
beforeAll(async () => {
  guarded = await serveGuarded({ options: { bodyLimit: '1mb', requestRate: 1_000 } });
});
afterAll(() => guarded.close());

/** A POST of which the body has not been sent yet, and what comes back. */
class SlowPost {
  readonly socket: Socket;
  text = '';

  constructor(path: string, headers: Record<string, string>, length: number) {
    const { hostname, port, host } = new URL(guarded.url);
    this.socket = openSocket(Number(port), hostname);
    this.socket.on('error', () => undefined);
    this.socket.on('data', (data: Buffer) => (this.text += data.toString()));
    const given = { 'content-type': 'application/json', 'content-length': String(length), host, ...headers };
    const lines = Object.entries(given).map(([name, value]) => `${name}: ${value}\r\n`);
    this.socket.write(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
  }

  async status(): Promise<number> {
    while (!this.text.includes('\r\n\r\n')) await once(this.socket, 'data');
    return Number(this.text.split(' ')[1]);
  }
}

const accept = 'application/json, text/event-stream';

describe('a body of a caller who is not let in is not read', () => {
  test.each([
    ['without a token', '/mcp', {}, 401],
    ['with a wrong token', '/message?sessionId=x', { authorization: `Bearer gr_${'x'.repeat(43)}` }, 401],
    ['with a foreign host', '/mcp', { host: 'evil.example' }, 403],
    ['from a foreign page', '/message?sessionId=x', { origin: 'https://evil.example' }, 403],
    ['without the token of the operator', '/api/users', {}, 401],
  ])('%s, at %s', async (_who, path, headers, status) => {
    const post = new SlowPost(path, { accept, ...headers }, mebibyte / 2);
    expect(await post.status()).toBe(status);
    post.socket.destroy();
  });

  test('of a user who sends too many messages', async () => {
    const { token } = await guarded.issueToken('often');
    const stream = await new RawSse(guarded.url, { headers: bearer(token) }).whenAnnounced();
    const path = stream.endpoint ?? '';
    const { authorization } = bearer(token) as { authorization: string };
    const statuses = new Set<number>();
    while (!statuses.has(429)) {
      const post = new SlowPost(path, { authorization }, 2);
      post.socket.write('{}');
      statuses.add(await post.status());
      post.socket.destroy();
    }
    const late = new SlowPost(path, { authorization }, mebibyte / 2);
    expect(await late.status()).toBe(429);
    expect(late.text).toMatch(/retry-after: \d+/i);
    late.socket.destroy();
    await stream.disconnect();
  });

  test('and one that goes on sending is hung up on', async () => {
    const post = new SlowPost('/mcp', { accept }, 1_000 * mebibyte);
    expect(await post.status()).toBe(401);
    const closed = new Promise((resolve) => post.socket.once('close', resolve));
    const piece = Buffer.alloc(mebibyte);
    let sent = 0;
    for (; !post.socket.destroyed && sent < 900; sent += 1) {
      const drained = new Promise((resolve) => post.socket.once('drain', resolve));
      if (!post.socket.write(piece)) await Promise.race([drained, closed]);
      await nextTurn();
    }
    await closed;
    expect(sent).toBeLessThan(900);
  });
});

test('bodies that are being received are bounded for each user, and the answer says when to come again', async () => {
  const { token } = await guarded.issueToken('slow');
  const other = await guarded.issueToken('other');
  const stream = await new RawSse(guarded.url, { headers: bearer(token) }).whenAnnounced();
  const { authorization } = bearer(token) as { authorization: string };
  const answered: SlowPost[] = [];
  const posts: SlowPost[] = [];
  while (answered.length === 0) {
    const post = new SlowPost(stream.endpoint ?? '', { authorization }, mebibyte);
    posts.push(post);
    post.socket.write(Buffer.alloc(mebibyte - 1, ' '));
    post.socket.once('data', () => answered.push(post));
    if (!post.socket.writableNeedDrain) await nextTurn();
    else await Promise.race([once(post.socket, 'drain'), ...posts.map(({ socket }) => once(socket, 'data'))]);
  }
  expect(answered[0]?.text).toMatch(/^HTTP\/1.1 429 [\s\S]*retry-after: 1[\s\S]*queue_full/i);
  const neighbour = await new RawSse(guarded.url, { headers: bearer(other.token) }).whenAnnounced();
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  expect((await neighbour.post(ping, bearer(other.token))).status).toBe(202);
  for (const { socket } of posts) socket.destroy();
  await neighbour.disconnect();
  await stream.disconnect();
});

test('the memory for bodies is bounded for each caller and over all of them, and what is released can be had again', () => {
  const memory = new BodyMemory(10);
  const mine = memory.open('anna');
  mine.grow(80);
  expect(() => memory.open('anna').grow(1)).toThrow('Too many bytes');
  const others = ['bert', 'carl', 'dora'].map((owner) => memory.open(owner));
  for (const share of others) share.grow(80);
  expect(() => memory.open('emil').grow(1)).toThrow('Too many bytes');
  mine.release();
  mine.release();
  memory.open('emil').grow(80);
  expect(() => memory.open('anna').grow(1)).toThrow('Too many bytes');
});

test('a body in chunks of one byte costs what its bytes do', async () => {
  const { token } = await guarded.issueToken('chunks');
  const stream = await new RawSse(guarded.url, { headers: bearer(token) }).whenAnnounced();
  const { hostname, port, host } = new URL(guarded.url);
  const socket = openSocket(Number(port), hostname);
  const text = JSON.stringify({ jsonrpc: '2.0', id: 'é', method: 'ping' });
  const chunks = [...Buffer.from(text)].map((byte) => Buffer.from([0x31, 13, 10, byte, 13, 10]));
  const head = `POST ${stream.endpoint} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n`;
  socket.write(`${head}transfer-encoding: chunked\r\nauthorization: Bearer ${token}\r\n\r\n`);
  socket.write(Buffer.concat([...chunks, Buffer.from('0\r\n\r\n')]));
  const [data] = (await once(socket, 'data')) as [Buffer];
  expect(data.toString()).toContain('202 Accepted');
  await stream.when(({ messages }) => messages.length === 1);
  expect(stream.messages[0]).toMatchObject({ id: 'é' });
  socket.destroy();
  await stream.disconnect();
});
