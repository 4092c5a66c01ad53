import { generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { systemClock } from '../../src/clock.js';
import { jwtAuthenticator } from '../../src/tenancy/jwt.js';
import { ManualClock } from '../support/manualClock.js';
import { send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { adminToken, bearer, recordingLog } from './support/guardedServer.js';
import { OAuthIssuer } from './support/oauthIssuer.js';
import { withFolder } from './support/tempFolder.js';

const audience = 'https://mcp.example';

let issuer: OAuthIssuer;
beforeAll(async () => {
  issuer = await new OAuthIssuer().start();
  await issuer.rotate('RS256');
});
afterAll(() => issuer.stop());

/** Runs with a server that trusts the issuer. */
const withServer = (run: (served: TestServer, log: readonly string[]) => Promise<void>, more = {}): Promise<void> =>
  withFolder(async (dataDir) => {
    const log: string[] = [];
    const jwt = { auth: 'jwt', jwtIssuer: issuer.url, jwtAudience: audience, adminToken, dataDir } as const;
    const served = await startTestServer({ log: recordingLog(log), options: { ...jwt, ...more } });
    await run(served, log);
    await served.close();
  });

const connect = (url: string, token: string) => new RawSse(url, { headers: bearer(token) });
const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };

const reasonOf = (json: unknown): unknown => (json as { error: { data: { reason: unknown } } }).error.data.reason;

test('[C-AUTH] the official client connects with a token of the issuer, and works as its subject', () =>
  withServer(async ({ url, orchestrator }) => {
    const requestInit = { headers: { authorization: `Bearer ${await issuer.sign({ sub: 'auth0|anna' })}` } };
    const client = new Client({ name: 'test', version: '1' });
    const fetchWithToken: typeof fetch = (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set('authorization', requestInit.headers.authorization);
      return fetch(input, { ...init, headers });
    };
    await client.connect(new SSEClientTransport(new URL('/sse', url), { fetch: fetchWithToken, requestInit }));
    expect(await client.ping()).toEqual({});
    expect(orchestrator.registry.list().map(({ principal }) => principal)).toEqual([
      { issuer: issuer.url, user: 'auth0|anna', expiresAt: expect.any(Number) },
    ]);
    await client.close();
  }));

test('[C-AUTH] what is wrong with a token is 401 with a challenge that leads to the issuer, and nothing opens', () =>
  withServer(async ({ url, orchestrator }) => {
    const now = Date.now();
    const seconds = Math.floor(now / 1_000);
    const stranger = await generateKeyPair('RS256');
    const claims = { iss: issuer.url, sub: 'anna', aud: audience, exp: seconds + 300 };
    const tokens: Record<string, string> = {
      'another audience': await issuer.sign({ aud: 'https://other.example' }),
      'another issuer': await issuer.sign({ iss: 'https://other.example' }),
      'no audience': await issuer.sign({ aud: undefined }),
      'no subject': await issuer.sign({ sub: undefined }),
      'an empty subject': await issuer.sign({ sub: '' }),
      'a subject of lines': await issuer.sign({ sub: 'anna\nroot' }),
      'a huge subject': await issuer.sign({ sub: 'x'.repeat(256) }),
      'no expiry': await issuer.sign({ exp: undefined }),
      'the past': await issuer.sign({ exp: seconds - 60 }),
      'the future': await issuer.sign({ nbf: seconds + 60 }),
      'a stranger': await new SignJWT(claims).setProtectedHeader({ alg: 'RS256' }).sign(stranger.privateKey),
      'no signature': new UnsecuredJWT(claims).encode(),
      'a shared secret': await new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new Uint8Array(32)),
      nonsense: 'a.b.c',
      'the operator': adminToken,
    };
    for (const [name, token] of Object.entries(tokens)) {
      const { status, json, headers } = await send(`${url}/sse`, { headers: bearer(token) });
      expect([name, status, reasonOf(json)]).toEqual([name, 401, 'unauthorized']);
      expect(headers['www-authenticate']).toBe(
        `Bearer realm="greenroom", error="invalid_token", resource_metadata="${url}/.well-known/oauth-protected-resource/sse"`,
      );
    }
    const none = await send(`${url}/sse`);
    expect(none.headers['www-authenticate']).toBe(
      `Bearer realm="greenroom", resource_metadata="${url}/.well-known/oauth-protected-resource/sse"`,
    );
    expect(orchestrator.registry.list()).toEqual([]);
  }));

