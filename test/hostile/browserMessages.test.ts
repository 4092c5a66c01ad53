import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { createResourceLedger, type BrowserConnection } from '../../src/browser/process/browserConnection.js';
import { attachBrowser, probeBrowser } from '../../src/browser/process/attachBrowser.js';
import { recordingListener, openTestPool, leaseRequest, withFirstPage } from '../browser/support/testPool.js';

const tooMuch = 65 * 1024 ** 2;
const { signal } = new AbortController();

describe('a page that makes its browser send an endless message', () => {
  it('loses that browser for each session in it, which is replaced', async () => {
    const test = await openTestPool({ isolation: 'context' });
    const [attacker, other] = [recordingListener(), recordingListener()];
    const leases = [
      test.pool.lease(leaseRequest('context', 'one'), attacker),
      test.pool.lease(leaseRequest('context', 'two'), other),
    ] as const;
    const [session, neighbour] = await Promise.all(leases.map((lease) => withFirstPage(lease)));
    expect(session?.browser).toBe(neighbour?.browser);
    const events = [attacker, other].flatMap((told) => [told.next('lost'), told.next('ready')]);
    void session
      ?.page()
      .page.evaluate(`console.log('\\u0001'.repeat(95e6))`)
      .catch(() => undefined);
    await Promise.all(events);
    for (const lease of leases) {
      const after = await lease.browser();
      expect(await after.page(1).page.evaluate('1 + 1')).toBe(2);
      expect(after.takeNotices()).toEqual([expect.stringContaining('has been replaced')]);
    }
    expect(await test.close()).toEqual([]);
    for (const { opened, closed } of Object.values(test.pool.ledger)) expect(closed).toBe(opened);
  });
});

/** What claims to be a browser: answers the questions of an attaching client, and more. */
interface FakeBrowser {
  readonly url: string;
  readonly server: Server;
  readonly sockets: WebSocketServer;
  end(): Promise<void>;
}

async function fakeBrowser(
  answer: (socket: WebSocket, message: { id: number; method: string }) => void,
  version?: (response: ServerResponse, request: IncomingMessage) => void,
): Promise<FakeBrowser> {
  const server = createServer((asking, response) => {
    if (version !== undefined) version(response, asking);
    else response.end(JSON.stringify({ webSocketDebuggerUrl: `ws://127.0.0.1:${port()}/devtools` }));
  }).listen(0, '127.0.0.1');
  const port = (): number => (server.address() as AddressInfo).port;
  await once(server, 'listening');
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) =>
      answer(socket, JSON.parse(data.toString()) as { id: number; method: string }),
    );
  });
  return {
    url: `http://127.0.0.1:${port()}`,
    server,
    sockets,
    end: async () => {
      for (const socket of sockets.clients) socket.terminate();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const answers: Record<string, object> = {
  'Browser.getVersion': { product: 'Fake/1.0' },
  'Target.getBrowserContexts': { browserContextIds: [] },
};

function asABrowser(socket: WebSocket, { id, method }: { id: number; method: string }): void {
  socket.send(JSON.stringify({ id, result: answers[method] ?? {} }));
}

describe("a user's own browser", () => {
  let browser: FakeBrowser;
  afterEach(() => browser.end());
  const attach = (ledger = createResourceLedger()): Promise<BrowserConnection> =>
    attachBrowser({ url: browser.url, signal, ledger });

  it('whose answer to /json/version never ends is refused after a bounded number of bytes', async () => {
    let sent = 0;
    let closed: Promise<unknown> | undefined;
    browser = await fakeBrowser(asABrowser, (response) => {
      closed = once(response, 'close');
      const piece = ' '.repeat(16_384);
      const pour = (): void => {
        while (!response.destroyed && response.write(piece)) sent += piece.length;
      };
      response.on('drain', pour);
      pour();
    });
    await expect(attach()).rejects.toMatchObject({
      reason: 'browser_unreachable',
      message: expect.stringContaining('more than 65536 bytes'),
    });
    await closed;
    expect(sent).toBeLessThan(64 * 1024 ** 2);
  });

  it('that sends a longer message than any browser while it is attached to is refused', async () => {
    browser = await fakeBrowser((socket) => socket.send(' '.repeat(tooMuch)));
    await expect(attach()).rejects.toMatchObject({
      reason: 'browser_unreachable',
      message: expect.stringContaining('more than 67108864 bytes'),
    });
  });

  it.each([
    ['a longer message than any browser', ' '.repeat(tooMuch), 'more than 67108864 bytes'],
    ['what is not the protocol', 'hello', 'not be handled'],
    ['an event without its fields', '{"method":"Target.attachedToTarget"}', 'not be handled'],
  ])('that sends %s later is lost, and nothing else', async (_what, message, because) => {
    browser = await fakeBrowser(asABrowser);
    const ledger = createResourceLedger();
    const connection = await attach(ledger);
    expect(connection.product).toBe('Fake/1.0');
    const [socket] = browser.sockets.clients;
    socket?.send(message);
    await connection.disconnected;
    expect(connection.endCause?.()).toContain(because);
    await connection.close();
    expect(ledger.connections).toEqual({ opened: 1, closed: 1 });
  });

  it('that sends its client on to another address is refused', async () => {
    const elsewhere = await fakeBrowser(asABrowser);
    browser = await fakeBrowser(asABrowser);
    browser.server.removeAllListeners('upgrade');
    browser.server.on('upgrade', (_request, socket) => {
      const location = elsewhere.url.replace('http', 'ws');
      socket.end(`HTTP/1.1 302 Found\r\nLocation: ${location}/devtools\r\nContent-Length: 0\r\n\r\n`);
    });
    await expect(attach()).rejects.toMatchObject({
      reason: 'browser_unreachable',
      message: expect.stringContaining('302'),
    });
    expect(elsewhere.sockets.clients.size).toBe(0);
    await elsewhere.end();
  });

  it('that says nothing is let go of when whoever asked for it leaves', async () => {
    let asked: (socket: WebSocket) => void = () => undefined;
    const question = new Promise<WebSocket>((resolve) => (asked = resolve));
    browser = await fakeBrowser((socket) => asked(socket));
    const leaving = new AbortController();
    const probing = probeBrowser({ url: browser.url, signal: leaving.signal, timeoutMs: 600_000 });
    const socket = await question;
    const closed = once(socket, 'close');
    leaving.abort(new Error('left'));
    await expect(probing).rejects.toThrow('left');
    await closed;
  });
});
