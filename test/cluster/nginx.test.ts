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
import { ping } from '../support/messages.js';
import { Nginx } from '../support/nginx.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RedisServer } from '../support/redisServer.js';
import { StatelessClient } from '../support/statelessClient.js';
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
  const placed = (place: number): string[] => ['--node-id', `node-${place}`, '--proxy-place', `${place}/3`];
  nodes = await Promise.all([1, 2, 3].map((place) => startServerProcess([...shared, ...limits, ...placed(place)])));
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
  const shownNode = 'add_header x-node $upstream_addr always;';
  return (port) => ported.replace('listen 8080;', `listen 127.0.0.1:${port}; ${shownNode}`);
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

/** The nodes of sessions by their id, as nginx names them. Each node is asked for its own: of others it hears later. */
async function owners(): Promise<Map<string, string>> {
  const owned = new Map<string, string>();
  for (const [index, { url }] of nodes.entries()) {
    const { json } = await send(`${url}/api/sessions`);
    const { sessions } = json as { sessions: { id: string; node: string }[] };
    for (const { id, node } of sessions) if (node === `node-${index + 1}`) owned.set(id, new URL(url).host);
  }
  return owned;
}

test('[C-NODES][C-NGINX] what is asked of a session, or of a browser_id, goes to its node at once', async () => {
  const each = Array.from({ length: 6 });
  const modern = new StatelessClient(nginx.url);
  const handles = await Promise.all(each.map(() => modern.open()));
  const earlier = await Promise.all(each.map(() => new RawMcp(nginx.url).initialize()));
  const streams = await Promise.all(each.map(() => new RawSse(nginx.url).whenInitialized()));
  const askedAt = new Map<string, unknown>();
  for (const id of handles) {
    const params = { name: 'get_session_info', arguments: { browser_id: id } };
    const { headers, text } = await modern.post('tools/call', { params });
    expect(text).toContain(id);
    askedAt.set(id, headers['x-node']);
  }
  for (const client of earlier) askedAt.set(client.sessionId, (await client.post(ping(1))).headers['x-node']);
  for (const stream of streams) askedAt.set(stream.sessionId, (await stream.post(ping(1))).headers['x-node']);
  const owned = await owners();
  expect(Object.fromEntries(askedAt)).toEqual(Object.fromEntries([...askedAt.keys()].map((id) => [id, owned.get(id)])));
  expect(new Set(askedAt.values()).size).toBe(3);
  for (const id of handles) await modern.text('close_browser', { browser_id: id });
  await Promise.all([...earlier.map((client) => client.delete()), ...streams.map((stream) => stream.disconnect())]);
});

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
