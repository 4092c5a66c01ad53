import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import { Refusal } from '../../src/errors/errors.js';
import type { Observation } from '../../src/telemetry/observer.js';
import { hashSecret, generateToken } from '../../src/tenancy/bearerToken.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { Gate, nextTurn } from '../support/gate.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { adminToken, bearer } from '../tenancy/support/guardedServer.js';

class BrokenPool extends FakeBrowserPool {
  override lease(): BrowserLease {
    throw new Error('This is a defect.');
  }
}

interface Scenario {
  readonly served: TestServer;
  readonly clock: ManualClock;
  readonly pool: FakeBrowserPool;
  readonly claims: Gate;
  readonly stream: RawSse;
  operator(path: string): void;
}

interface Case {
  readonly when: string;
  /** What is under way as `end` is called. */
  readonly during?: 'the lease' | 'the claim';
  readonly path?: string;
  readonly given?: () => TestServerOptions;
  end?(scene: Scenario): unknown;
  readonly outcome: 'announced' | 'failed' | 'abandoned' | 'cancelled' | 'refused';
  readonly cause: string | null;
}

const throwing = (error: Error) => () => ({
  onSession: (): never => {
    throw error;
  },
});

const leave = ({ stream }: Scenario) => stream.disconnect();

const cases: readonly Case[] = [
  { when: 'it is announced', outcome: 'announced', cause: null },
  { when: 'its client leaves', during: 'the lease', end: leave, outcome: 'abandoned', cause: 'client-closed' },
  { when: 'its client leaves late', during: 'the claim', end: leave, outcome: 'abandoned', cause: 'client-closed' },
  {
    when: 'the operator closes it',
    during: 'the lease',
    end: ({ served, operator }) => operator(`/api/sessions/${served.orchestrator.registry.list()[0]?.id}`),
    outcome: 'cancelled',
    cause: 'operator-closed',
  },
  {
    when: 'its token is revoked',
    during: 'the lease',
    end: ({ operator }) => operator('/api/users/anna/tokens/first'),
    outcome: 'cancelled',
    cause: 'operator-closed',
  },
  {
    when: 'its user is deleted',
    during: 'the claim',
    end: ({ operator }) => operator('/api/users/anna'),
    outcome: 'cancelled',
    cause: 'operator-closed',
  },
  {
    when: 'the server drains',
    during: 'the lease',
    end: ({ served }) => void served.orchestrator.registry.drain(),
    outcome: 'cancelled',
    cause: 'server-draining',
  },
  {
    when: 'its token expires',
    during: 'the lease',
    end: ({ clock, pool }) => {
      clock.advance(20_000);
      pool.releaseLeases();
    },
    outcome: 'refused',
    cause: 'claim-refused',
  },
  {
    when: 'every process is taken, and more may not wait',
    during: 'the lease',
    end: ({ pool }) => pool.failLeases('browsers_busy', 'All are taken.'),
    outcome: 'refused',
    cause: 'browser-failed',
  },
  {
    when: "its user's own browser is away",
    path: '/sse?browser=desk',
    during: 'the lease',
    end: ({ pool }) => pool.failLeases('browser_unreachable', 'Nobody is there.'),
    outcome: 'refused',
    cause: 'browser-failed',
  },
  {
    when: 'an embedder refuses it',
    given: throwing(new Refusal('invalid_parameter')),
    outcome: 'refused',
    cause: 'setup-failed',
  },
  {
    when: "an embedder's set-up fails",
    given: throwing(new Error('This is a defect.')),
    outcome: 'failed',
    cause: 'setup-failed',
  },
  {
    when: 'there is no browser',
    during: 'the lease',
    end: ({ pool }) => pool.failLeases('browser_failed', 'None was found.'),
    outcome: 'failed',
    cause: 'browser-failed',
  },
  {
    when: "the server's browser is away",
    during: 'the lease',
    end: ({ pool }) => pool.failLeases('browser_unreachable', 'Nobody is there.'),
    outcome: 'failed',
    cause: 'browser-failed',
  },
  {
    when: 'the browser is not there in time',
    during: 'the lease',
    end: ({ clock }) => clock.advance(30_000),
    outcome: 'failed',
    cause: 'setup-timeout',
  },
  {
    when: 'the directory cannot be reached',
    during: 'the claim',
    end: ({ claims }) => claims.fail(new Error('ECONNREFUSED')),
    outcome: 'failed',
    cause: 'claim-refused',
  },
  {
    when: 'its actor crashes before its client is attached',
    given: () => ({ pool: new BrokenPool() }),
    outcome: 'failed',
    cause: 'setup-failed',
  },
];

/** A data folder with one user, who has a token that holds for 20 seconds, and a browser. */
async function registered(clock: ManualClock) {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-creations-'));
  const [createdAt, expiresAt] = [0, 20_000].map((ms) => new Date(clock.now() + ms).toISOString());
  const token = generateToken();
  const tokens = [{ id: 'first', hash: hashSecret(token), createdAt, expiresAt }];
  const browsers = [{ id: 'desk', url: 'http://127.0.0.1:9/', createdAt }];
  const users = [{ id: 'anna', createdAt, tokens, browsers }];
  await writeFile(join(folder, 'users.json'), JSON.stringify({ version: 1, users }));
  return { folder, token };
}

test.each(cases)('[C-CREATION][C-ALARM] when $when, a creation is told once, as $outcome', async (row) => {
  const { during, path = '/sse?browser=launch', given = () => ({}), end, outcome, cause } = row;
  const [clock, claims, told]: [ManualClock, Gate, Observation[]] = [new ManualClock(), new Gate(), []];
  const { folder, token } = await registered(clock);
  if (during !== 'the claim') claims.open();
  const served = await startTestServer({
    clock,
    directory: { claim: () => claims.pass() },
    observe: (one) => {
      if (one.kind === 'creation') told.push(one);
    },
    ...given(),
    options: { auth: 'token', adminToken, dataDir: folder, alertMinCreations: 1 },
  });
  const { url, pool } = served;
  const headers = bearer(adminToken);
  const operator = (at: string): void => void send(`${url}${at}`, { method: 'DELETE', headers });
  if (during === 'the lease') pool.holdLeases();
  const stream = new RawSse(url, { path, headers: bearer(token) });
  if (during === 'the lease') await pool.whenWaiting();
  if (during === 'the claim') await claims.whenReached();
  await end?.({ served, clock, pool, claims, stream, operator });
  while (told.length === 0) await nextTurn();
  const health = await served.orchestrator.health();
  const { text } = await send(`${url}/metrics`, { headers });
  await stream.disconnect();
  claims.open();
  await served.close();
  await rm(folder, { recursive: true });

  expect(told).toEqual([expect.objectContaining({ outcome, cause })]);
  expect(health).toMatchObject({
    performance: { connects: { [outcome]: 1 }, totalErrors: outcome === 'failed' ? 1 : 0 },
    alerts: { creationFailureRate: outcome === 'failed' ? 'pending' : 'ok' },
  });
  const label = `{outcome="${outcome}",cause="${cause ?? 'none'}"}`;
  expect(text.match(/^greenroom_session_creations_total\{.*$/gm)).toEqual([
    `greenroom_session_creations_total${label} 1`,
  ]);
});
