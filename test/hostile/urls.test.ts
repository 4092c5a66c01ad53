import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { allTools } from '../../src/tools/allTools.js';
import type { Tool } from '../../src/tools/defineTool.js';
import { waitUntil } from '../e2e/support/serverProcess.js';
import { zip } from '../support/zipWriter.js';
import { openHouse, type House, type Tenant } from './support/house.js';

const secret = 'the-secret-of-the-inner-server';

/** A server that no session may reach: it answers everything with its secret, and keeps who asked. */
class InnerServer {
  readonly requests: string[] = [];
  readonly #server: Server = createServer((request, response) => this.#answer(request.url ?? '', response));

  #answer(url: string, response: ServerResponse): void {
    this.requests.push(url);
    response.writeHead(200, { 'content-type': 'text/html', 'access-control-allow-origin': '*' });
    response.end(`<title>${secret}</title>`);
  }

  async open(): Promise<number> {
    this.#server.on('upgrade', ({ url = '' }, socket) => {
      this.requests.push(url);
      socket.destroy();
    });
    // Whatever else is said to it.
    this.#server.on('connection', () => this.requests.push('a connection'));
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

/** Scripts of a page; `TO` is the address, `WEB` the server that the page is from. */
const scripts = {
  fetch: 'await fetch(TO)',
  'fetch without CORS': "await fetch(TO, { mode: 'no-cors' })",
  XMLHttpRequest:
    "new Promise((done) => { const r = new XMLHttpRequest(); r.onloadend = done; r.open('GET', TO); r.send(); })",
  'a beacon': 'navigator.sendBeacon(TO, "x")',
  'an image': 'await loaded("img", { src: TO })',
  'a script': 'await loaded("script", { src: TO })',
  'a style sheet': 'await loaded("link", { rel: "stylesheet", href: TO })',
  'a prefetch': 'await loaded("link", { rel: "prefetch", href: TO })',
  'a preloaded module': 'await loaded("link", { rel: "modulepreload", href: TO })',
  'a video': 'await loaded("video", { src: TO })',
  'an object': 'await loaded("object", { data: TO })',
  'a frame': 'await loaded("iframe", { src: TO })',
  'a frame that is redirected': 'await loaded("iframe", { src: WEB + "/to?" + encodeURIComponent(TO) })',
  'an import': 'await import(TO)',
  'a redirect': 'await fetch(WEB + "/to?" + encodeURIComponent(TO), { mode: "no-cors" })',
  'a stream of events': 'await new Promise((done) => { new EventSource(TO).onerror = done; })',
  'a worker': 'await inWorker("await fetch(TO, { mode: \'no-cors\' })")',
  'a worker that imports': 'await inWorker("importScripts(TO)")',
  'a window': 'window.open(TO)',
  'a link to download':
    'Object.assign(document.body.appendChild(document.createElement("a")), { href: TO, download: "x" }).click()',
  'a form':
    'Object.assign(document.body.appendChild(document.createElement("form")), { action: TO, target: "_blank" }).submit()',
  'a script that navigates': 'location.href = TO',
} as const;

/** More of them, for one of the two: what holds them is the same. */
const moreScripts = {
  'a page that is loaded in advance':
    'await loaded("script", { type: "speculationrules", textContent: JSON.stringify({ prefetch: [{ urls: [TO], eagerness: "immediate" }], prerender: [{ urls: [TO], eagerness: "immediate" }] }) })',
  'a ping': 'Object.assign(document.body.appendChild(document.createElement("a")), { href: "#", ping: TO }).click()',
  'a shared worker': 'await inShared("await fetch(TO, { mode: \'no-cors\' })")',
  'a request that outlives its page':
    'void fetch(TO, { keepalive: true, mode: "no-cors", method: "POST", body: "x" }); location.reload()',
  'a style':
    'document.body.insertAdjacentHTML("beforeend", "<style>@import url(" + TO + ");body{background:url(" + TO + ")}</style>")',
  'a frame of data': 'await loaded("iframe", { src: "data:text/html,<img src=" + TO + ">" })',
  'a frame of a text': 'await loaded("iframe", { srcdoc: "<img src=" + TO + ">" })',
  'a report of a policy':
    'await loaded("iframe", { srcdoc: "<meta http-equiv=Content-Security-Policy content=\\"img-src none; report-uri " + TO + "\\"><img src=/x>" })',
  'a connection in advance': 'await loaded("link", { rel: "preconnect", href: TO })',
  'a WebSocket to a host':
    'if (!TO.includes("private")) await new Promise((done) => { new WebSocket(TO.replace("http", "ws")).onerror = done; })',
  WebTransport: 'await new WebTransport(TO.replace("http:", "https:")).ready',
  WebRTC:
    'const peer = new RTCPeerConnection({ iceServers: [{ urls: "turn:" + new URL(TO).host + "?transport=tcp", username: "a", credential: "b" }] }); peer.createDataChannel("x"); const gathered = new Promise((done) => { peer.onicegatheringstatechange = () => peer.iceGatheringState === "complete" && done(); }); await peer.setLocalDescription(await peer.createOffer()); await gathered',
} as const;