test('[C-AUTH] the metadata names the resource by the path it stands under, and the issuer', () =>
  withServer(async ({ url }) => {
    for (const path of ['', '/sse', '/mcp', '/ws']) {
      const { status, json } = await send(`${url}/.well-known/oauth-protected-resource${path}`);
      expect([status, json]).toEqual([
        200,
        {
          resource: `${url}${path}`,
          authorization_servers: [issuer.url],
          bearer_methods_supported: ['header'],
          resource_name: 'Greenroom',
        },
      ]);
    }
    expect((await send(`${url}/.well-known/oauth-protected-resource/other`)).status).toBe(404);
  }));

test('[C-AUTH] behind a proxy the public address is what the metadata and the challenge name', () =>
  withServer(
    async ({ url }) => {
      const { json } = await send(`${url}/.well-known/oauth-protected-resource/mcp`);
      expect(json).toMatchObject({ resource: 'https://mcp.example/mcp' });
      const { headers } = await send(`${url}/sse`);
      expect(headers['www-authenticate']).toContain('"https://mcp.example/.well-known/oauth-protected-resource/sse"');
    },
    { publicUrl: 'https://mcp.example' },
  ));

test('[S6][C-AUTH] a session belongs to issuer and subject: a refreshed token keeps it, another user is answered unknown', () =>
  withServer(async ({ url }) => {
    const stream = await connect(url, await issuer.sign({ jti: 'one' })).whenAnnounced();
    expect((await stream.post(ping, bearer(await issuer.sign({ jti: 'two' })))).status).toBe(202);
    expect(await stream.answer(1)).toMatchObject({ result: {} });
    const bert = bearer(await issuer.sign({ sub: 'bert' }));
    const foreign = await stream.post(ping, bert);
    const invented = await send(`${url}/message?sessionId=AAAAAAAAAAAAAAAAAAAAAA`, {
      method: 'POST',
      headers: { ...bert, 'content-type': 'application/json' },
      body: JSON.stringify(ping),
    });
    expect([foreign.status, foreign.text]).toEqual([invented.status, invented.text]);
    expect(reasonOf(foreign.json)).toBe('unknown');
    await stream.disconnect();
  }));

test('[S4][C-AUTH] messages that come together with a token that is new are handed over in their order', () =>
  withServer(async ({ url }) => {
    const stream = await connect(url, await issuer.sign()).whenAnnounced();
    const refreshed = bearer(await issuer.sign({ jti: 'fresh' }));
    const ids = Array.from({ length: 20 }, (_, id) => id);
    for (const reply of await Promise.all(ids.map((id) => stream.post({ ...ping, id }, refreshed)))) {
      expect(reply.status).toBe(202);
    }
    await stream.when(({ messages }) => messages.length === ids.length);
    await stream.disconnect();
  }));

test('[C-AUTH] without its issuer nobody is let in, and nobody is told that the token is wrong', async () => {
  const gone = await new OAuthIssuer().start();
  await gone.rotate();
  const token = await gone.sign();
  await gone.stop();
  await withServer(
    async ({ url, orchestrator }) => {
      const reply = await send(`${url}/sse`, { headers: bearer(token) });
      expect([reply.status, reasonOf(reply.json)]).toEqual([503, 'issuer_unreachable']);
      expect(reply.headers['retry-after']).toBe('5');
      expect(reply.headers['www-authenticate']).toBeUndefined();
      expect(orchestrator.registry.list()).toEqual([]);
      await gone.start();
      const stream = await connect(url, token).whenAnnounced();
      await stream.disconnect();
    },
    { jwtIssuer: gone.url },
  );
  await gone.stop();
});

