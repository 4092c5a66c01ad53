import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { send, type Reply } from './http.js';

const meta = 'io.modelcontextprotocol/';

/** A whole envelope of revision 2026-07-28, with what a test changes. */
export const envelope = (changed: Record<string, unknown> = {}): Record<string, unknown> => ({
  [`${meta}protocolVersion`]: '2026-07-28',
  [`${meta}clientCapabilities`]: {},
  [`${meta}clientInfo`]: { name: 'raw', version: '1' },
  ...Object.fromEntries(Object.entries(changed).map(([key, value]) => [`${meta}${key}`, value])),
});

export interface Sent {
  readonly id?: string | number;
  readonly params?: Record<string, unknown>;
  readonly meta?: Record<string, unknown>;
  /** Beside those that the body asks for; undefined leaves one out. */
  readonly headers?: Record<string, string | undefined>;
  readonly path?: string;
}

export interface Answer {
  readonly status: number;
  /** What came before the response. */
  readonly notices: readonly Record<string, unknown>[];
  readonly response: {
    readonly id?: unknown;
    readonly result?: Record<string, unknown>;
    readonly error?: { readonly code: number; readonly message: string; readonly data?: Record<string, unknown> };
  };
  readonly text: string;
}

/** A client of revision 2026-07-28 that sends what it is told, right or wrong. */
export class StatelessClient {
  readonly #url: string;
  readonly #path: string;

  constructor(url: string, path = '/mcp') {
    this.#url = url;
    this.#path = path;
  }

  async request(method: string, sent: Sent = {}): Promise<Answer> {
    return read(await this.post(method, sent));
  }

  call(name: string, args: Record<string, unknown> = {}, sent: Sent = {}): Promise<Answer> {
    return this.request('tools/call', { ...sent, params: { name, arguments: args, ...sent.params } });
  }

  /** The text of a call's answer, with `ERROR ` before a failure. */
  async text(name: string, args: Record<string, unknown> = {}, sent: Sent = {}): Promise<string> {
    const answer = await this.call(name, args, sent);
    const { error } = answer.response;
    if (error !== undefined) throw new Error(`${error.code} ${error.message}`);
    return textOfCall(answer);
  }

  /** The handle of a new browser. */
  async open(args: Record<string, unknown> = {}): Promise<string> {
    const text = await this.text('open_browser', args);
    return /^browser_id: (\S+)/.exec(text)?.[1] ?? text;
  }

  post(method: string, sent: Sent = {}): Promise<Reply> {
    const { body, headers } = this.#message(method, sent);
    return send(new URL(sent.path ?? this.#path, this.#url).href, { method: 'POST', headers, body });
  }

  /** Sends a request and returns once the head of its answer is there. The test reads it, or closes it. */
  stream(method: string, sent: Sent = {}): { readonly head: Promise<IncomingMessage>; readonly close: () => void } {
    const { body, headers } = this.#message(method, sent);
    const outgoing = httpRequest(new URL(this.#path, this.#url), { method: 'POST', headers, agent: false });
    const head = new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve).on('error', reject);
    });
    head.catch(() => undefined);
    outgoing.end(body);
    return { head, close: () => outgoing.destroy() };
  }

  #message(method: string, { id = 1, params = {}, meta: changed, headers = {} }: Sent) {
    const named = (params['name'] ?? params['uri'] ?? params['taskId']) as string | undefined;
    const args = params['arguments'] as { browser_id?: string } | undefined;
    const repeated: Record<string, string | undefined> = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': method,
      ...(named !== undefined && { 'mcp-name': named }),
      ...(typeof args?.browser_id === 'string' && { 'mcp-param-browser': args.browser_id }),
      ...headers,
    };
    const kept = Object.entries(repeated).filter(([, value]) => value !== undefined);
    return {
      headers: Object.fromEntries(kept) as OutgoingHttpHeaders,
      body: JSON.stringify({ jsonrpc: '2.0', id, method, params: { ...params, _meta: changed ?? envelope() } }),
    };
  }
}

/** The text of a call's answer, with `ERROR ` before a failure. */
export function textOfCall({
  response: { result, error },
}: {
  readonly response: Partial<Answer['response']>;
}): string {
  if (error !== undefined) return `ERROR ${error.message}`;
  const content = result?.['content'] as { text: string }[];
  return `${result?.['isError'] === true ? 'ERROR ' : ''}${content.map(({ text }) => text).join('\n')}`;
}

/** Reads what a stream was answered with to its end. */
export async function readAnswer(response: IncomingMessage): Promise<Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return read({ status: response.statusCode ?? 0, headers: response.headers, text, json: undefined });
}

/** The messages of an event stream, one after the other. */
export async function* messagesOf(head: Promise<IncomingMessage>): AsyncGenerator<Record<string, unknown>> {
  let rest = '';
  for await (const chunk of (await head).setEncoding('utf8')) {
    const lines = `${rest}${String(chunk)}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data: ')) yield JSON.parse(line.slice(6)) as Record<string, unknown>;
  }
}

function read({ status, text, headers }: Reply): Answer {
  const messages = headers['content-type'] === 'text/event-stream' ? eventsOf(text) : [JSON.parse(text || '{}')];
  const all = messages as Record<string, unknown>[];
  return { status, text, notices: all.slice(0, -1), response: all.at(-1) as Answer['response'] };
}

const eventsOf = (text: string): unknown[] =>
  text.split('\n').flatMap((line) => (line.startsWith('data: ') ? [JSON.parse(line.slice(6))] : []));
