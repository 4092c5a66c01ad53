import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser } from 'puppeteer-core';
import { WebSocketServer } from 'ws';
import type { NetworkRequest, WebSocketFrame } from '../../src/browser/collectors/networkCollector.js';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { launchChromium, openCollectedPage, waitUntilFound, type CollectedPage } from './support/collectedPage.js';

let server: PageServer;
let sockets: WebSocketServer;
let browser: Browser;
let opened: CollectedPage;
const api = createServer(answer);
let apiUrl: string;

/** Another origin, without CORS headers except where the path says so. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const open = { 'access-control-allow-origin': '*' };
  if (request.url === '/redirect') {
    response.writeHead(302, { ...open, location: '/landed', 'x-hop': 'first' }).end();
  } else if (request.url === '/landed') {
    response.writeHead(200, { ...open, 'x-hop': 'second', 'set-cookie': 'secret=1' }).end('landed');
  } else if (request.url === '/events') {
    response.writeHead(200, { ...open, 'content-type': 'text/event-stream' }).write('event: tick\ndata: 42\n\n');
  } else response.writeHead(200).end('closed door');
}

beforeAll(async () => {
  server = await startPageServer();
  sockets = new WebSocketServer({ server: server.server, path: '/socket' });
  sockets.on('connection', (socket) =>
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary })),
  );
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  apiUrl = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
  browser = await launchChromium();
});

afterAll(async () => {
  await browser.close();
  sockets.close();
  api.closeAllConnections();
  await Promise.all([server.close(), new Promise((resolve) => api.close(resolve))]);
});

beforeEach(async () => {
  opened = await openCollectedPage(browser);
  await opened.page.goto(`${server.url}/network.html`);
});

afterEach(() => opened.close());

interface RequestView extends NetworkRequest {
  readonly id: number;
}

const seen = (): RequestView[] => opened.network.read().entries.map(({ id, value }) => ({ id, ...value }));

/** The newest request whose address ends so, once it is over. */
function ended(urlEnd: string): Promise<RequestView> {
  return waitUntilFound(() => seen().findLast(({ url, state }) => url.endsWith(urlEnd) && state !== 'pending'));
}

const fetchInPage = (url: string, options: object = {}): Promise<unknown> =>
  opened.page.evaluate(`ask(${JSON.stringify(url)}, ${JSON.stringify(options)})`);

describe('a request', () => {
  it('is known with its answer, its headers on the wire, its sizes and who asked for it', async () => {
    await opened.page.evaluate('document.cookie = "flavour=plain"');
    await fetchInPage('/echo?one', { method: 'POST', body: 'sent along' });
    const request = await ended('/echo?one');
    expect(request).toMatchObject({
      method: 'POST',
      type: 'fetch',
      status: 200,
      mimeType: 'application/json',
      postData: { content: 'sent along', isText: true },
      source: 'page',
      documentUrl: `${server.url}/network.html`,
      initiator: { type: 'script' },
    });
    expect(request.requestHeaders['cookie']).toBe('flavour=plain');
    expect(request.initiator.stack.map(({ functionName }) => functionName)).toContain('ask');
    expect(request.durationMs).toBeGreaterThan(0);
    expect(request.timing?.wait).toBeGreaterThanOrEqual(0);
    const body = await opened.network.responseBody(request.id);
    expect(JSON.parse(body.content.toString())).toMatchObject({ body: 'sent along' });
    expect(body.content.length).toBe(request.bodyBytes);
  });

  it('that is redirected is one request per hop, linked, each with its own headers', async () => {
    expect(await fetchInPage(`${apiUrl}/redirect`)).toBe('200 landed');
    const second = await ended('/landed');
    const first = await ended('/redirect');
    expect(first).toMatchObject({ status: 302, state: 'finished', redirectedTo: second.id });
    expect(second).toMatchObject({ status: 200, redirectedFrom: first.id });
    expect([first.responseHeaders['x-hop'], second.responseHeaders['x-hop']]).toEqual(['first', 'second']);
    expect(second.responseHeaders['set-cookie']).toBe('secret=1');
    await expect(opened.network.responseBody(first.id)).rejects.toThrow('A redirect has no body');
  });

  it('that another site forbids fails with the CORS reason', async () => {
    expect(await fetchInPage(`${apiUrl}/closed`)).toBe('TypeError');
    const request = await ended('/closed');
    expect(request).toMatchObject({ state: 'failed', failure: { corsError: 'MissingAllowOriginHeader' } });
  });

  it('that is under way is pending, and is news to a reader when it ends', async () => {
    const answered = fetchInPage('/slow?ms=200');
    const pending = await waitUntilFound(() => seen().find(({ url }) => url.endsWith('ms=200')));
    expect(pending.state).toBe('pending');
    const { cursor } = opened.network.read();
    await answered;
    await ended('ms=200');
    expect(opened.network.read(cursor).entries.map(({ id }) => id)).toContain(pending.id);
  });

  it('keeps its body when the page goes to another site', async () => {
    await fetchInPage('/echo?kept');
    const { id } = await ended('/echo?kept');
    await opened.page.goto(`${server.url.replace('127.0.0.1', 'localhost')}/network.html`);
    const { content } = await opened.network.responseBody(id);
    expect(content.toString()).toContain('/echo?kept');
  });

  it('of a worker at its start is seen', async () => {
    await opened.page.evaluate(`startWorker('${server.url}/echo?worker')`);
    expect(await ended('/echo?worker')).toMatchObject({ source: 'worker', status: 200 });
  });
});