const prelude = `
  const loaded = (tag, fields) => new Promise((done) => {
    const element = Object.assign(document.createElement(tag), fields, { onload: done, onerror: done });
    document.body.append(element);
    setTimeout(done, 150);
  });
  const inWorker = (code) => new Promise((done) => {
    const source = "const TO = " + JSON.stringify(TO) + "; (async () => { " + code + " })().catch(() => 0).finally(() => postMessage(1))";
    new Worker(URL.createObjectURL(new Blob([source]))).onmessage = done;
  });
  const inShared = (code) => new Promise((done) => {
    const source = "const TO = " + JSON.stringify(TO) + "; onconnect = ({ ports: [port] }) => { (async () => { " + code + " })().catch(() => 0).finally(() => port.postMessage(1)) }";
    const { port } = new SharedWorker(URL.createObjectURL(new Blob([source])));
    port.onmessage = done;
  });`;

interface ArgumentSchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly items?: ArgumentSchema;
  readonly properties?: Readonly<Record<string, ArgumentSchema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly ArgumentSchema[];
}

const schemaOf = ({ input }: Tool): ArgumentSchema =>
  z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' }) as ArgumentSchema;

/** Arguments that name an address or a path, by their names: a new tool joins by itself. */
function addressArguments(tool: Tool): string[] {
  const texts = ({ type, items, enum: choices }: ArgumentSchema): boolean =>
    (type === 'string' && choices === undefined) || (type === 'array' && items?.type === 'string');
  return Object.entries(schemaOf(tool).properties ?? {})
    .filter(([name, schema]) => texts(schema) && /ur[li]|path|file|folder|archive|origin|address|^page$/i.test(name))
    .map(([name]) => name);
}

const setAt = (tool: Tool, name: string, value: string): object => ({
  [name]: schemaOf(tool).properties?.[name]?.type === 'array' ? [value] : value,
});

/** Any value for each required argument, and the least for each that makes a call wait. */
function requiredArguments(tool: Tool): object {
  const { properties = {}, required = [] } = schemaOf(tool);
  const names = Object.keys(properties).filter((name) => required.includes(name) || /timeout/i.test(name));
  return Object.fromEntries(names.map((name) => [name, valueFor(properties[name] ?? {})]));
}

function valueFor({
  type,
  enum: choices,
  minimum = 1,
  items,
  properties = {},
  required = [],
  anyOf,
}: ArgumentSchema): unknown {
  if (choices !== undefined) return choices[0];
  if (anyOf !== undefined) return valueFor(anyOf[0] ?? {});
  if (type === 'array') return [valueFor(items ?? {})];
  if (type === 'object') return Object.fromEntries(required.map((name) => [name, valueFor(properties[name] ?? {})]));
  return { number: minimum, integer: minimum, boolean: false }[type ?? ''] ?? 'x';
}

const settled = '() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 100)))';

