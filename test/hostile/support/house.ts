import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CallToolResultSchema, type CallToolResult } from '@modelcontextprotocol/sdk/types.js';
import { createOrchestrator, type OrchestratorOptions } from '../../../src/server/orchestrator.js';
import { chromium } from '../../support/chromium.js';
import { send } from '../../support/http.js';

const adminToken = 'the-operator-token-of-this-test';

/** What one user may do and no more: every tool, over a session with a token. */
export class Tenant {
  readonly #client = new Client({ name: 'tenant', version: '1.0.0' });

  static async connect(url: string, token: string): Promise<Tenant> {
    const tenant = new Tenant();
    const headers = { authorization: `Bearer ${token}` };
    await tenant.#client.connect(
      new StreamableHTTPClientTransport(new URL('/mcp?structured=1', url), { requestInit: { headers } }),
    );
    return tenant;
  }

  async call(name: string, args: Record<string, unknown> = {}): Promise<CallToolResult> {
    return CallToolResultSchema.parse(await this.#client.callTool({ name, arguments: args }));
  }

  /** All that the answer has, whether it is a refusal or not. */
  async attempt(name: string, args: Record<string, unknown> = {}): Promise<string> {
    return JSON.stringify(await this.call(name, args));
  }

  /** The data of an answer that has to be a success. */
  async data(name: string, args: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const result = await this.call(name, args);
    if (result.isError === true) throw new Error(`${name}: ${JSON.stringify(result.content)}`);
    return result.structuredContent ?? {};
  }

  async evaluate(source: string, more: Record<string, unknown> = {}): Promise<unknown> {
    const { result } = await this.data('evaluate_script', { function: source, ...more });
    return result === 'undefined' ? undefined : JSON.parse(String(result));
  }

  async pages(): Promise<{ id: number; url: string }[]> {
    return (await this.data('list_pages'))['pages'] as { id: number; url: string }[];
  }

  /** Everything that tools tell of every page. */
  async everything(): Promise<string> {
    const parts = [await this.attempt('list_pages'), await this.attempt('get_connected_browser')];
    for (const { id: pageId } of await this.pages()) {
      for (const name of readers) parts.push(await this.attempt(name, { pageId }));
      const source = '() => document.documentElement.outerHTML + JSON.stringify(window.secret)';
      parts.push(await this.attempt('evaluate_script', { pageId, function: source }));
      for (let id = 1; id <= requests; id += 1) parts.push(await this.attempt('get_network_request', { pageId, id }));
    }
    return parts.join('\n');
  }

  /** The contents of all resources of the session, and their list. */
  async resources(): Promise<string> {
    const { resources } = await this.#client.listResources();
    const contents = await Promise.all(resources.map(({ uri }) => this.#client.readResource({ uri })));
    return JSON.stringify([resources, contents]);
  }

  /** Ends the session at the server, and resolves when it is gone there. */
  async end(): Promise<void> {
    const { transport } = this.#client;
    if (transport instanceof StreamableHTTPClientTransport) await transport.terminateSession();
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}

const readers = ['take_snapshot', 'list_network_requests', 'list_console_messages', 'inspect_page_storage'];
/** As many as a page of these tests makes. */
const requests = 12;

/** A server with tokens, a workspace, a folder that is outside of it, and pages of the web. The caller closes it. */
export interface House {
  readonly web: string;
  readonly workspace: string;
  readonly outside: string;
  /** Every path that the web was asked for. */
  readonly requests: readonly string[];
  /** `fields`: of the user, at the management API. */
  tenant(user: string, fields?: object): Promise<Tenant>;
  /** Writes a file of the workspace and answers its address. */
  write(path: string, content: string): Promise<string>;
  close(): Promise<void>;
}

export async function openHouse(options: NonNullable<OrchestratorOptions['options']>): Promise<House> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-hostile-'));
  const [workspace, outside, dataDir] = ['workspace', 'outside', 'data'].map((name) => join(folder, name));
  if (workspace === undefined || outside === undefined || dataDir === undefined) throw new Error('No folders.');
  await Promise.all([workspace, outside].map((path) => mkdir(path)));
  const requests: string[] = [];
  const web = await serveWeb(requests);
  const orchestrator = await createOrchestrator({
    options: {
      ...{ port: 0, prewarm: 0, auth: 'token', adminToken, dataDir, executablePath: chromium },
      ...{ workspace: [workspace], tools: ['all'], logLevel: 'error', ...options },
    },
  });
  const { url } = await orchestrator.listen();
  const tenants: Tenant[] = [];
  return {
    web: `http://127.0.0.1:${(web.address() as AddressInfo).port}`,
    workspace,
    outside,
    requests,
    tenant: async (user, fields = {}) => {
      const tenant = await Tenant.connect(url, await tokenOf(url, user, fields));
      tenants.push(tenant);
      return tenant;
    },
    write: async (path, content) => {
      const file = join(workspace, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, content);
      return pathToFileURL(file).href;
    },
    close: async () => {
      await Promise.all(tenants.map((tenant) => tenant.close()));
      await orchestrator.close();
      web.close();
      web.closeAllConnections();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function tokenOf(url: string, user: string, fields: object): Promise<string> {
  const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' };
  await send(`${url}/api/users`, { method: 'POST', headers, body: JSON.stringify({ id: user, ...fields }) });
  const { status, text } = await send(`${url}/api/users/${user}/tokens`, { method: 'POST', headers, body: '{}' });
  if (status !== 201) throw new Error(`${status} ${text}`);
  return (JSON.parse(text) as { token: string }).token;
}

const pdf =
  '%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n' +
  '3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 144]>>endobj\ntrailer<</Root 1 0 R>>';

/** `/to?<address>` redirects there, `/x.pdf` is a PDF, all else a small page. */
async function serveWeb(requests: string[]): Promise<Server> {
  const server = createServer(({ url = '/' }, response) => {
    requests.push(url);
    if (url.startsWith('/to?')) {
      response.writeHead(302, { location: decodeURIComponent(url.slice(4)) }).end();
    } else if (url === '/x.pdf') {
      response.writeHead(200, { 'content-type': 'application/pdf' }).end(pdf);
    } else {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<title>Web</title><p>A page</p>');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}
