import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { chromium, chromiumFlags } from '../support/chromium.js';
import { root } from '../support/root.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

/** The modules of the official client as a page loads them. What it uses of CommonJS only checks schemas: not here. */
const nothing = 'data:text/javascript,export default function nothing() {}; export const parse = nothing';
const imports = {
  '@modelcontextprotocol/sdk/': '/@modelcontextprotocol/sdk/dist/esm/',
  'zod/v3': '/zod/v3/index.js',
  'zod/v4': '/zod/v4/index.js',
  'zod/v4-mini': '/zod/v4-mini/index.js',
  'zod-to-json-schema': '/zod-to-json-schema/dist/esm/index.js',
  'eventsource-parser': '/eventsource-parser/dist/index.js',
  'eventsource-parser/stream': '/eventsource-parser/dist/stream.js',
  eventsource: '/eventsource/dist/index.js',
  'pkce-challenge': '/pkce-challenge/dist/index.browser.js',
  ajv: nothing,
  'ajv-formats': nothing,
  'content-type': nothing,
};
const html = `<!doctype html><script type="importmap">${JSON.stringify({ imports })}</script>`;

/** A site of its own, whose page can load the official client. */
const site: Server = createServer((request, response) => {
  const path = normalize(request.url ?? '/');
  if (!path.endsWith('.js')) {
    response.writeHead(200, { 'content-type': 'text/html' }).end(html);
    return;
  }
  void readFile(join(root, 'node_modules', path)).then(
    (text) => response.writeHead(200, { 'content-type': 'text/javascript' }).end(text),
    () => response.writeHead(404).end(),
  );
});

let served: TestServer;
let browser: Browser;
let port: number;
beforeAll(async () => {
  await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
  ({ port } = site.address() as AddressInfo);
  served = await startTestServer({ tools: new TestTools().all });
  const args = [...chromiumFlags, '--host-resolver-rules=MAP other.example 127.0.0.1'];
  browser = await puppeteer.launch({ executablePath: chromium, args });
});
afterAll(async () => {
  await browser.close();
  await served.close();
  site.close();
});

/** Connects from a page of the host, lists, calls and leaves; the text of the failure if it cannot. */
async function useFrom(host: string, transport: string): Promise<unknown> {
  const page: Page = await browser.newPage();
  await page.goto(`http://${host}:${port}/`);
  const script = `(async () => {
    const { Client } = await import('@modelcontextprotocol/sdk/client/index.js');
    const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js');
    const { SSEClientTransport } = await import('@modelcontextprotocol/sdk/client/sse.js');
    const jsonSchemaValidator = { getValidator: () => (data) => ({ valid: true, data }) };
    const client = new Client({ name: 'page', version: '1' }, { jsonSchemaValidator });
    const transports = {
      mcp: () => new StreamableHTTPClientTransport(new URL(${JSON.stringify(served.url)} + '/mcp')),
      sse: () => new SSEClientTransport(new URL(${JSON.stringify(served.url)} + '/sse')),
    };
    const transport = transports[${JSON.stringify(transport)}]();
    try {
      await client.connect(transport);
      const { tools } = await client.listTools();
      const { structuredContent } = await client.callTool({ name: 'echo', arguments: { value: 'hello' } });
      const sessionId = transport.sessionId ?? 'in its address';
      await transport.terminateSession?.();
      await client.close();
      return { tools: tools.length, ...structuredContent, sessionId };
    } catch (error) {
      return String(error);
    }
  })()`;
  const outcome = await page.evaluate(script);
  await page.close();
  return outcome;
}

test.each(['mcp', 'sse'])(
  'a page of another, allowed origin lists and calls with the official client at /%s; one that is not allowed cannot',
  async (transport) => {
    expect(await useFrom('localhost', transport)).toEqual({
      tools: new TestTools().all.length,
      value: 'hello',
      sessionId: expect.stringMatching(/^[\w-]{22}$|^in its address$/),
    });
    const before = served.orchestrator.registry.list().length;
    expect(await useFrom('other.example', transport)).toMatch(/TypeError|SSE error/);
    expect(served.orchestrator.registry.list().length).toBeLessThanOrEqual(before);
  },
);
