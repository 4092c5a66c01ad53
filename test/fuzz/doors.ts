import { once } from 'node:events';
import type { OutgoingHttpHeaders } from 'node:http';
import type { Arbitrary } from 'fast-check';
import { systemClock } from '../../src/clock.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { connectSocket, upgradeRequest } from '../support/webSocketHandshake.js';
import { send } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { streamPair } from '../support/rawStdio.js';
import type { TestServer } from '../support/testServer.js';
import { checkFrames, checkHttp, checkMessage } from './answers.js';
import { httpBytes, messageText, statelessPost, webSocketBytes } from './grammars.js';

/** A way in, and how one client throws a handful of cases at it and checks what it hears. */
export interface Door<Case> {
  readonly name: string;
  readonly cases: Arbitrary<Case>;
  /** How many cases one client throws, and how many clients. */
  readonly each: number;
  readonly clients: number;
  /** Rejects if an answer is not one that is defined, or if the session of the client did not survive what it should. */
  play(served: TestServer, cases: readonly Case[]): Promise<void>;
}

const ping = { jsonrpc: '2.0', id: 'the last one', method: 'ping' };
const door = <Case>(given: Door<Case>): Door<unknown> => ({
  ...given,
  play: (served, cases) => given.play(served, cases as readonly Case[]),
});

/** Another transport is one more entry. */
export const doors: readonly Door<unknown>[] = [
  door({
    name: 'GET /sse and POST /message',
    cases: messageText,
    each: 40,
    clients: 25,
    async play(served, texts) {
      const stream = await new RawSse(served.url).whenAnnounced();
      const address = new URL(stream.endpoint ?? '', served.url).href;
      for (const answer of await answersTo(served, postsOf(address, texts), texts.length)) {
        if (!/^HTTP\/1\.1 (202|400|413|429) /.test(answer)) throw new Error(`undefined answer: ${answer}`);
        if (!answer.startsWith('HTTP/1.1 202')) checkMessage(answer.slice(answer.indexOf('\r\n\r\n')));
      }
      await stream.post(ping);
      await stream.answer(ping.id);
      for (const { event, data } of stream.events) if (event === 'message') checkMessage(data);
      await stream.disconnect();
    },
  }),
  door({
    name: 'POST /mcp',
    cases: messageText,
    each: 40,
    clients: 25,
    async play(served, texts) {
      const client = await new RawMcp(served.url).initialize();
      const posts = postsOf(client.address, texts, client.headers);
      for (const answer of await answersTo(served, posts, texts.length)) {
        if (!/^HTTP\/1\.1 (200|202|400|413|429) /.test(answer)) throw new Error(`undefined answer: ${answer}`);
        for (const [, data = ''] of answer.matchAll(/^data: (.+)$/gm)) checkMessage(data);
        if (!/^HTTP\/1\.1 20/.test(answer)) checkMessage(answer.slice(answer.indexOf('\r\n\r\n')));
        // Each initialize opened a session of its own.
        const [, opened] = /^mcp-session-id: (\S+)/m.exec(answer) ?? [];
        if (opened !== undefined && opened !== client.headers['mcp-session-id']) {
          await send(client.address, { method: 'DELETE', headers: { ...client.headers, 'mcp-session-id': opened } });
        }
      }
      await client.sendRequest(ping);
      await client.answer(ping.id);
      await client.delete();
    },
  }),
  door({
    name: 'POST /mcp without a session',
    cases: statelessPost,
    each: 50,
    clients: 20,
    async play(served, cases) {
      const address = new URL('/mcp', served.url).href;
      const posts = cases.map(({ body, headers }, index) => {
        const isLast = index === cases.length - 1;
        return postsOf(address, [body], { ...headers }, isLast);
      });
      const answers = await answersTo(served, Buffer.concat(posts), cases.length);
      for (const [index, answer] of answers.entries()) {
        const [, status = ''] = /^HTTP\/1\.1 (200|202|400|404|413|429) /.exec(answer) ?? [];
        if (status === '') throw new Error(`undefined answer: ${answer}`);
        const text = answer.slice(answer.indexOf('\r\n\r\n'));
        if (status !== '202' && text.trim().startsWith('{')) checkMessage(text);
        const { reason, body } = cases[index] ?? {};
        const [, heard = null] = /"reason":"(\w+)"/.exec(text) ?? [];
        if (reason !== undefined && heard !== reason) throw new Error(`${heard} instead of ${reason} to ${body}`);
        const [, opened] = /^mcp-session-id: (\S+)/m.exec(answer) ?? [];
        if (opened !== undefined) await send(address, { method: 'DELETE', headers: { 'mcp-session-id': opened } });
      }
    },
  }),
  door({
    name: 'messages of GET /ws',
    cases: messageText,
    each: 60,
    clients: 100,
    async play(served, texts) {
      const socket = await new RawWebSocket(served.url).whenAnnounced();
      for (const text of texts) socket.send(text);
      await socket.call(ping.id, ping.method);
      for (const frame of socket.frames) checkMessage(frame);
      await socket.disconnect();
    },
  }),
  door({
    name: 'messages of stdio',
    cases: messageText,
    each: 80,
    clients: 100,
    async play(served, texts) {
      const { input, output, client } = streamPair();
      const transport = new StdioTransport(input, output, { clock: systemClock, bodyLimit: 1_000 });
      const session = served.orchestrator.connect(transport);
      for (const text of texts) client.write(`${text}\n`);
      client.send(ping);
      await client.answer(ping.id);
      for (const line of client.text.trim().split('\n')) checkMessage(line);
      client.closeInput();
      await session.ended;
    },
  }),
  door({
    name: 'bytes of HTTP',
    cases: httpBytes,
    each: 20,
    clients: 100,
    async play(served, cases) {
      for (const answer of await Promise.all(cases.map((bytes) => hear(served.url, bytes)))) checkHttp(answer);
    },
  }),
  door({
    name: 'frames of a WebSocket',
    cases: webSocketBytes,
    each: 20,
    clients: 100,
    async play(served, cases) {
      const opening = Buffer.from(upgradeRequest());
      const heard = await Promise.all(cases.map((frames) => hear(served.url, Buffer.concat([opening, frames]), 101)));
      for (const answer of heard) checkFrames(answer.subarray(answer.indexOf('\r\n\r\n') + 4));
    },
  }),
];

