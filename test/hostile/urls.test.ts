import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { UrlRules } from '../../src/browser/policy/urlRules.js';
import { networkFlags } from '../../src/browser/policy/networkFlags.js';
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

const prelude = `
  const loaded = (tag, fields) => new Promise((done) => {
    const element = Object.assign(document.createElement(tag), fields, { onload: done, onerror: done });
    document.body.append(element);
    setTimeout(done, 150);
  });
  const inWorker = (code) => new Promise((done) => {
    const source = "const TO = " + JSON.stringify(TO) + "; (async () => { " + code + " })().catch(() => 0).finally(() => postMessage(1))";
    new Worker(URL.createObjectURL(new Blob([source]))).onmessage = done;
  });`;

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

  test.each(Object.entries(scripts))('%s', async (_name, script) => {
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
      await tenant.attempt('navigate_page', { url: house.web });
      const path = `/open/${encodeURIComponent(name)}`;
      const source = `async () => { const TO = ${JSON.stringify(house.web + path)}, WEB = ''; ${prelude} ${script} }`;
      await tenant.attempt('evaluate_script', { function: source });
      expect(house.requests).toContain(path);
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
  }
});

test.each([
  ['example.com', 'https://example.com/x', true],
  ['example.com', 'https://www.example.com/x', true],
  ['example.com', 'wss://example.com/', true],
  ['example.com', 'https://notexample.com/', false],
  ['example.com', 'https://example.com.evil.test/', false],
  ['*.example.com:8080', 'http://a.example.com:8080/', true],
  ['*.example.com:8080', 'http://a.example.com/', false],
  ['https://example.com/docs/*', 'https://example.com/docs/a?b', true],
  ['https://example.com/docs/*', 'http://example.com/docs/a', false],
  ['https://example.com/docs/*', 'https://www.example.com/docs/a', false],
  ['10.0.0.0/8', 'http://10.1.2.3:99/', true],
  ['10.0.0.0/8', 'http://[::ffff:10.1.2.3]/', true],
  ['10.0.0.0/8', 'http://11.1.2.3/', false],
  ['127.0.0.1', 'http://2130706433/', true],
  ['*', 'https://anything.test/', true],
  ['*secret*', 'https://x.test/?secret=1', true],
  ['*://x.test/*', 'blob:https://x.test/0', true],
])('the pattern %s and %s: %s', (pattern, address, matches) => {
  const rules = (lists: object) => new UrlRules([{ allowed: [], blocked: [], ...lists }], { blocksMetadata: false });
  const url = new URL(address);
  expect(rules({ blocked: [pattern] }).refusalOf(url) !== undefined).toBe(matches);
  expect(rules({ allowed: [pattern] }).refusalOf(url) === undefined).toBe(matches);
});

test.each([
  'http://169.254.169.254/latest/meta-data/',
  'http://2852039166/',
  'http://0xa9fea9fe/',
  'http://0251.0376.0251.0376/',
  'http://169.254.43518/',
  'http://[::ffff:169.254.169.254]/',
  'http://[::ffff:a9fe:a9fe]/',
  'http://[::169.254.169.254]/',
  'http://[64:ff9b::169.254.169.254]/',
  'http://[64:ff9b:1::a9fe:a9fe]/',
  'http://[2002:a9fe:a9fe::1]/',
  'http://[fe80::1]/',
  'http://[fd00:ec2::254]/',
  'http://100.100.100.200/',
  'http://[::ffff:100.100.100.200]/',
  'http://168.63.129.16/',
  'http://metadata.google.internal/',
  'http://METADATA.google.internal./',
  'ws://169.254.169.254/',
  'blob:http://169.254.169.254/1',
])('with authentication %s is not reached', (address) => {
  const blocks = (blocksMetadata: boolean) => new UrlRules([], { blocksMetadata }).refusalOf(new URL(address));
  expect(blocks(true)).toMatch(/link-local address or a cloud metadata service.*--auth/);
  expect(blocks(false)).toBeUndefined();
});

test('a name that resolves to a forbidden address is refused, whatever it resolved to before', async () => {
  const rules = new UrlRules([{ allowed: [], blocked: ['127.0.0.0/8', '::1/128'] }], { blocksMetadata: true });
  await expect(rules.check(new URL('http://localhost:1/'))).rejects.toThrow('--blocked-urls');
  expect(rules.refusalOfAddress('evil.test', '169.254.169.254')).toContain('evil.test (169.254.169.254)');
  const flags = networkFlags(rules).join(' ');
  expect(flags).toContain('--host-resolver-rules=MAP 169.254.* ~NOTFOUND');
  expect(flags).toContain('--proxy-pac-url=data:');
  expect(networkFlags(new UrlRules([], { blocksMetadata: false }))).toEqual([]);
});