describe('WebSockets and EventSources', () => {
  const frames = (): WebSocketFrame[] => opened.network.webSocketFrames.read().entries.map(({ value }) => value);

  it('are heard frame by frame, in both directions', async () => {
    await opened.page.evaluate(`talk('${server.url.replace('http', 'ws')}/socket')`);
    await waitUntilFound(() => frames().findLast(({ kind, direction }) => kind === 'close' && direction === undefined));
    const spoken = frames().map(({ direction = '', kind, payload, bytes }) =>
      [direction, kind, payload, bytes].join(' '),
    );
    expect(spoken.filter((line) => !line.includes('close')).sort()).toEqual([
      ' open  0',
      'received binary AQID 3',
      'received text hello 5',
      'sent binary AQID 3',
      'sent text hello 5',
    ]);
    const request = await ended('/socket');
    expect(request).toMatchObject({ type: 'websocket', status: 101, state: 'finished' });
    expect(frames()[0]?.request).toBe(request.id);
  });

  it('include what a server pushes', async () => {
    await opened.page.evaluate(`globalThis.source = new EventSource('${apiUrl}/events'); void 0`);
    const event = await waitUntilFound(() => frames().find(({ kind }) => kind === 'event'));
    expect(event).toMatchObject({ direction: 'received', payload: 'tick: 42', url: `${apiUrl}/events` });
    await opened.page.evaluate('source.close()');
  });
});

describe('mocks', () => {
  it('answer in place of the server, count their hits and mark the request', async () => {
    const { id } = await opened.network.mocks.add({ url: '*/api/user*', status: 418, body: '{"name":"Ada"}' });
    expect(await fetchInPage('/api/user?id=1')).toBe('418 {"name":"Ada"}');
    expect(await ended('/api/user?id=1')).toMatchObject({ mockedBy: id, status: 418, mimeType: 'application/json' });
    expect(opened.network.mocks.list()).toMatchObject([{ id, hits: 1 }]);
    expect((await fetchInPage('/echo?other')) as string).toMatch(/^200/);
    expect((await ended('/echo?other')).mockedBy).toBeUndefined();
  });

  it('let a page in that the other site would not, preflight included', async () => {
    await opened.network.mocks.add({ url: `${apiUrl}/closed`, method: 'PUT', body: 'come in' });
    expect(await fetchInPage(`${apiUrl}/closed`, { method: 'PUT', headers: { 'x-own': '1' } })).toBe('200 come in');
    expect(opened.network.mocks.list()).toMatchObject([{ hits: 1 }]);
  });

  it('abort with a reason', async () => {
    await opened.network.mocks.add({ url: '/\\/echo\\?a/', abort: 'InternetDisconnected' });
    expect(await fetchInPage('/echo?abort')).toBe('TypeError');
    expect((await ended('/echo?abort')).failure?.error).toBe('net::ERR_INTERNET_DISCONNECTED');
  });

  it('stand aside after the times they were asked for', async () => {
    await opened.network.mocks.add({ url: '*/echo?twice', status: 503, times: 2 });
    const answers = [
      await fetchInPage('/echo?twice'),
      await fetchInPage('/echo?twice'),
      await fetchInPage('/echo?twice'),
    ];
    expect(answers.map((text) => String(text).slice(0, 3))).toEqual(['503', '503', '200']);
  });

  it('slow a request down without answering it', async () => {
    await opened.network.mocks.add({ url: '*/echo?late', delayMs: 120 });
    const before = performance.now();
    expect(await fetchInPage('/echo?late')).toMatch(/^200/);
    expect(performance.now() - before).toBeGreaterThanOrEqual(119);
  });

  it('reach into workers', async () => {
    await opened.network.mocks.add({ url: '*/echo?worker', status: 404 });
    await opened.page.evaluate(`startWorker('${server.url}/echo?worker')`);
    expect(await ended('/echo?worker')).toMatchObject({ status: 404, source: 'worker' });
  });

  it('hold no request while there is no rule', async () => {
    const held: string[] = [];
    opened.cdp.on('Fetch.requestPaused', ({ request }) => held.push(request.url));
    await fetchInPage('/echo?before');
    const { id } = await opened.network.mocks.add({ url: '*/echo?during', status: 204 });
    await fetchInPage('/echo?during');
    expect(await opened.network.mocks.remove(id)).toBe(1);
    expect(await fetchInPage('/echo?during')).toMatch(/^200/);
    expect(held).toEqual([`${server.url}/echo?during`]);
  });

  it('refuse a regular expression that is none', async () => {
    await expect(opened.network.mocks.add({ url: '/(/', status: 200 })).rejects.toThrow('not a regular expression');
    expect(opened.network.mocks.list()).toEqual([]);
  });

  it('let go of what they hold when the page is given up', async () => {
    await opened.network.mocks.add({ url: '*/echo?held', delayMs: 60_000 });
    const answered = fetchInPage('/echo?held');
    await waitUntilFound(() => opened.network.mocks.list().find(({ hits }) => hits === 1));
    opened.network.dispose();
    expect(await answered).toMatch(/^200/);
  });
});
