import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { SSEServerTransport } from '@modelcontextprotocol/sdk/server/sse.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import express from 'express';
import { z } from 'zod';
import { listen } from './serve.js';

/** The plain SDK server as its documentation builds one: a server object for each session, with 40 tools registered. */

const toolNames = Array.from({ length: 40 }, (_, index) => `tool_${index + 1}`);

function newServer(): McpServer {
  const server = new McpServer({ name: 'plain', version: '1' });
  for (const name of toolNames) {
    server.registerTool(
      name,
      { description: 'Answers with what it is asked.', inputSchema: { url: z.string(), count: z.number().optional() } },
      ({ url }) => ({ content: [{ type: 'text', text: url }] }),
    );
  }
  return server;
}

const app = express();
const sse = new Map<string, SSEServerTransport>();
const streamable = new Map<string, StreamableHTTPServerTransport>();

app.get('/sse', async (_request, response) => {
  const transport = new SSEServerTransport('/message', response);
  sse.set(transport.sessionId, transport);
  response.on('close', () => sse.delete(transport.sessionId));
  await newServer().connect(transport);
});

app.post('/message', async (request, response) => {
  await sse.get(request.url.slice('/message?sessionId='.length))?.handlePostMessage(request, response);
});

app.all('/mcp', async (request, response) => {
  const known = streamable.get(String(request.headers['mcp-session-id']));
  if (known !== undefined) {
    await known.handleRequest(request, response);
    return;
  }
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    enableJsonResponse: true,
    onsessioninitialized: (id) => void streamable.set(id, transport),
    onsessionclosed: (id) => void streamable.delete(id),
  });
  await newServer().connect(transport);
  await transport.handleRequest(request, response);
});

await listen(createServer(app));
