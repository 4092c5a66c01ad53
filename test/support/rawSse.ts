import { request, type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { parseMessageText } from '../../src/mcp/messageText.js';
import { parseMessage, type JSONRPCMessage } from '../../src/mcp/protocol.js';
import { postJson, postText, type Reply } from './http.js';

export interface SseEvent {
  /** Empty if it has none. */
  readonly id: string;
  readonly event: string;
  readonly data: string;
}

export interface RawSseOptions {
  readonly path?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** Posted, as JSON. */
  readonly body?: string;
  /** Runs in the very tick in which the bytes of the endpoint event are read. */
  readonly onEndpoint?: (stream: RawSse) => void;
  /** Runs for each event as it is read. */
  readonly onEvent?: (event: SseEvent, stream: RawSse) => void;
}

/** One event stream, of `GET /sse` unless it is told otherwise, that sees bytes: what came, in which order, and how it ended. The test hangs it up. */
export class RawSse {
  readonly #url: string;
  readonly #options: RawSseOptions;
  readonly #request: ClientRequest;
  readonly #watchers = new Set<() => void>();
  #response: IncomingMessage | undefined;
  #text = '';
  #unparsed = '';
  #isClosed = false;
  readonly events: SseEvent[] = [];
  readonly comments: string[] = [];

  constructor(url: string, options: RawSseOptions = {}) {
    this.#url = url;
    this.#options = options;
    this.#request = request(new URL(options.path ?? '/sse', url), {
      agent: false,
      method: options.body === undefined ? 'GET' : 'POST',
      headers: { ...(options.body !== undefined && { 'content-type': 'application/json' }), ...options.headers },
    });
    this.#request.on('response', (response) => this.#read(response));
    this.#request.on('error', () => undefined);
    this.#request.on('close', () => this.#onClosed());
    this.#request.end(options.body);
  }

  /** Every byte of the body so far. */
  get text(): string {
    return this.#text;
  }

  /** Undefined until the head of the answer came. */
  get status(): number | undefined {
    return this.#response?.statusCode;
  }

  get headers() {
    return this.#response?.headers ?? {};
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What the first endpoint event names. */
  get endpoint(): string | undefined {
    return this.events.find(({ event }) => event === 'endpoint')?.data;
  }

  get sessionId(): string {
    return new URL(this.endpoint ?? '/', this.#url).searchParams.get('sessionId') ?? '';
  }

  get messages(): JSONRPCMessage[] {
    return this.events
      .filter(({ event }) => event === 'message')
      .map(({ data }) => parseMessage(parseMessageText(data)));
  }

  /** Answers to the request `id`: exactly one is right. */
  answersTo(id: string | number): JSONRPCMessage[] {
    return this.messages.filter((message) => !('method' in message) && message.id === id);
  }

  /** Resolves as soon as `predicate` holds; rejects when the stream ended without it. */
  async when(predicate: (stream: this) => boolean): Promise<this> {
    await this.#until(() => predicate(this) || this.#isClosed);
    if (!predicate(this)) throw new Error(`The stream ended (status ${String(this.status)}) after: ${this.#text}`);
    return this;
  }

  /** Resolves when the head of the answer came. */
  whenOpen(): Promise<this> {
    return this.when(({ status }) => status !== undefined);
  }

  whenAnnounced(): Promise<this> {
    return this.when(({ endpoint }) => endpoint !== undefined);
  }

  /** Resolves when the client has initialized too. What it sees of the handshake is left out of its events. */
  async whenInitialized(): Promise<this> {
    await this.whenAnnounced();
    await this.initialize();
    this.events.splice(
      this.events.findIndex(({ event }) => event === 'message'),
      1,
    );
    return this;
  }

  /** Resolves with the answer to the request `id`. */
  async answer(id: string | number): Promise<JSONRPCMessage> {
    await this.when(() => this.answersTo(id).length > 0);
    const [answer] = this.answersTo(id);
    if (!answer) throw new Error('unreachable');
    return answer;
  }

  /** Resolves when the stream is over, whoever ended it. */
  whenClosed(): Promise<void> {
    return this.#until(() => this.#isClosed);
  }

  post(message: unknown, headers: OutgoingHttpHeaders = {}): Promise<Reply> {
    if (this.endpoint === undefined) throw new Error('Not announced yet.');
    return postJson(new URL(this.endpoint, this.#url).href, message, headers);
  }

  /** Posts a body as it is. */
  postText(body: string): Promise<Reply> {
    return postText(new URL(this.endpoint ?? '/', this.#url).href, body);
  }

  /** Posts a request and resolves with its answer on the stream. */
  async call(id: string | number, method: string, params?: object): Promise<JSONRPCMessage> {
    const { status, text } = await this.post({ jsonrpc: '2.0', id, method, ...(params && { params }) });
    if (status !== 202) throw new Error(`${status} ${text}`);
    return this.answer(id);
  }

  async initialize(protocolVersion = '2025-11-25'): Promise<JSONRPCMessage> {
    const clientInfo = { name: 'raw', version: '1' };
    const answer = await this.call('initialize', 'initialize', { protocolVersion, capabilities: {}, clientInfo });
    await this.post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return answer;
  }

  /** Stops reading, so that the server's bytes pile up. */
  pause(): void {
    this.#response?.pause();
  }

  resume(): void {
    this.#response?.resume();
  }

  /** Cuts the connection, as a client that goes away does. */
  async disconnect(): Promise<void> {
    this.#request.destroy();
    await this.whenClosed();
  }

  #read(response: IncomingMessage): void {
    this.#response = response;
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => this.#receive(chunk));
    response.on('error', () => undefined);
    this.#notifyWatchers();
  }

  #receive(chunk: string): void {
    this.#text += chunk;
    this.#unparsed += chunk;
    const known = this.endpoint;
    const blocks = this.#unparsed.split('\n\n');
    this.#unparsed = blocks.pop() ?? '';
    for (const block of blocks) this.#parse(block);
    if (known === undefined && this.endpoint !== undefined) this.#options.onEndpoint?.(this);
    this.#notifyWatchers();
  }

  #parse(block: string): void {
    if (block.startsWith(':')) {
      this.comments.push(block.slice(1).trim());
      return;
    }
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
    const event = { id: field('id'), event: field('event'), data: field('data') };
    this.events.push(event);
    this.#options.onEvent?.(event, this);
  }

  #onClosed(): void {
    this.#isClosed = true;
    this.#notifyWatchers();
  }

  #notifyWatchers(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  #until(predicate: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!predicate()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }
}
