/** The official client, generation 1: by itself, or at the end of a bridge that another program is. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { answerOf, check, serverAddress } from './checks.mjs';

const { WAY, SERVER_PROGRAM } = process.env;
const env = { ...process.env };
const bridge = (program, ...args) => () =>
  new StdioClientTransport({ command: process.execPath, args: [`node_modules/${program}`, ...args], env, stderr: 'ignore' });

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

/** A program that offers over HTTP what it starts on standard streams. */
async function throughMcpProxy() {
  const port = await freePort();
  const command = ['node_modules/mcp-proxy/dist/bin/mcp-proxy.mjs', '--host', '127.0.0.1', '--port', String(port)];
  const child = spawn(process.execPath, [...command, '--', process.execPath, SERVER_PROGRAM, 'stdio', '--tools', 'all'], { stdio: 'ignore', env });
  process.once('exit', () => child.kill());
  const url = `http://127.0.0.1:${port}`;
  while (!(await fetch(`${url}/ping`).then(({ ok }) => ok, () => false))) await new Promise((resolve) => setTimeout(resolve, 100));
  return new StreamableHTTPClientTransport(new URL(`${url}/mcp`));
}

const transports = {
  http: () => new StreamableHTTPClientTransport(new URL(serverAddress('/mcp'))),
  sse: () => new SSEClientTransport(new URL(serverAddress('/sse'))),
  stdio: () => new StdioClientTransport({ command: process.execPath, args: [SERVER_PROGRAM, 'stdio', '--tools', 'all'], env, stderr: 'ignore' }),
  'mcp-remote': bridge('mcp-remote/dist/proxy.js', serverAddress('/mcp'), '--allow-http'),
  'supergateway-http': bridge('supergateway/dist/index.js', '--streamableHttp', serverAddress('/mcp')),
  'supergateway-sse': bridge('supergateway/dist/index.js', '--sse', serverAddress('/sse')),
  'mcp-proxy': throughMcpProxy,
};

const cannot = (process.env.CANNOT ?? '').split(',');

await check(
  async () => {
    const client = new Client({ name: `clients-${WAY}`, version: '1' });
    await client.connect(await transports[WAY]());
    return {
      list: async () => (await client.listTools()).tools.map(({ name }) => name),
      call: async (name, args, { signal, onProgress: onprogress } = {}) =>
        answerOf(await client.callTool({ name, arguments: args }, undefined, { signal, onprogress, timeout: 60_000 })),
      close: () => client.close(),
    };
  },
  { cannot },
);
