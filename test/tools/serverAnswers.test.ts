import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { noop } from '../../src/async.js';
import { evidenceTools } from '../../src/tools/evidenceTools.js';
import { consoleTools } from '../../src/tools/consoleTools.js';
import { emulationTools } from '../../src/tools/emulationTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { networkTools } from '../../src/tools/networkTools.js';
import { pageTools } from '../../src/tools/pageTools.js';
import { waitUntilFound } from '../browser/support/collectedPage.js';
import { launchAsServer, startToolHarness, type ToolHarness } from './support/toolHarness.js';

/** Self-signed, for localhost. */
const tls = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWITmVJTFBw9ylPMy
/2FxeyHK4yj65KylTM6+uOiLNtihRANCAAQ/cZTUY8xBFEd87Y3AYH1z33oBGgdo
mqDPd37I4sOXjf1nBLA+HZEwLbnmxam5/Wddx3dr6UMwX/sf12egRDb6
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUFgpHAMinQZCbywS40nV3lu5Gl7YwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyOTAzNTQyOVoYDzIxMjYxMTA1
MDM1NDI5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ/cZTUY8xBFEd87Y3AYH1z33oBGgdomqDPd37I4sOXjf1nBLA+HZEw
Lbnmxam5/Wddx3dr6UMwX/sf12egRDb6o28wbTAdBgNVHQ4EFgQUsgX39Xu8vBwJ
jW0CpuRoEI7Sz0wwHwYDVR0jBBgwFoAUsgX39Xu8vBwJjW0CpuRoEI7Sz0wwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSAAwRQIgbaDcQ32HTNbzqDPWeHSU6SdYjcXO4W9vPbJrCbgPkDwCIQC/
QP7JETUHjNwMF4PGDIlCPFcmdSVeYqXIaa2H6xMQwg==
-----END CERTIFICATE-----`,
};

const pdf = `%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/MediaBox[0 0 200 200]/Parent 2 0 R/Resources<</Font<</F1 4 0 R>>>>/Contents 5 0 R>>endobj
4 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
5 0 obj<</Length 80>>stream
BT /F1 12 Tf 20 150 Td (Invoice 4711) Tj 0 -20 Td (Total: 12 EUR) Tj ET
endstream endobj
trailer<</Root 1 0 R>>
%%EOF`;

type Answer = (response: ServerResponse, request: IncomingMessage) => unknown;

const html = { 'content-type': 'text/html' };

const answers: Readonly<Record<string, Answer>> = {
  '/start': (response) => response.writeHead(200, html).end('<title>Start</title><h1>Start</h1>'),
  '/strict': (response) =>
    response.writeHead(200, { ...html, 'content-security-policy': "connect-src 'none'" }).end('<h1>Strict</h1>'),
  '/204': (response) => response.writeHead(204).end(),
  '/205': (response) => response.writeHead(205).end(),
  '/empty': (response) => response.writeHead(200).end(),
  '/lost': (response) => response.writeHead(404).end(),
  '/missing': (response) => response.writeHead(404, html).end('<h1>Nothing here</h1>'),
  '/broken': (response) => response.writeHead(500, html).end('<h1>Broken</h1>'),
  '/latin': (response) =>
    response.writeHead(200, { 'content-type': 'text/plain; charset=iso-8859-1' }).end(Buffer.from('caf\xe9', 'latin1')),
  '/bytes': (response) =>
    response.writeHead(200, { 'content-type': 'application/octet-stream' }).end(Buffer.from([0, 1, 2, 255])),
  '/silent': noop,
  '/reset': (response) => response.destroy(),
  '/stream': (response) => response.writeHead(200, { 'content-type': 'application/x-ndjson' }).write('{"first":1}\n'),
  '/file.pdf': (response) => response.writeHead(200, { 'content-type': 'application/pdf' }).end(pdf),
  '/login': (response) => response.writeHead(302, { location: '/login' }).end(),
  '/framed': (response) =>
    response.writeHead(200, html).end('<title>Framed</title><iframe src="/file.pdf"></iframe><embed src="/none.pdf">'),
  '/none.pdf': (response) => response.writeHead(200, { 'content-type': 'application/pdf' }).end('no PDF'),
  '/offers': (response) =>
    response
      .writeHead(401, { 'www-authenticate': 'Digest realm="Lab", nonce="x", qop="auth", Basic realm="Lab B"' })
      .end(),
  '/area': (response, { headers }) => {
    const [name, password] = Buffer.from(headers.authorization?.slice(6) ?? '', 'base64')
      .toString()
      .split(':');
    if (name === 'ada' && password === 'engine') return response.writeHead(200, html).end('<h1>Welcome</h1>');
    return response.writeHead(401, { ...html, 'www-authenticate': 'Basic realm="Team area"' }).end('<h1>Refused</h1>');
  },
};

const respond = (request: IncomingMessage, response: ServerResponse): void => {
  const answer = answers[request.url ?? ''];
  if (answer === undefined) response.writeHead(200).end();
  else answer(response, request);
};

const server = createServer(respond);
const tlsServer = createTlsServer(tls, respond);
let url: string;
let tlsUrl: string;
let harness: ToolHarness;
const tools = [
  ...evidenceTools,
  ...pageTools,
  ...navigationTools,
  ...lookTools,
  ...networkTools,
  ...consoleTools,
  ...emulationTools,
];

beforeAll(async () => {
  await Promise.all([
    once(server.listen(0, '127.0.0.1'), 'listening'),
    once(tlsServer.listen(0, '127.0.0.1'), 'listening'),
  ]);
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  tlsUrl = `https://localhost:${(tlsServer.address() as AddressInfo).port}`;
  harness = await startToolHarness(tools);
  await harness.run('new_page', { url: `${url}/start` });
});

