import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import puppeteer from 'puppeteer-core';
import { InspectorPage } from '../inspector/support/inspectorPage.js';
import { chromium, chromiumFlags } from '../support/chromium.js';
import { postJson, send, sendBytes } from '../support/http.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { bearer, connect, serveGuarded, type GuardedServer } from '../tenancy/support/guardedServer.js';

const secret = 'the-label-of-the-victim';

describe('a user with a token of their own', () => {
  let guarded: GuardedServer;
  let token: string;
  let session: string;

  beforeAll(async () => {
    guarded = await serveGuarded({ tools: new TestTools().all });
    const victim = await guarded.issueToken('victim', { label: secret });
    ({ token } = await guarded.issueToken('attacker'));
    await connect(guarded.url, victim.token).whenAnnounced();
    session = guarded.served.orchestrator.registry.list()[0]?.id ?? '';
    expect(session).toHaveLength(22);
  });
  afterAll(() => guarded.close());

  const routes = [
    ['GET', '/api/usage'],
    ['GET', '/api/usage/'],
    ['GET', '/API/usage'],
    ['GET', '/api//usage'],
    ['GET', '/api/%75sage'],
    ['GET', '/inspector/../api/usage'],
    ['HEAD', '/api/usage'],
    ['GET', '/api/sessions'],
    ['GET', '/api/users'],
    ['GET', '/api/users/victim'],
    ['GET', '/api/users/victim/tokens'],
    ['GET', '/api/users/victim/browsers'],
    ['POST', '/api/users'],
    ['POST', '/api/users/victim/tokens'],
    ['POST', '/api/users/attacker/browsers'],
    ['PATCH', '/api/users/attacker'],
    ['DELETE', '/api/users/victim'],
    ['DELETE', '/api/sessions/SESSION'],
    ['DELETE', '/api/sessions/SHORT'],
    ['GET', '/metrics'],
    ['GET', '/inspector'],
    ['GET', '/inspector/sessions'],
    ['GET', '/inspector/stream?session=SHORT&contents=1'],
    ['GET', '/inspector/%2e%2e/api/sessions'],
  ] as const;

  test.each(routes)(
    '[S6] learns and changes nothing by %s %s, whatever the token is sent as',
    async (method, route) => {
      const path = route.replace('SESSION', session).replace('SHORT', session.slice(0, 8));
      const basic = `Basic ${Buffer.from(`operator:${token}`).toString('base64')}`;
      const presented = [
        bearer(token),
        { authorization: basic },
        {
          ...bearer(token),
          'x-forwarded-for': '127.0.0.1',
          'x-http-method-override': 'GET',
          forwarded: 'for=127.0.0.1',
        },
        { cookie: `token=${token}` },
      ];
      for (const headers of presented) {
        const body = method === 'POST' || method === 'PATCH' ? JSON.stringify({ id: 'x', quotas: [] }) : undefined;
        const asked = { method, headers: { ...headers, 'content-type': 'application/json' }, ...(body && { body }) };
        const { status, text } = await send(guarded.url + path, asked);
        expect([401, 404]).toContain(status);
        for (const hidden of [secret, session.slice(0, 8), 'victim']) expect(text).not.toContain(hidden);
      }
      const query = path.includes('?') ? '&' : '?';
      expect([401, 404]).toContain(
        (await send(`${guarded.url}${path}${query}access_token=${token}`, { method })).status,
      );
      const { json } = await guarded.sendAsOperator('GET', '/api/users');
      expect(json).toMatchObject({ users: [{ id: 'victim' }, { id: 'attacker' }] });
      expect(guarded.served.orchestrator.registry.peek(session)?.state).toBe('connected');
    },
  );

  const line = '%0d%0aset-cookie:%20planted=1%0d%0a%0d%0aplanted';
  test.each([
    `/sse?tools=${line}`,
    `/sse?profile=${line}`,
    `/sse?userId=${line}`,
    `/mcp?browser=${line}`,
    `/message?sessionId=${line}`,
    `/inspector?session=${line}`,
    `/api/users/${line}`,
    `/.well-known/${line}`,
    `/${line}`,
  ])('[S6] writes no header of an answer by %s', async (path) => {
    const headers = [
      `host: ${new URL(guarded.url).host}`,
      `authorization: Bearer ${token}`,
      'origin: http://localhost:1\x0bset-cookie: planted=1',
      `x-request-id: a${decodeURIComponent('%E5%98%8A%E5%98%8D')}set-cookie: planted=1`,
      'accept: text/html',
      'connection: close',
    ];
    for (const kept of [headers, headers.filter((header) => !header.startsWith('origin'))]) {
      const answer = await sendBytes(guarded.url, `GET ${path} HTTP/1.1\r\n${kept.join('\r\n')}\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 [24]\d\d /);
      expect(answer).not.toMatch(/^(set-cookie|planted)/im);
    }
  });

  test('[S6] writes no event of a stream by the name of a tool, and no line of the log', async () => {
    const stream = await connect(guarded.url, token).whenAnnounced();
    const call = async (id: string, method: string, params: object): Promise<void> => {
      const message = { jsonrpc: '2.0', id, method, params };
      const { status } = await postJson(guarded.url + (stream.endpoint ?? ''), message, bearer(token));
      expect(status).toBe(202);
      await stream.answer(id);
    };
    await call('first', 'initialize', {
      protocolVersion: '2025-11-25',
      capabilities: {},
      clientInfo: { name: 'a', version: '1' },
    });
    const name = 'x\n\nevent: endpoint\r\ndata: /planted\r\rid: planted\n\n';
    await call(name, 'tools/call', { name, arguments: { [name]: name } });
    await call('plain', name, {});
    expect(stream.text).not.toMatch(/^(event: endpoint\r|data: \/planted|id: planted)/m);
    expect(stream.events.filter(({ event }) => event === 'endpoint')).toHaveLength(1);
    expect(guarded.log.join('\n')).not.toMatch(/^data: /m);
    await stream.disconnect();
  });
});

test('[S6] markup in all that a client says is text in the inspector', async () => {
  const markup = '<img src=x onerror="window.planted=1"><script>window.planted=1</script><a href="javascript:1">x</a>';
  const [served, browser] = [
    await startTestServer({ tools: new TestTools().all }),
    await puppeteer.launch({ executablePath: chromium, args: [...chromiumFlags] }),
  ];
  const client = new Client({ name: markup, version: `1\u202e2\u2066\u009b` });
  await client.connect(new SSEClientTransport(new URL('/sse', served.url)));
  const watching = await InspectorPage.open(browser, served.url);
  const clean = async (): Promise<void> => {
    const found = `[window.planted ?? null, document.querySelectorAll('img[src=x], a[href^="javascript:"], script:not([src], [type=importmap])').length]`;
    expect(await watching.page.evaluate(found)).toEqual([null, 0]);
    expect(await watching.page.evaluate('document.body.innerText')).not.toMatch(
      /[\u0080-\u009f\u202a-\u202e\u2066-\u2069]/,
    );
    expect(watching.errors).toEqual([]);
  };
  await watching.shows('tbody tr', '<img src=x');
  await watching.shows('tbody tr', '1\\u202e2\\u2066\\u009b');
  await clean();
  const id = served.orchestrator.registry.list()[0]?.id.slice(0, 8);
  await watching.go(`#/session/${id}`, '.timeline');
  const listening = watching.page.waitForResponse((response) => response.url().endsWith('&contents=1'));
  await watching.page.click('.tabs > button');
  await listening;
  await client.callTool({ name: 'echo', arguments: { value: markup } });
  await client.callTool({ name: 'fail', arguments: { how: markup } }).catch(() => undefined);
  await client.callTool({ name: markup, arguments: { [markup]: markup } }).catch(() => undefined);
  await watching.shows('.heading dd', '<img src=x');
  await watching.shows('.payload summary', 'tools/call');
  await watching.page.evaluate(`for (const one of document.querySelectorAll('details')) one.open = true`);
  await clean();
  await watching.go('#/overview', '.overview');
  await clean();
  await watching.page.goto(`${served.url}/inspector#/session/${encodeURIComponent(markup)}`);
  await clean();
  await client.close();
  await browser.close();
  await served.close();
});
