import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { consoleTools } from '../../src/tools/consoleTools.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { networkTools } from '../../src/tools/networkTools.js';
import { pageTools } from '../../src/tools/pageTools.js';
import { performanceTools } from '../../src/tools/performanceTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

const start = `<title>Start</title>
<a href="/silent">Link</a> <a href="/redirect">Redirect</a> <a href="//localhost:PORT/silent">Other site</a>
<form action="/silent" method="post"><button>Send</button></form>
<button onclick="location.href = '/silent'">Script</button>
<button onclick="setTimeout(() => (location.href = '/silent'), 30)">Late</button>`;

const pages: Readonly<Record<string, string>> = {
  '/start': start,
  '/healthy': '<title>Healthy</title><h1>All is well</h1>',
  '/framed': '<title>Framed</title><h1>Frame</h1><iframe src="//localhost:PORT/inner"></iframe>',
  '/inner': '<title>Inner</title><h1>Inner</h1><script>onmessage = () => (location.href = "/silent")</script>',
  '/picture': '<title>Picture</title><h1>Picture</h1><img src="/silent.png">',
  '/poll': '<title>Poll</title><h1>Poll</h1><script>fetch("/silent?token=1")</script>',
  '/tick': '<title>Tick</title><h1>Tick</h1><script>setInterval(() => fetch("/healthy"), 30)</script>',
  '/clock': '<title>0</title><h1>Clock</h1><script>setInterval(() => document.title++, 30)</script>',
  '/styled': '<title>Styled</title><link rel="stylesheet" href="/silent.css"><h1>Styled</h1>',
  '/headed': '<title>Headed</title><script src="/silent.js"></script><h1>Headed</h1>',
  '/loop': '<title>Loop</title><h1>Loop</h1><script>location.href = "/loop?" + Math.random()</script>',
  '/looped': '<title>Looped</title><h1>Outer</h1><iframe src="/loop"></iframe>',
  '/login':
    '<title>Login</title><script>const at = Number(location.search.slice(1)); if (at < 7) location.href = "/login?" + (at + 1)</script>',
  '/worked': `<title>Worked</title><h1>Worked</h1><script>
    navigator.serviceWorker.register('/worker.js').then(() => navigator.serviceWorker.ready).then(() => (document.title = 'Ready'));
  </script>`,
};

const worker = `addEventListener('fetch', (event) => {
  if (event.request.url.endsWith('/kept')) event.respondWith(new Promise(() => {}));
});`;

let server: Server;
let url: string;
let harness: ToolHarness;

/** Answers the known pages and never anything else. */
function answer(path: string, response: ServerResponse): void {
  const html = { 'content-type': 'text/html' };
  if (path === '/cut') {
    response.writeHead(200, { ...html, 'content-length': 1_000 });
    response.write('<title>Cut</title><h1>Half</h1>', () => response.destroy());
  }
  if (path === '/undecoded') response.writeHead(200, { ...html, 'content-encoding': 'gzip' }).end('no gzip');
  if (path === '/unsafe') response.writeHead(302, { location: 'file:///etc/hosts' }).end();
  if (path === '/redirect') response.writeHead(302, { location: '/silent' }).end();
  if (path === '/worker.js') response.writeHead(200, { 'content-type': 'text/javascript' }).end(worker);
  const page = pages[path.split('?', 1)[0] ?? ''];
  if (page === undefined) return;
  response.writeHead(200, { 'content-type': 'text/html' });
  response.end(page.replaceAll('PORT', String((server.address() as AddressInfo).port)));
}