afterAll(async () => {
  await harness.close();
  for (const each of [server, tlsServer]) {
    each.closeAllConnections();
    each.close();
  }
});

const go = (path: string) => harness.run('navigate_page', { url: url + path });
const run = (source: string) => harness.text('evaluate_script', { function: source });

interface Row {
  readonly id: number;
  readonly state: string;
  readonly status?: number;
}

/** The newest request for this path, once `isReady`. */
const row = (path: string, isReady = ({ state }: Row) => state !== 'pending'): Promise<Row> =>
  waitUntilFound(async () => {
    const { structured } = await harness.run('list_network_requests', { url: `*${path}` });
    return (structured['requests'] as Row[]).findLast(isReady);
  });

describe('an answer without a body has its status', () => {
  test.each([
    ['DELETE', '/204', 204],
    ['GET', '/205', 205],
    ['HEAD', '/start', 200],
    ['GET', '/empty', 200],
  ])('%s %s', async (method, path, status) => {
    await run(`() => fetch('${path}', { method: '${method}' }).then(({ status }) => status)`);
    const { id, state, status: told } = await row(path);
    expect([state, told]).toEqual(['finished', status]);
    expect(await harness.text('list_network_requests', { status: 'failed' })).not.toContain(path);
    const { text } = await harness.run('get_network_request', { id });
    expect(text).toMatch(/Response body(: None|: Empty| \(0 characters\))/);
    expect(text).not.toContain('Protocol error');
  });
});

