import type { OutgoingHttpHeaders } from 'node:http';
import { send, type Reply } from '../support/http.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer } from '../support/testServer.js';
import { adminToken, bearer, serveGuarded } from './support/guardedServer.js';
import { OAuthIssuer } from './support/oauthIssuer.js';
import { withFolder } from './support/tempFolder.js';

interface AuthEndpoints {
  readonly url: string;
  readonly anna: string;
  readonly bert: string;
  /** How many sessions are open. */
  open(): number;
  /** What a challenge at this path ends with. */
  lead(path: string): string;
}

const ways: [string, (run: (doors: AuthEndpoints) => Promise<void>) => Promise<void>][] = [
  [
    'token',
    async (run) => {
      const guarded = await serveGuarded();
      const [anna, bert] = [await guarded.issueToken('anna'), await guarded.issueToken('bert')];
      const open = (): number => guarded.served.orchestrator.registry.list().length;
      await run({ url: guarded.url, anna: anna.token, bert: bert.token, open, lead: () => '' });
      await guarded.close();
    },
  ],
  [
    'jwt',
    (run) =>
      withFolder(async (dataDir) => {
        const issuer = await new OAuthIssuer().start();
        await issuer.rotate();
        const jwt = { auth: 'jwt', jwtIssuer: issuer.url, jwtAudience: 'https://mcp.example', adminToken } as const;
        const served = await startTestServer({ options: { ...jwt, dataDir } });
        const { url } = served;
        const lead = (path: string) => `, resource_metadata="${url}/.well-known/oauth-protected-resource${path}"`;
        const [anna, bert] = [await issuer.sign(), await issuer.sign({ sub: 'bert' })];
        await run({ url, anna, bert, open: () => served.orchestrator.registry.list().length, lead });
        await served.close();
        await issuer.stop();
      }),
  ],
];

const ping = { jsonrpc: '2.0', id: 'mine', method: 'ping' };
const invented = 'AAAAAAAAAAAAAAAAAAAAAA';
/** What a reply says, without what every reply has of its own. */
const bytesOf = ({ status, text, headers: { date: _date, 'x-request-id': _id, ...headers } }: Reply) => [
  status,
  text,
  headers,
];
/** The three verbs of `/mcp`, for the session `id`. */
const verbsOf = (client: RawMcp, headers: OutgoingHttpHeaders): Promise<Reply[]> =>
  Promise.all([client.post(ping, headers), client.get(headers), client.delete(headers)]);