beforeAll(async () => {
  server = createServer((request, response) => answer(request.url ?? '', response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  harness = await startToolHarness([
    ...pageTools,
    ...navigationTools,
    ...inputTools,
    ...lookTools,
    ...networkTools,
    ...consoleTools,
    ...performanceTools,
  ]);
});

afterAll(async () => {
  await harness.close();
  server.closeAllConnections();
  server.close();
});

const go = (path: string, more = {}) => harness.run('navigate_page', { url: url + path, ...more });
const run = (source: string) => harness.text('evaluate_script', { function: source });

/** Runs a tool with a patience for silent servers that suits a test. */
const impatiently = <T>(work: () => Promise<T>): Promise<T> => harness.browser.page().navigations.withLimit(700, work);

async function click(role: string, label: string): Promise<string> {
  const found = await harness.text('find_in_snapshot', { regex: `${role} "${label}"`, context: 0 });
  return impatiently(() => harness.text('click', { uid: /uid=(e\d+)/.exec(found)?.[1] }));
}

/** Every kind of tool answers. */
async function expectPresentPage(title: string): Promise<void> {
  expect(await run('() => document.title')).toBe(JSON.stringify(title));
  expect(await harness.text('take_snapshot')).toContain(title);
  expect(await harness.text('list_pages')).toContain(`"${title}"`);
}

describe('a server that accepts and never answers', () => {
  beforeEach(async () => {
    await go('/start');
  });

  test.each([
    ['link', 'Link'],
    ['link', 'Redirect'],
    ['link', 'Other site'],
    ['button', 'Send'],
    ['button', 'Script'],
    ['button', 'Late'],
  ])('the %s "%s" is given up, and the page is as good as before', async (role, label) => {
    const said = await click(role, label);
    expect(said).toMatch(/Loading http\S+\/silent was stopped after 1 s, since its server did not answer/);
    await expectPresentPage('Start');
    expect((await go('/healthy')).text).toBe(`Now at ${url}/healthy`);
  });

  test('navigate_page ends with its own timeout, and the next page loads at once', async () => {
    expect(await harness.refusal('navigate_page', { url: `${url}/silent`, timeout: 500 })).toContain(
      'within 0.5 s: the server did not answer, and loading was stopped',
    );
    await expectPresentPage('Start');
  });

  test('a reload ends with its own timeout', async () => {
    await run(`() => history.replaceState({}, '', '/silent')`);
    expect(await harness.refusal('navigate_page', { reload: true, timeout: 500 })).toContain('loading was stopped');
    await expectPresentPage('Start');
  });

  test('is told once, however often it is stopped', async () => {
    const { navigations, cdp } = harness.browser.page();
    const begun = new Promise((resolve) => cdp.once('Page.frameStartedNavigating', resolve));
    const requested = once(server, 'request');
    const loading = cdp.send('Page.navigate', { url: `${url}/silent` });
    await Promise.all([begun, requested]);
    await Promise.all([navigations.stop(), navigations.stop(), loading]);
    expect(navigations.takeStopped()).toEqual([{ url: `${url}/silent`, ms: expect.any(Number) }]);
  });

  test('a script that navigates tells it', async () => {
    expect(await impatiently(() => run(`() => { location.href = '/silent' }`))).toContain('did not answer');
    await expectPresentPage('Start');
  });

  test('navigate_page does not wait for a load that a script began after its answer', async () => {
    const requested = once(server, 'request');
    await run(`() => void setTimeout(() => (location.href = '/silent'), 300)`);
    await requested;
    await go('/healthy');
    await expectPresentPage('Healthy');
  });

  test.each([
    "new Worker('/worker.js')",
    "new Worker('/worker.js', { type: 'module' })",
    "new Worker(URL.createObjectURL(new Blob(['postMessage(1)'])))",
    "new Worker('data:text/javascript,1')",
    "new SharedWorker('/worker.js')",
    "new SharedWorker(URL.createObjectURL(new Blob([''])))",
  ])('a page is at rest once its worker runs: %s', async (source) => {
    await go('/healthy');
    expect(await run(`() => void ${source}`)).toBe('undefined');
  });

  test('a service worker that keeps a request is no different', async () => {
    await go('/worked');
    await harness.run('wait_for', { text: ['Worked'] });
    await run('() => navigator.serviceWorker.ready.then(() => 1)');
    expect(await harness.refusal('navigate_page', { url: `${url}/kept`, timeout: 500 })).toContain('did not answer');
    await expectPresentPage('Ready');
  });

  test('a frame of another process that waits is left out', async () => {
    await go('/framed');
    const requested = once(server, 'request');
    await run(`() => { frames[0].postMessage(1, '*') }`);
    await requested;
    expect(await harness.text('take_snapshot')).toContain('heading "Frame"');
    await expectPresentPage('Framed');
    await go('/healthy');
  });
});

describe('a server that breaks off or misleads', () => {
  test.each([
    ['/cut', 'net::ERR_CONTENT_LENGTH_MISMATCH'],
    ['/undecoded', 'net::ERR_CONTENT_DECODING_FAILED'],
  ])('%s: the page is told as incomplete', async (path, error) => {
    expect((await go(path)).text).toContain(`Its document is incomplete, and the rest is missing: ${error}.`);
    expect((await go('/healthy')).text).toBe(`Now at ${url}/healthy`);
  });

  test('a redirect to a file is no page', async () => {
    const refusal = await harness.refusal('navigate_page', { url: `${url}/unsafe` });
    expect(refusal).toContain('net::ERR_UNSAFE_REDIRECT. It redirects to an address that no site may lead to');
  });
});

describe('a page of which Chrome draws nothing', () => {
  test.each([
    ['/styled', '/silent.css'],
    ['/headed', '/silent.js'],
  ])('%s: a picture is refused with what it waits for, and no later call is held up', async (path, awaited) => {
    expect((await go(path, { timeout: 3_000 })).text).toContain(`${url}${awaited}`);
    const refusal = await harness.refusal('take_screenshot');
    expect(refusal).toContain(`it waits for ${url}${awaited}`);
    expect(refusal).toContain('mock_network with abort');
    await run('() => document.title');
    await harness.run('mock_network', { action: 'add', url: `${url}${awaited}`, abort: 'failed' });
    await go('/healthy');
    await go(path);
    expect((await harness.run('take_screenshot')).structured['width']).toBeGreaterThan(0);
    await harness.run('mock_network', { action: 'clear' });
  });

  test('a trace of it ends', async () => {
    await go('/styled', { timeout: 1_000 });
    expect(await harness.text('performance_start_trace', { reload: false })).toMatch(/^Trace /);
    await go('/healthy');
  });
});

describe('a page that goes on by itself without an end', () => {
  test('is stopped, told as such, and can be read', async () => {
    const { text, structured } = await go('/loop', { timeout: 30_000 });
    expect(text).toMatch(/it loads one document after another by itself \(\d+ so far\), and loading was stopped/);
    expect(text).not.toContain('did not answer');
    expect(structured['settled']).toBe(false);
    await harness.run('take_snapshot');
    await run('() => document.title');
    await go('/healthy');
    await expectPresentPage('Healthy');
  });

  test('in a frame, it is told', async () => {
    expect((await go('/looped', { timeout: 30_000 })).text).toContain('a frame in it loads one document after another');
    expect((await go('/healthy')).text).toBe(`Now at ${url}/healthy`);
  });

  test('a chain of logins is none', async () => {
    expect((await go('/login')).text).toBe(`Now at ${url}/login?7`);
  });

  test('a snapshot whose document is replaced under it is taken again', async () => {
    const page = harness.browser.page();
    await go('/start');
    const documents = page.frames.documents.bind(page.frames);
    let reads = 0;
    page.frames.documents = async () => {
      const found = await documents();
      reads += 1;
      if (reads === 1) await page.page.goto(`${url}/healthy`);
      return found;
    };
    expect(await harness.text('take_snapshot')).toContain('"Healthy"');
    expect(reads).toBeGreaterThan(1);
    Reflect.deleteProperty(page.frames, 'documents');
  });
});

describe('a page that never rests', () => {
  test.each([
    ['/poll', /requests have no answer yet \(GET http\S+\/silent\)/],
    ['/tick', /it keeps sending requests \(GET http\S+\/healthy \d+ times\)/],
    ['/clock', /its document keeps changing/],
    ['/picture', /pictures or frames are still being loaded/],
  ])('%s is told as such, long before the timeout', async (path, reason) => {
    const { text, structured } = await go(path, { timeout: 60_000 });
    expect(text).toMatch(reason);
    expect(structured['settled']).toBe(false);
    expect(structured['busyWith']).toMatch(reason);
  });
});