test('[C-AUTH] an issuer whose metadata is that of another is not believed', async () => {
  const liar = await new OAuthIssuer().start();
  await liar.rotate();
  liar.claimedIssuer = 'https://other.example';
  await withServer(
    async ({ url }) => {
      const reply = await send(`${url}/sse`, { headers: bearer(await liar.sign()) });
      expect([reply.status, reasonOf(reply.json)]).toEqual([503, 'issuer_unreachable']);
    },
    { jwtIssuer: liar.url },
  );
  await liar.stop();
});

describe('the keys of an issuer', () => {
  const credentials = (token: string) => ({
    headers: { authorization: `Bearer ${token}` },
    path: '/sse',
    query: new URLSearchParams(),
  });
  const trusting = (given: OAuthIssuer, clock = systemClock) =>
    jwtAuthenticator({
      issuer: given.url,
      audience: [audience],
      jwksUrl: `${given.url}/keys`,
      clock,
      keyCooldownMs: 0,
    });

  let own: OAuthIssuer;
  beforeEach(async () => {
    own = await new OAuthIssuer().start();
    await own.rotate('EdDSA');
  });
  afterEach(() => own.stop());

  test('[C-AUTH] a new key is found when a token shows it; a token of the old one stays good while it is in the set', async () => {
    const authenticate = trusting(own);
    const old = await own.sign();
    expect(await authenticate(credentials(old))).toEqual({
      issuer: own.url,
      user: 'anna',
      expiresAt: expect.any(Number),
    });
    await own.rotate('PS256');
    expect(await authenticate(credentials(await own.sign({ sub: 'bert' })))).toEqual({
      issuer: own.url,
      user: 'bert',
      expiresAt: expect.any(Number),
    });
    expect(await authenticate(credentials(old))).toMatchObject({ user: 'anna' });
    expect(own.keySetReads).toBe(2);
  });

  test('[C-AUTH] a token is verified again after a minute: a key that was withdrawn is not believed for long', async () => {
    const clock = new ManualClock();
    const authenticate = trusting(own, clock);
    const old = await own.sign({}, clock.now());
    await authenticate(credentials(old));
    await own.rotate('ES256', { withdraw: true });
    await authenticate(credentials(await own.sign({ sub: 'bert' }, clock.now())));
    await expect(authenticate(credentials(old))).resolves.toMatchObject({ user: 'anna' });
    clock.advance(60_000);
    await expect(authenticate(credentials(old))).rejects.toMatchObject({ reason: 'unauthorized' });
  });

  test('[C-AUTH] a token that was good is refused when it has expired, give or take a few seconds', async () => {
    const clock = new ManualClock();
    const authenticate = trusting(own, clock);
    const token = await own.sign({ exp: Math.floor(clock.now() / 1_000) + 10 }, clock.now());
    await authenticate(credentials(token));
    clock.advance(14_999);
    await expect(authenticate(credentials(token))).resolves.toMatchObject({ user: 'anna' });
    clock.advance(1);
    await expect(authenticate(credentials(token))).rejects.toMatchObject({ reason: 'unauthorized' });
  });
});

test('[C-SECRETS] no access token is in a log line', () =>
  withServer(async ({ url }, log) => {
    const tokens = [await issuer.sign(), await issuer.sign({ aud: 'https://other.example' })];
    const [good = '', bad = ''] = tokens;
    const stream = await connect(url, good).whenAnnounced();
    await send(`${url}/sse`, { headers: bearer(bad) });
    await stream.disconnect();
    expect(log.join('\n')).toContain('connected');
    for (const token of tokens) {
      for (const part of token.split('.')) expect(log.join('\n')).not.toContain(part);
    }
  }));
