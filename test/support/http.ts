import { request, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { catalogue, type Reason } from '../../src/errors/errors.js';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; undefined if it is none. */
  readonly json: unknown;
}

export interface SendOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string | Buffer;
}

/** One request as it is given: nothing is added but what node:http needs, no redirect, a socket of its own. */
export function send(url: string, { method = 'GET', headers = {}, body }: SendOptions = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: parse(text) });
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** Posts one JSON-RPC message, or whatever is given, as JSON. */
export function postJson(url: string, message: unknown, headers: OutgoingHttpHeaders = {}): Promise<Reply> {
  return postText(url, JSON.stringify(message), headers);
}

/** Posts a body that says it is JSON. */
export function postText(url: string, body: string, headers: OutgoingHttpHeaders = {}): Promise<Reply> {
  return send(url, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
}

/** The answer has status, code, id and data of a refusal. */
export function expectRefusal(reply: Reply, reason: Reason, id: unknown = null, data: object = {}): void {
  expect([reply.status, reply.json]).toMatchObject([
    catalogue[reason].status,
    { jsonrpc: '2.0', id, error: { code: catalogue[reason].code, data: { reason, ...data } } },
  ]);
}

/** Writes bytes to the server's socket and returns what comes back until it closes: for what node:http cannot send. */
export async function sendBytes(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.end(bytes);
  await once(socket, 'close');
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
