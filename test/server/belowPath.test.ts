import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { send } from '../support/http.js';
import { Nginx } from '../support/nginx.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { bearer } from '../tenancy/support/guardedServer.js';
import { OAuthIssuer } from '../tenancy/support/oauthIssuer.js';
import { withFolder } from '../tenancy/support/tempFolder.js';

/** A proxy that serves a server below a path, as it is written most often, with the settings for streams, and unchanged. */
const siteOf = (url: string) => (port: number) => `server {
  listen 127.0.0.1:${port};
  proxy_buffering off;
  location /gr/ { proxy_pass ${url}/; }
  location /streams/ { proxy_pass ${url}/; proxy_http_version 1.1; proxy_set_header Connection ""; }
  location /named/ {
    proxy_pass ${url}/; proxy_http_version 1.1;
    proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
  }
  location /kept/ { proxy_pass ${url}; proxy_set_header X-Forwarded-For $remote_addr; }
}`;

/** Runs with a proxy in front of a server, once it answers. */
async function withNginx(served: TestServer, run: (url: string) => Promise<void>): Promise<void> {
  const nginx = await Nginx.start(siteOf(served.url));
  while ((await send(`${nginx.url}/gr/ready`).catch(() => undefined))?.status !== 200);
  await run(nginx.url);
  await nginx.stop();
}

const echo = { name: 'echo', arguments: { value: 'hello' } };

test('below the path of a proxy the official client works over both transports, and the inspector shows its page', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  await withNginx(served, async (url) => {
    for (const path of ['/gr', '/streams', '/named']) {
      const addresses = ['sse', 'sse/', 'mcp'].map((route) => new URL(`${url}${path}/${route}`));
      for (const address of addresses) {
        const client = new Client({ name: 'test', version: '1' });
        const isSse = address.pathname.includes('sse');
        await client.connect(isSse ? new SSEClientTransport(address) : new StreamableHTTPClientTransport(address));
        expect(await client.callTool(echo)).toMatchObject({ structuredContent: { value: 'hello' } });
        await client.close();
      }
      for (const page of ['inspector', 'inspector/']) {
        const address = `${url}${path}/${page}`;
        const [, base = ''] = /<base href="([^"]*)"/.exec((await send(address)).text) ?? [];
        const script = await send(new URL('main.js', new URL(base, address)).href);
        expect([script.status, script.headers['content-type']]).toEqual([
          200,
          expect.stringContaining('text/javascript'),
        ]);
      }
    }
    const socket = await new RawWebSocket(url, { path: '/named/ws' }).whenAnnounced();
    socket.socket.terminate();
  });
  await served.close();
});

test('a client without a proxy is told the whole path, for those that only append it to the host', async () => {
  const served = await startTestServer();
  const direct = await new RawSse(served.url).whenAnnounced();
  const proxied = await new RawSse(served.url, { headers: { 'x-forwarded-for': '10.0.0.1' } }).whenAnnounced();
  expect(direct.endpoint).toBe(`/message?sessionId=${direct.sessionId}`);
  expect(proxied.endpoint).toBe(`message?sessionId=${proxied.sessionId}`);
  await Promise.all([direct.disconnect(), proxied.disconnect()]);
  await served.close();
});

test('--public-url with a path: a token is asked for with metadata below it, whether the proxy removes the path or not', () =>
  withFolder(async (dataDir) => {
    const issuer = await new OAuthIssuer().start();
    await issuer.rotate();
    const publicUrl = 'https://mcp.example/kept/';
    const jwt = { auth: 'jwt', jwtIssuer: issuer.url, jwtAudience: 'https://mcp.example', dataDir, publicUrl } as const;
    const served = await startTestServer({ options: jwt });
    const wellKnown = '.well-known/oauth-protected-resource';
    await withNginx(served, async (url) => {
      for (const path of ['/kept', '/gr', '']) {
        const base = path === '' ? served.url : `${url}${path}`;
        const refused = await send(`${base}/mcp`);
        const metadata = `https://mcp.example/kept/${wellKnown}/mcp`;
        expect([refused.status, refused.headers['www-authenticate']]).toEqual([
          401,
          `Bearer realm="greenroom", resource_metadata="${metadata}"`,
        ]);
        expect((await send(`${base}/${wellKnown}/mcp`)).json).toMatchObject({
          resource: 'https://mcp.example/kept/mcp',
          authorization_servers: [issuer.url],
        });
        const client = new RawMcp(base, { path: `${path}/mcp`, headers: bearer(await issuer.sign()) });
        expect((await client.initialize()).sessionId).toMatch(/^[\w-]{22}$/);
        await client.delete();
      }
      // A proxy that passes on the metadata at the root of its host, where RFC 9728 puts it.
      expect((await send(`${served.url}/${wellKnown}/kept/mcp`)).json).toMatchObject({
        resource: 'https://mcp.example/kept/mcp',
      });
      expect((await send(`${served.url}/keptaway/mcp`)).status).toBe(404);
      await new RawWebSocket(served.url, { path: '/kept/ws', headers: bearer(await issuer.sign()) }).whenAnnounced();
    });
    await served.close();
    await issuer.stop();
  }));
