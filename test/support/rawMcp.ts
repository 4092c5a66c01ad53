import type { OutgoingHttpHeaders } from 'node:http';
import { parseMessageText } from '../../src/mcp/messageText.js';
import { parseMessage, type JSONRPCMessage, type RequestId } from '../../src/mcp/protocol.js';
import { send, type Reply } from './http.js';
import { initialized, ping } from './messages.js';
import { RawSse, type SseEvent } from './rawSse.js';
import { startTestServer, type TestServer, type TestServerOptions } from './testServer.js';
import { TestTools } from './testTools.js';

const accept = 'application/json, text/event-stream';

export interface RawMcpOptions {
  readonly path?: string;
  readonly version?: string;
  /** Sent with every request. */
  readonly headers?: OutgoingHttpHeaders;
}

/** A client of `/mcp` that sees bytes: each POST and GET is a stream of its own, and the test decides what becomes of it. */
export class RawMcp {
  readonly #url: string;
  readonly #path: string;
  readonly #headers: OutgoingHttpHeaders;
  readonly #watchers = new Set<() => void>();
  readonly version: string;
  sessionId = '';
  /** Every stream, in the order in which it was opened. */
  readonly streams: RawSse[] = [];
  /** Every message, in the order of arrival, over whichever stream. */
  readonly messages: JSONRPCMessage[] = [];

  constructor(url: string, { path = '/mcp', version = '2025-11-25', headers = {} }: RawMcpOptions = {}) {
    this.#url = url;
    this.#path = path;
    this.#headers = headers;
    this.version = version;
  }

  /** The same session, talked to at another node. */
  atNode(url: string): RawMcp {
    return Object.assign(new RawMcp(url), { sessionId: this.sessionId });
  }

  get address(): string {
    return new URL(this.#path, this.#url).href;
  }

  get headers(): OutgoingHttpHeaders {
    return { ...this.#headers, accept, 'mcp-session-id': this.sessionId, 'mcp-protocol-version': this.version };
  }

  /** Sends `initialize`, whose answer may take its time. */
  sendInitialize(): RawSse {
    const params = {
      protocolVersion: this.version,
      capabilities: {},
      clientInfo: { name: 'raw', version: '1' },
    };
    const body = JSON.stringify({ jsonrpc: '2.0', id: 'initialize', method: 'initialize', params });
    return this.#open({ body, headers: { ...this.#headers, accept } });
  }

  /** Opens a session, and says so. */
  async initialize(): Promise<this> {
    const opening = await this.sendInitialize().when(({ messages }) => messages.length > 0);
    this.sessionId = String(opening.headers['mcp-session-id']);
    await this.post(initialized);
    return this;
  }

  /** Posts requests: the stream of their answers, once its head is there. */
  sendRequest(message: unknown, headers: OutgoingHttpHeaders = {}): Promise<RawSse> {
    return this.#open({ body: JSON.stringify(message), headers: { ...this.headers, ...headers } }).whenOpen();
  }

  /** Posts anything and waits for the whole answer. */
  post(message: unknown, headers: OutgoingHttpHeaders = {}): Promise<Reply> {
    return this.postText(JSON.stringify(message), headers);
  }

  postText(body: string, headers: OutgoingHttpHeaders = {}): Promise<Reply> {
    return this.#send('POST', { 'content-type': 'application/json', ...headers }, body);
  }

  /** `GET`, with `Last-Event-ID` if it is given, once its head is there. */
  listen(lastEventId?: string): Promise<RawSse> {
    return this.#open({
      headers: { ...this.headers, ...(lastEventId !== undefined && { 'last-event-id': lastEventId }) },
    }).whenOpen();
  }

  /** A `GET` that is refused, or for which nothing is left. */
  get(headers: OutgoingHttpHeaders = {}): Promise<Reply> {
    return this.#send('GET', headers);
  }

  delete(headers: OutgoingHttpHeaders = {}): Promise<Reply> {
    return this.#send('DELETE', headers);
  }

  async answer(id: RequestId): Promise<JSONRPCMessage> {
    const find = () => this.messages.find((message) => !('method' in message) && message.id === id);
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (find() === undefined) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
    return find() ?? Promise.reject(new Error('unreachable'));
  }

  /** Cuts every connection. */
  async disconnect(): Promise<void> {
    await Promise.all(this.streams.map((stream) => stream.disconnect()));
  }

  #open(options: { readonly headers: OutgoingHttpHeaders; readonly body?: string }): RawSse {
    const onEvent = (event: SseEvent): void => this.#receive(event);
    const stream = new RawSse(this.#url, { path: this.#path, onEvent, ...options });
    this.streams.push(stream);
    return stream;
  }

  #receive({ event, data }: SseEvent): void {
    if (event !== 'message') return;
    this.messages.push(parseMessage(parseMessageText(data)));
    for (const watcher of [...this.#watchers]) watcher();
  }

  #send(method: string, headers: OutgoingHttpHeaders, body?: string): Promise<Reply> {
    const all = { ...this.headers, ...headers };
    const given = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined && value !== ''));
    return send(this.address, { method, headers: given, ...(body !== undefined && { body }) });
  }
}

/** Serves, opens a session, runs, and checks that the session still answers and that nothing is left afterwards. */
export async function withRawMcp(
  given: TestServerOptions,
  run: (client: RawMcp, served: TestServer) => Promise<void>,
): Promise<void> {
  const served = await startTestServer({ tools: new TestTools().all, ...given });
  const client = await new RawMcp(served.url).initialize();
  await run(client, served);
  await client.sendRequest(ping('afterwards'));
  expect(await client.answer('afterwards')).toMatchObject({ result: {} });
  await client.disconnect();
  await served.close();
}