describe.each(ways)('--auth %s', (_, withDoors) => {
  test('[C-AUTH] without a token, or with a wrong one, /mcp and the upgrade of /ws answer 401 with a challenge that leads on', () =>
    withDoors(async ({ url, anna, open, lead }) => {
      const client = await new RawMcp(url, { headers: bearer(anna) }).initialize();
      const cases: [OutgoingHttpHeaders, string][] = [
        [{ authorization: '' }, ''],
        [bearer('wrong'), ', error="invalid_token"'],
        [bearer(adminToken), ', error="invalid_token"'],
      ];
      for (const [shown, error] of cases) {
        const replies = [
          ...(await verbsOf(client, shown)),
          ...(await verbsOf(client, { ...shown, 'mcp-session-id': '' })),
        ];
        for (const reply of replies) {
          expect([reply.status, reply.json]).toMatchObject([401, { error: { data: { reason: 'unauthorized' } } }]);
          expect(reply.headers['www-authenticate']).toBe(`Bearer realm="greenroom"${error}${lead('/mcp')}`);
        }
        // Who asks is judged before what is asked.
        const unread: Promise<Reply>[] = [
          client.postText('{', { ...shown, accept: 'text/html' }),
          client.postText('', { ...shown, 'content-type': 'text/plain', 'mcp-session-id': 'a, b' }),
          client.get({ ...shown, accept: 'application/json' }),
        ];
        for (const reply of await Promise.all(unread)) {
          expect([reply.status, reply.json]).toMatchObject([401, { error: { data: { reason: 'unauthorized' } } }]);
          expect(reply.headers['www-authenticate']).toBe(`Bearer realm="greenroom"${error}${lead('/mcp')}`);
        }
        for (const route of ['/sse', '/ws', '/message']) {
          const method = route === '/message' ? 'POST' : 'GET';
          const reply = await send(`${url}${route}`, {
            method,
            headers: shown,
            ...(method === 'POST' && { body: '{' }),
          });
          const path = route === '/message' ? '/sse' : route;
          expect([reply.status, reply.headers['www-authenticate']]).toEqual([
            401,
            `Bearer realm="greenroom"${error}${lead(path)}`,
          ]);
        }
        const unknown = await new RawWebSocket(url, { headers: shown, protocols: ['other'] }).refused;
        expect(unknown.status).toBe(401);
        const socket = await new RawWebSocket(url, { headers: shown }).refused;
        expect([socket.status, socket.json]).toMatchObject([401, { error: { data: { reason: 'unauthorized' } } }]);
        expect(socket.headers['www-authenticate']).toBe(`Bearer realm="greenroom"${error}${lead('/ws')}`);
      }
      expect(open()).toBe(1);
      expect((await client.delete()).status).toBe(204);
    }));

  test('[C-AUTH] with a token /mcp is open for POST, GET and DELETE, and /ws for an upgrade', () =>
    withDoors(async ({ url, anna }) => {
      const client = await new RawMcp(url, { headers: bearer(anna) }).initialize();
      await client.sendRequest(ping);
      expect(await client.answer('mine')).toMatchObject({ result: {} });
      expect((await client.listen()).status).toBe(200);
      const socket = await new RawWebSocket(url, { headers: bearer(anna) }).whenAnnounced();
      expect(await socket.call(1, 'ping')).toMatchObject({ result: {} });
      expect((await client.delete()).status).toBe(204);
      await socket.disconnect();
    }));

  test("[S6][C-AUTH] another user's session is unknown on /mcp, byte for byte, and so is an event of it", () =>
    withDoors(async ({ url, anna, bert, open }) => {
      const client = await new RawMcp(url, { headers: bearer(anna) }).initialize();
      const stream = await client.sendRequest(ping);
      await client.answer('mine');
      const [event] = stream.events;
      const socket = await new RawWebSocket(url, { headers: bearer(anna) }).whenAnnounced();
      const thief = await new RawMcp(url, { headers: bearer(bert) }).initialize();
      const last = { 'last-event-id': event?.id };
      const made = await verbsOf(thief, { ...last, 'mcp-session-id': invented });
      for (const stolen of [client.sessionId, socket.sessionId]) {
        const replies = await verbsOf(thief, { ...last, 'mcp-session-id': stolen });
        expect(replies.map(bytesOf)).toEqual(made.map(bytesOf));
      }
      for (const { status, json } of made) {
        expect([status, json]).toMatchObject([404, { error: { data: { reason: 'unknown' } } }]);
      }
      expect((await thief.get(last)).json).toMatchObject({ error: { data: { reason: 'unknown_event' } } });
      expect(open()).toBe(3);
      // Once it is closed, only its owner hears that it ever was.
      await client.delete();
      const late = await verbsOf(thief, { ...last, 'mcp-session-id': client.sessionId });
      expect(late.map(bytesOf)).toEqual(made.map(bytesOf));
      expect((await client.post(ping)).json).toMatchObject({ error: { data: { reason: 'closed' } } });
      await Promise.all([thief.delete(), socket.disconnect()]);
    }));
});

test('[C-USERS] a token that is revoked ends its sessions on /mcp and /ws, with their calls and streams, and no others', async () => {
  const guarded = await serveGuarded();
  const [first, second] = [await guarded.issueToken('anna'), await guarded.issueToken('anna')];
  const [mine, other] = [
    await new RawMcp(guarded.url, { headers: bearer(first.token) }).initialize(),
    await new RawMcp(guarded.url, { headers: bearer(second.token) }).initialize(),
  ];
  const stream = await mine.listen();
  const socket = await new RawWebSocket(guarded.url, { headers: bearer(first.token) }).whenAnnounced();
  expect((await guarded.sendAsOperator('DELETE', `/api/users/anna/tokens/${first.id}`)).status).toBe(204);
  expect(await socket.closed).toMatchObject({ code: 4000 });
  await stream.whenClosed();
  expect((await mine.post(ping)).status).toBe(401);
  expect((await mine.post(ping, bearer(second.token))).json).toMatchObject({
    error: { data: { reason: 'closed', closedBecause: 'operator-closed' } },
  });
  await other.sendRequest(ping);
  expect(await other.answer('mine')).toMatchObject({ result: {} });
  expect((await guarded.sendAsOperator('DELETE', '/api/users/anna')).status).toBe(204);
  expect((await other.post(ping)).status).toBe(401);
  expect(guarded.served.orchestrator.registry.list()).toEqual([]);
  await guarded.close();
});