describe('a document', () => {
  test.each([
    ['/missing', '(404 Not Found)', 404],
    ['/broken', '(500 Internal Server Error)', 500],
    ['/lost', '(404 Not Found, without a body)', 404],
  ])('%s is told with its status', async (path, said, status) => {
    const { text, structured } = await go(path);
    expect(text).toBe(`Now at ${url}${path} ${said}`);
    expect(structured).toMatchObject({ status, settled: true });
  });

  test.each(['/204', '/205'])('%s leaves the page as it was', async (path) => {
    await go('/start');
    const { text } = await go(path);
    expect(text).toMatch(/answered 20[45] \w+ \w+: the page stays as it was/);
    expect(await run('() => document.title')).toBe('"Start"');
  });

  test('a PDF is shown, its viewer is no part of the list, and the next page is as good as any', async () => {
    expect((await go('/file.pdf')).text).toBe(`Now at ${url}/file.pdf`);
    expect(await harness.text('list_network_requests')).not.toMatch(/chrome:|chrome-extension:/);
    expect((await go('/start')).text).toBe(`Now at ${url}/start`);
    expect(await run('() => document.title')).toBe('"Start"');
  });

  test('that redirects in a loop is an error that says so, and the next page loads', async () => {
    expect(await harness.refusal('navigate_page', { url: `${url}/login` })).toMatch(
      /net::ERR_TOO_MANY_REDIRECTS\. Its answers redirect in a loop.*list_network_requests/,
    );
    expect(await harness.refusal('navigate_page', { url: 'http://127.0.0.1:1/' })).toContain(
      'Browsers refuse this port',
    );
    expect((await go('/start')).text).toBe(`Now at ${url}/start`);
  });

  test.each([
    ['/login', /net::ERR_TOO_MANY_REDIRECTS\. Its answers redirect in a loop/],
    ['/reset', /net::ERR_EMPTY_RESPONSE\. Its server closed the connection/],
    ['/secure', /net::ERR_CERT_AUTHORITY_INVALID\. .*--accept-insecure-certs/],
  ])('that a script of the page goes to and that fails is told with the cause: %s', async (path, cause) => {
    await go('/start');
    const target = path === '/secure' ? tlsUrl : url + path;
    const lines = (await run(`() => { location.href = ${JSON.stringify(target)}; }`)).split('\n');
    expect(lines).toContainEqual(expect.stringMatching(/^Now at \S+$/));
    expect(lines).toContainEqual(
      expect.stringMatching(/^It could not be loaded, and the browser shows an error page: net::ERR_/),
    );
    expect(lines).toContainEqual(expect.stringMatching(cause));
  });

  test('that the session itself keeps from loading is told as its own doing', async () => {
    await go('/start');
    const { structured } = await harness.run('mock_network', { action: 'add', url: '**/held', abort: 'refused' });
    const [{ id }] = structured['rules'] as [{ id: number }];
    expect(await harness.refusal('navigate_page', { url: `${url}/held` })).toContain(
      `net::ERR_CONNECTION_REFUSED. Rule ${id} of mock_network aborted it`,
    );
    await harness.run('mock_network', { action: 'clear' });
    await harness.run('emulate', { networkConditions: 'Offline' });
    expect(await harness.refusal('navigate_page', { url: `${url}/start` })).toContain(
      'The page is emulated as offline: emulate with networkConditions "No emulation" ends that.',
    );
    await harness.run('emulate', { reset: true });
    await go('/start');
  });

  test('a PDF is read by its text, in a frame too, and its bytes are kept', async () => {
    await go('/file.pdf');
    expect(await harness.text('take_snapshot')).toContain(
      `PDF "${url}/file.pdf", 1 page; save_pdf keeps it\n page 1\n  text "Invoice 4711"\n  text "Total: 12 EUR"`,
    );
    expect(await harness.text('find_in_snapshot', { text: 'total' })).toContain('1 match:');
    expect(await harness.text('wait_for', { text: ['Paid', 'Invoice 4711'] })).toBe('The page shows "Invoice 4711".');
    expect(await harness.refusal('wait_for', { textGone: 'Total: 12', timeout: 300 })).toContain(
      'did not stop showing',
    );
    expect(await harness.text('wait_for', { textGone: 'Paid' })).toContain('does not show "Paid"');
    const { structured, text } = await harness.run('save_pdf');
    expect(text).toMatch(/^Kept the PDF that the page is as [\w.-]+-file\.pdf, /);
    expect((await harness.resources.read(String(structured['uri']))).toString()).toBe(pdf);
    await go('/framed');
    const framed = await harness.text('take_snapshot');
    expect(framed).toContain('  text "Invoice 4711"');
    expect(await harness.text('wait_for', { text: ['Total: 12 EUR'] })).toContain('The page shows');
    expect(framed).toContain(`PDF "${url}/none.pdf", whose text is not read: it is not a PDF that can be read.`);
  });

  test('a PDF that a page made itself is read, waited for and kept like any other', async () => {
    await go('/strict');
    const made = JSON.stringify(pdf);
    await run(`() => { location.href = URL.createObjectURL(new Blob([${made}], { type: 'application/pdf' })); }`);
    expect(await harness.text('wait_for', { text: ['Invoice 4711'] })).toContain('The page shows');
    expect(await harness.text('take_snapshot')).toMatch(
      /PDF "blob:http\S+", 1 page; save_pdf keeps it\n page 1\n {2}text "Invoice/,
    );
    const { structured } = await harness.run('save_pdf');
    expect((await harness.resources.read(String(structured['uri']))).toString()).toBe(pdf);
  });

  test('with a certificate that nobody signed names it and the switch', async () => {
    expect(await harness.refusal('navigate_page', { url: tlsUrl })).toMatch(
      /net::ERR_CERT_AUTHORITY_INVALID.*certificate.*--accept-insecure-certs/,
    );
  });
});

