import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Browser } from 'puppeteer-core';
import { navigate, reload } from '../../src/browser/page/pageNavigation.js';
import { openSessionPage, type SessionPage } from '../../src/browser/page/sessionPage.js';
import { launchChromium } from './support/collectedPage.js';

/** Longer than a test may take: whoever waits for it has failed. */
const limits = { signal: new AbortController().signal, timeoutMs: 600_000 };

let server: Server;
let url: string;
let requested: () => void = () => undefined;
let browser: Browser;
let page: SessionPage;

beforeAll(async () => {
  server = createServer((request, response) => {
    requested();
    if (request.url === '/begun') response.writeHead(200, { 'content-type': 'text/html' }).write('<p>begun');
    if (request.url === '/whole') response.writeHead(200, { 'content-type': 'text/html' }).end('<p>whole');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

beforeEach(async () => {
  browser = await launchChromium({ pipe: true });
  page = await openSessionPage({ id: 1, page: await browser.newPage() });
});
afterEach(async () => {
  await page.dispose();
  await browser.close();
});

const nextRequest = (): Promise<void> => new Promise((resolve) => (requested = resolve));
const kill = (): void => void browser.process()?.kill('SIGKILL');

test.each(['/silent', '/begun'])('[S8] loading %s ends when the browser dies', async (path) => {
  const request = nextRequest();
  const loading = navigate(page, url + path, limits);
  await request;
  kill();
  expect(await loading).toMatchObject({ closed: true });
});

const committed = (): Promise<void> => new Promise((resolve) => page.cdp.once('Page.frameNavigated', () => resolve()));

test.each([
  { path: '/silent', begun: nextRequest },
  { path: '/begun', begun: committed },
])('[S8] loading $path ends when the page is let go of, before Chrome has heard of it', async ({ path, begun }) => {
  const hasBegun = begun();
  const loading = navigate(page, url + path, limits);
  await hasBegun;
  void page.dispose();
  expect(page.cdp.detached).toBe(false);
  expect(await loading).toMatchObject({ closed: true });
});

test('[S8] a reload that no answer comes to ends when the browser dies', async () => {
  await navigate(page, `${url}/whole`, limits);
  // The same address, and a server that is silent now.
  await page.cdp.send('Runtime.evaluate', { expression: `history.replaceState({}, '', '/silent')` });
  const request = nextRequest();
  const loading = reload(page, false, limits);
  await request;
  kill();
  expect(await loading).toMatchObject({ closed: true });
});
