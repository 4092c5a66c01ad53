import { connect, type Socket } from 'node:net';

/** The least that speaks MCP over HTTP, so that the load costs less than the server: bytes on sockets, no parser. */

const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'load', version: '1' } },
};
const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' };

/** One keep-alive connection on which requests follow each other. Its user closes it. */
export class Connection {
  readonly #socket: Socket;
  readonly host: string;
  #text = '';
  #waiting: { found: (text: string) => string | undefined; resolve: (match: string) => void } | undefined;
  #failed: ((error: Error) => void) | undefined;

  constructor(url: string) {
    const { hostname, port, host } = new URL(url);
    this.host = host;
    this.#socket = connect(Number(port), hostname);
    this.#socket.setNoDelay(true).setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#read(text));
    this.#socket.on('error', (error) => this.#failed?.(error));
    this.#socket.on('close', () => this.#failed?.(new Error('The server closed the connection.')));
  }

  send(verb: string, path: string, headers = '', body?: object): void {
    const text = body === undefined ? '' : JSON.stringify(body);
    const length = body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${text.length}\r\n`;
    const accept = 'accept: application/json, text/event-stream\r\n';
    this.#socket.write(`${verb} ${path} HTTP/1.1\r\nhost: ${this.host}\r\n${accept}${headers}${length}\r\n${text}`);
  }

  /** Resolves with what `found` makes of the bytes that came since the last time. */
  next(found: (text: string) => string | undefined): Promise<string> {
    return new Promise((resolve, reject) => {
      this.#failed = reject;
      this.#waiting = { found, resolve };
      this.#read('');
    });
  }

  close(): void {
    this.#failed = undefined;
    this.#socket.destroy();
  }

  #read(text: string): void {
    this.#text += text;
    const match = this.#waiting?.found(this.#text);
    if (match === undefined) return;
    this.#text = '';
    const { resolve } = this.#waiting ?? {};
    this.#waiting = undefined;
    resolve?.(match);
  }
}

/** A session that is initialised. */
export interface RawSession {
  /** Resolves when the whole answer has come. */
  ask(id: number, method: string): Promise<void>;
  ping(id: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * Opens a session at `url`; `posts` is a connection of the caller's, maybe to another node, for what is posted, one request
 * after the other.
 */
export type OpenSession = (url: string, posts: Connection) => Promise<RawSession>;

const accepted = (text: string): string | undefined => {
  const head = /^HTTP\/1\.1 (\d+) [^]*?\r\n\r\n/.exec(text);
  if (head === null) return undefined;
  if (head[1] !== '202') throw new Error(`The server answered: ${text.slice(0, 300)}`);
  const length = Number(/content-length: (\d+)/i.exec(head[0])?.[1] ?? 0);
  return text.length >= head[0].length + length ? text : undefined;
};

const answer = (id: number) => {
  const mark = new RegExp(`"id":${id}[,}][^]*\\n`);
  return (text: string): string | undefined => (mark.test(text) ? text : undefined);
};

export const openSse: OpenSession = async (url, posts) => {
  const stream = new Connection(url);
  stream.send('GET', '/sse');
  const address = await stream.next((text) => /data: (\S+)\n\n/.exec(text)?.[1]);
  const { pathname, search } = new URL(address, `${url}/sse`);
  const path = `${pathname}${search}`;
  const post = async (message: object): Promise<void> => {
    posts.send('POST', path, '', message);
    await posts.next(accepted);
  };
  const ask = async (message: { id: number; [field: string]: unknown }): Promise<void> => {
    const answered = stream.next(answer(message.id));
    await post(message);
    await answered;
  };
  await ask(initialize);
  await post(initialized);
  const request = (id: number, method: string): Promise<void> => ask({ jsonrpc: '2.0', id, method });
  return { ask: request, ping: (id) => request(id, 'ping'), close: async () => stream.close() };
};

const whole = (text: string): string | undefined => {
  const head = /^HTTP\/1\.1 (\d+) [^]*?\r\n\r\n/.exec(text)?.[0];
  if (head === undefined) return undefined;
  const length = /content-length: (\d+)/i.exec(head)?.[1];
  const isChunked = /transfer-encoding: chunked/i.test(head);
  const ended = isChunked ? text.endsWith('0\r\n\r\n') : text.length >= head.length + Number(length ?? 0);
  return ended ? text : undefined;
};

export const openStreamable: OpenSession = async (url, connection) => {
  const post = async (message: object, session: string, at = connection): Promise<string> => {
    at.send('POST', '/mcp', session, message);
    return at.next(whole);
  };
  const door = new URL(url).host === connection.host ? connection : new Connection(url);
  const greeting = await post(initialize, '', door);
  if (door !== connection) door.close();
  const id = /mcp-session-id: (\S+)/i.exec(greeting)?.[1];
  if (id === undefined) throw new Error(`The server gave no session: ${greeting.slice(0, 300)}`);
  const session = `mcp-session-id: ${id}\r\nmcp-protocol-version: 2025-11-25\r\n`;
  await post(initialized, session);
  const ask = async (number: number, method: string): Promise<void> => {
    await post({ jsonrpc: '2.0', id: number, method }, session);
  };
  return {
    ask,
    ping: (number) => ask(number, 'ping'),
    close: async () => {
      connection.send('DELETE', '/mcp', session);
      await connection.next(whole);
    },
  };
};

const envelope = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'load', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

interface StatelessRequest {
  readonly id: number;
  readonly method: string;
  readonly params?: object;
  /** Beside those that every request has; each ends its line. */
  readonly headers?: string;
}

function askStateless(connection: Connection, { id, method, params, headers = '' }: StatelessRequest): Promise<string> {
  const own = `mcp-protocol-version: 2026-07-28\r\nmcp-method: ${method}\r\n${headers}`;
  connection.send('POST', '/mcp', own, { jsonrpc: '2.0', id, method, params: { ...params, _meta: envelope } });
  return connection.next(whole);
}

/** Revision 2026-07-28: no session; the least that can be asked, in place of a ping, is what the server is. */
export const openStateless: OpenSession = async (_url, connection) => {
  const ask = async (id: number, method: string): Promise<void> => {
    await askStateless(connection, { id, method });
  };
  await ask(1, 'server/discover');
  return { ask, ping: (id) => ask(id, 'server/discover'), close: () => Promise.resolve() };
};

/** Revision 2026-07-28 with a browser that is opened at `url`; in place of a ping a call that its node has to answer. */
export const openHandle: OpenSession = async (url, connection) => {
  const call = (at: Connection, id: number, name: string, browserId?: string): Promise<string> => {
    const named = browserId === undefined ? '' : `mcp-param-browser: ${browserId}\r\n`;
    const args = browserId === undefined ? {} : { browser_id: browserId };
    const headers = `mcp-name: ${name}\r\n${named}`;
    return askStateless(at, { id, method: 'tools/call', params: { name, arguments: args }, headers });
  };
  const door = new Connection(url);
  const opened = await call(door, 1, 'open_browser');
  door.close();
  const handle = /browser_id: ([\w-]{22})/.exec(opened)?.[1];
  if (handle === undefined) throw new Error(`The server gave no browser: ${opened.slice(0, 300)}`);
  return {
    ask: async (id, method) => {
      await askStateless(connection, { id, method });
    },
    ping: async (id) => {
      const heard = await call(connection, id, 'get_session_info', handle);
      if (!heard.includes(handle)) throw new Error(`The server answered: ${heard.slice(0, 300)}`);
    },
    close: async () => {
      await call(connection, 0, 'close_browser', handle);
    },
  };
};
