import { readFile } from 'node:fs/promises';
import { runInThisContext } from 'node:vm';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { WebSocketClientTransport } from '@modelcontextprotocol/sdk/client/websocket.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import { WebSocket } from 'ws';
import { startServerProcess, type ServerProcess } from '../e2e/support/serverProcess.js';
import { send } from '../support/http.js';
import { Nginx } from '../support/nginx.js';
import { RedisServer } from '../support/redisServer.js';
import { whenReady } from './clusterNodes.js';

// The official client takes the WebSocket of its global object, which is Node's own. Node 20 has none.
Object.assign(runInThisContext('globalThis'), { WebSocket });

const sessionsEach = 30;

let redis: RedisServer;
let nodes: ServerProcess[];
let nginx: Nginx;

beforeAll(async () => {
  redis = await RedisServer.start();
  const shared = ['--redis-url', redis.url, '--node-lease', '3s', '--trust-proxy', 'loopback'];
  const limits = ['--max-sessions', '200', '--max-sessions-per-user', '200', '--lease', 'lazy', '--prewarm', '0'];
  nodes = await Promise.all(Array.from({ length: 3 }, () => startServerProcess([...shared, ...limits])));
  await Promise.all(nodes.map(({ url }) => whenReady(url)));
  const site = await siteOfPage();
  nginx = await Nginx.start(site);
  while ((await send(`${nginx.url}/ready`).catch(() => undefined))?.status !== 200);
});
afterAll(async () => {
  await nginx.stop();
  await Promise.all(nodes.map((node) => node.dispose()));
  await redis.stop();
});

/** The configuration as the page on many nodes shows it, but for the ports. */
async function siteOfPage(): Promise<(port: number) => string> {
  const page = await readFile('src/cluster/README.md', 'utf8');
  const [, site = ''] = /^```nginx\n([\s\S]*?)^```$/m.exec(page) ?? [];
  const shown = [...site.matchAll(/server 127\.0\.0\.1:(\d+);/g)].map(([, port]) => port);
  expect(shown).toEqual(['4001', '4002', '4003']);
  const ported = nodes.reduce((text, { url }, index) => text.replace(String(shown[index]), new URL(url).port), site);
  return (port) => ported.replace('listen 8080;', `listen 127.0.0.1:${port};`);
}

const transports: Record<string, (url: string) => Transport> = {
  sse: (url) => new SSEClientTransport(new URL('/sse', url)),
  streamable: (url) => new StreamableHTTPClientTransport(new URL('/mcp', url)),
  webSocket: (url) => new WebSocketClientTransport(new URL('/ws', url.replace('http', 'ws'))),
};

async function open(kind: string): Promise<Client> {
  const client = new Client({ name: kind, version: '1' });
  const transport = transports[kind]?.(nginx.url);
  if (transport === undefined) throw new Error(`no ${kind}`);
  await client.connect(transport);
  return client;
}

test('[C-NODES][C-NGINX] 90 sessions through nginx as the page on many nodes shows it: none fails, and those of /mcp go on when a node dies', async () => {
  const opened = await Promise.all(
    Object.keys(transports).map((kind) => Promise.all(Array.from({ length: sessionsEach }, () => open(kind)))),
  );
  const clients = opened.flat();
  expect(clients).toHaveLength(3 * sessionsEach);
  await Promise.all(opened.flatMap(([first]) => first?.listTools() ?? []));
  await Promise.all(clients.map((client) => client.ping()));
  await Promise.all(clients.map((client) => client.ping()));

  const [mortal, ...others] = nodes;
  mortal?.child.kill('SIGKILL');
  await mortal?.exited;
  const streamable = opened[1] ?? [];
  expect(streamable).toHaveLength(sessionsEach);
  await Promise.all(streamable.map((client) => client.ping()));
  await Promise.all(streamable.map((client) => client.ping()));
  // Some were of the node that died.
  expect(others.flatMap(({ log }) => log).filter((line) => line.includes('session takeover'))).not.toEqual([]);
  const lateComer = await open('sse');
  await lateComer.ping();
  await Promise.allSettled([...clients, lateComer].map((client) => client.close()));
});