/** Each answer to requests on one connection. Rejects unless there are `count`. */
async function answersTo({ url }: TestServer, requests: Buffer, count: number): Promise<string[]> {
  const answers = (await hear(url, requests)).toString('utf8').split(/(?=HTTP\/1\.1 \d{3} )/);
  if (answers.length !== count) throw new Error(`${answers.length} answers to ${count} requests`);
  return answers;
}

/** One request after the other on one connection, which the last one closes. */
function postsOf(address: string, texts: readonly string[], more: OutgoingHttpHeaders = {}, isLast = true): Buffer {
  const { pathname, search, host } = new URL(address);
  return Buffer.concat(
    texts.flatMap((text, index) => {
      const body = Buffer.from(text);
      const head = [
        `POST ${pathname}${search} HTTP/1.1`,
        `Host: ${host}`,
        'Content-Type: application/json',
        `Content-Length: ${body.length}`,
        ...Object.entries(more).map(([name, value]) => `${name}: ${String(value)}`),
        ...(isLast && index === texts.length - 1 ? ['Connection: close'] : []),
      ];
      return [Buffer.from(`${head.join('\r\n')}\r\n\r\n`), body];
    }),
  );
}

/** Everything that is said to a client that sends these bytes; it hangs up behind them, or once the status has come. */
async function hear(url: string, bytes: Buffer, status?: number): Promise<Buffer> {
  const socket = connectSocket(url);
  socket.on('error', () => undefined);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const closed = once(socket, 'close');
  socket.write(bytes);
  if (status !== undefined) await Promise.race([once(socket, 'data'), closed]);
  socket.end();
  await closed;
  return Buffer.concat(chunks);
}