describe('a body', () => {
  beforeAll(() => go('/start'));

  test('in a character set of its own is text', async () => {
    await run(`() => fetch('/latin').then((answer) => answer.text())`);
    const { structured } = await harness.run('get_network_request', { id: (await row('/latin')).id });
    expect(structured['responseBody']).toMatchObject({ content: 'café', encoding: 'text' });
  });

  test('that is no text is base64, sent and received', async () => {
    await run(
      `() => fetch('/bytes', { method: 'POST', body: new Uint8Array([0, 200, 3]) }).then((answer) => answer.blob())`,
    );
    const { structured } = await harness.run('get_network_request', { id: (await row('/bytes')).id });
    expect(structured['responseBody']).toMatchObject({ content: 'AAEC/w==', encoding: 'base64', total: 4 });
    expect(structured['requestBody']).toMatchObject({ content: 'AMgD', encoding: 'base64', total: 3 });
  });

  test('of an open stream is what has arrived', async () => {
    await run(`() => fetch('/stream').then(async (answer) => {
      const reader = answer.body.getReader();
      await reader.read();
      void reader.read();
    })`);
    const { id } = await row('/stream', ({ status }) => status === 200);
    const text = await waitUntilFound(async () => {
      const now = await harness.text('get_network_request', { id });
      return now.includes('{"first":1}') ? now : undefined;
    });
    expect(text).toContain('what has arrived so far');
  });

  test('of a page that was left is known as far as it went, and is pending no more', async () => {
    await go('/start');
    await run(`() => {
      void fetch('/silent');
      return fetch('/stream').then((answer) => { void answer.text(); });
    }`);
    await go('/missing');
    const lines = await harness.text('list_network_requests', { types: ['fetch'] });
    expect(lines).toMatch(/ GET left fetch 0 B \S+\/silent \[open when its page was left\]/);
    expect(lines).toMatch(/ GET 200 fetch .* \S+\/stream \[open when its page was left\]/);
    expect(await harness.text('list_network_requests', { status: 'pending' })).toContain('No such requests');
  });
});

describe('a server that asks for credentials', () => {
  test('is told with scheme, realm and what to do, for a script and for a page', async () => {
    await go('/start');
    expect(await run(`() => fetch('/area').then(({ status }) => status)`)).toContain('401');
    expect(await harness.text('list_network_requests', { status: '401' })).toContain('Basic, realm "Team area"');
    expect((await go('/area')).text).toMatch(
      /\(401 Unauthorized\)\n.* answered 401\. It asks for credentials: Basic, realm "Team area"\. .*set_credentials/,
    );
    expect(await harness.text('take_snapshot')).toContain('Refused');
  });

  test('with several schemes is told by the one that can be answered', async () => {
    expect((await go('/offers')).text).toMatch(/credentials: Basic, realm "Lab B"\. .*set_credentials/);
  });

  test('gets those that were given, which are not shown again', async () => {
    const login = { origin: url, username: 'ada', password: 'engine' };
    const set = await harness.run('set_credentials', login);
    expect((await go('/area')).text).toBe(`Now at ${url}/area`);
    const { id } = await row('/area');
    const shown = await harness.run('get_network_request', { id, includeSensitive: true });
    const secret = Buffer.from('ada:engine').toString('base64');
    for (const answer of [set, shown]) expect(JSON.stringify(answer)).not.toMatch(new RegExp(`engine|${secret}`));
    await harness.run('set_credentials', { origin: url, username: '', password: '' });
    expect((await go('/area')).text).toContain('401');
  });

  test('gets those in an address, which are not echoed', async () => {
    const { text } = await harness.run('navigate_page', { url: `${url.replace('//', '//ada:engine@')}/area` });
    expect(text).toBe(`Now at ${url}/area`);
    expect(await harness.text('list_pages')).not.toContain('engine');
    expect(await harness.text('list_network_requests')).not.toContain('engine');
  });
});

test('with the switch every certificate is accepted', async () => {
  const accepting = await startToolHarness(tools, () => launchAsServer({ acceptInsecureCerts: true }));
  try {
    const { text } = await accepting.run('new_page', { url: `${tlsUrl}/start` });
    expect(text).toContain(`Now at ${tlsUrl}/start`);
  } finally {
    await accepting.close();
  }
});