describe.each([
  ['a shared process', 'context', 'server'],
  ['a process of its own, with patterns of the user alone', 'auto', 'user'],
] as const)('in %s no way leads to a blocked address', (_where, isolation, whose) => {
  const inner = new InnerServer();
  let house: House;
  let tenant: Tenant;
  let blocked: string;

  beforeAll(async () => {
    blocked = `http://127.0.0.1:${await inner.open()}`;
    const blockedUrls = [`*://127.0.0.1:${new URL(blocked).port}`, '*/private/*'];
    house = await openHouse({ isolation, ...(whose === 'server' && { blockedUrls }) });
    tenant = await house.tenant('anna', whose === 'user' ? { blockedUrls } : {});
    await tenant.data('new_page', { url: house.web });
  });
  afterEach(() => {
    expect(inner.requests).toEqual([]);
    expect(house.requests.filter((url) => url.startsWith('/private'))).toEqual([]);
  });
  afterAll(async () => {
    await house.close();
    inner.close();
  });

  test.each(['new_page', 'navigate_page'])('%s says which flag is in the way', async (tool) => {
    for (const url of [
      `${blocked}/`,
      `${blocked.slice(7)}/x`,
      `${house.web}/private/x`,
      blocked.replace('127.0.0.1', '0x7f.1'),
    ]) {
      expect(await tenant.attempt(tool, { url })).toMatch(/127\.0\.0\.1:\d+\/\S* is blocked by --blocked-urls/);
    }
  });

  test('install_extension fetches nothing from there, also not after a redirect', async () => {
    for (const url of [`${blocked}/x.zip`, `${house.web}/to?${encodeURIComponent(`${blocked}/x.zip`)}`]) {
      expect(await tenant.attempt('install_extension', { url })).toMatch(
        /--blocked-urls|process or profile of its own/,
      );
    }
  });

  const tried = [...Object.entries(scripts), ...(whose === 'user' ? Object.entries(moreScripts) : [])];
  test.each(tried)('%s', async (_name, script) => {
    await tenant.attempt('navigate_page', { url: house.web });
    for (const target of [`${house.web}/private/x`, `${blocked}/x`]) {
      const source = `async () => { const TO = ${JSON.stringify(target)}, WEB = ${JSON.stringify(house.web)}; ${prelude}
        try { ${script} } catch { } }`;
      await tenant.attempt('evaluate_script', { function: source });
    }
    await tenant.attempt('evaluate_script', { function: settled });
  });

  test.each(Object.entries(scripts).filter(([name]) => /^(fetch|an image|a frame|a worker)$/.test(name)))(
    '%s reaches what is not blocked',
    async (name, script) => {
      const path = `/open/${encodeURIComponent(name)}`;
      const source = `async () => { const TO = ${JSON.stringify(house.web + path)}, WEB = ''; ${prelude} ${script} }`;
      // What the attempts before this one left behind may still take the page away.
      await waitUntil(async () => {
        await tenant.attempt('navigate_page', { url: house.web });
        await tenant.attempt('evaluate_script', { function: source });
        return house.requests.includes(path);
      });
    },
  );

  test('and no page shows anything of it', async () => {
    expect(await tenant.everything()).not.toContain(secret);
  });

  if (isolation === 'auto') {
    test('the worker of an extension, which may reach every host', async () => {
      const manifest = {
        ...{ manifest_version: 3, name: 'Reader', version: '1', host_permissions: ['<all_urls>'] },
        background: { service_worker: 'worker.js' },
      };
      const archive = zip([
        { name: 'manifest.json', content: JSON.stringify(manifest) },
        { name: 'worker.js', content: '' },
      ]);
      const { id } = await tenant.data('install_extension', { archive: archive.toString('base64') });
      const source = `async () => (await fetch(${JSON.stringify(`${blocked}/worker`)})).text()`;
      const answer = await tenant.attempt('evaluate_in_extension', { extensionId: id, expression: source });
      expect(answer).not.toContain(secret);
    });

    test('no tool takes it, or a file from outside, in any argument for an address or a path', async () => {
      const file = join(house.outside, 'secret.txt');
      await writeFile(file, secret);
      await symlink(house.outside, join(house.workspace, 'link'));
      const targets = [
        ...[`${blocked}/x.zip`, file, pathToFileURL(file).href, '../outside/secret.txt', 'link/secret.txt'],
        ...['/proc/self/environ', 'chrome://version'],
      ];
      const attempts = allTools.flatMap((tool) => addressArguments(tool).map((name) => [tool, name] as const));
      expect(attempts.length).toBeGreaterThan(20);
      await tenant.attempt('navigate_page', { url: house.web });
      for (const [tool, name] of attempts) {
        const answers = await Promise.all(
          targets.map((target) =>
            tenant.attempt(tool.name, { ...requiredArguments(tool), ...setAt(tool, name, target) }),
          ),
        );
        const text = answers.join('\n');
        for (const shown of [secret, 'root:', 'PATH='])
          expect({ tool: tool.name, name, shows: text.includes(shown) && shown }).toEqual({
            tool: tool.name,
            name,
            shows: false,
          });
      }
      expect(await readdir(house.outside)).toEqual(['secret.txt']);
      expect(await readFile(file, 'utf8')).toBe(secret);
      expect(await tenant.everything()).not.toContain(secret);
    });
  }
});
