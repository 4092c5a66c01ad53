import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { json } from 'node:stream/consumers';
import { listen } from './serve.js';

/** The limit of the runtime: the same bytes on the wire, without MCP, without sessions, without anything refused. */

interface Message {
  readonly id?: number;
  readonly method?: string;
}

const streams = new Map<string, ServerResponse>();
const greeting = { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'bare', version: '1' } };

/** As many bytes as a list of tools has. */
const listing = {
  tools: Array.from({ length: 100 }, (_, index) => ({ name: `tool_${index}`, text: 'x'.repeat(420) })),
};
const results: Readonly<Record<string, object>> = { initialize: greeting, 'tools/list': listing };

const answerTo = ({ id, method = '' }: Message): string =>
  JSON.stringify({ jsonrpc: '2.0', id, result: results[method] ?? {} });

function openStream(response: ServerResponse): void {
  const id = randomBytes(16).toString('base64url');
  streams.set(id, response);
  response.on('close', () => streams.delete(id));
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.write(`event: endpoint\ndata: /message?sessionId=${id}\n\n`);
}

async function postMessage(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const message = (await json(request)) as Message;
  response.writeHead(202).end('Accepted');
  const stream = streams.get((request.url ?? '').slice('/message?sessionId='.length));
  if (message.id !== undefined) stream?.write(`event: message\ndata: ${answerTo(message)}\n\n`);
}

async function postMcp(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const message = (await json(request)) as Message;
  if (message.id === undefined) {
    response.writeHead(202).end();
    return;
  }
  const isFirst = message.method === 'initialize';
  response.writeHead(200, {
    'content-type': 'application/json',
    ...(isFirst && { 'mcp-session-id': randomBytes(16).toString('base64url') }),
  });
  response.end(answerTo(message));
}

await listen(
  createServer((request, response) => {
    if (request.method === 'GET') openStream(response);
    else if (request.method === 'DELETE') response.writeHead(200).end();
    else if (request.url === '/mcp') void postMcp(request, response);
    else void postMessage(request, response);
  }),
);
