import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { call } from '../support/messages.js';
import { RawMcp } from '../support/rawMcp.js';
import { Prometheus } from '../support/prometheus.js';
import { root } from '../support/root.js';
import { TestTools } from '../support/testTools.js';
import { adminToken, bearer, connect, serveGuarded, type GuardedServer } from '../tenancy/support/guardedServer.js';

const run = promisify(execFile);
const metricsToken = 'the-token-of-the-figures-of-this-test';
const readDeployed = (name: string): Promise<string> => readFile(join(root, '.deploy', name), 'utf8');

/** Asks again with each scrape until it is so. */
async function until<Value>(ask: () => Promise<Value>, isSo: (value: Value) => boolean): Promise<Value> {
  let value = await ask();
  for (let scrapes = 0; !isSo(value) && scrapes < 400; scrapes += 1) {
    await pause(250);
    value = await ask();
  }
  if (!isSo(value)) throw new Error(`After 400 scrapes it still is ${JSON.stringify(value)}: ${String(ask)}.`);
  return value;
}

class PoolWithMemory extends FakeBrowserPool {
  override memory(): Promise<number | null> {
    return Promise.resolve(123_000_000);
  }
}

describe('a real Prometheus that reads a loaded server with the token of the figures', () => {
  const clock = new ManualClock();
  const pool = new PoolWithMemory();
  const clients: RawMcp[] = [];
  let guarded: GuardedServer;
  let prometheus: Prometheus;
  let token = '';

  /** Sessions, calls that succeed and fail, refusals, requests that are mended, a session that cannot be set up. */
  async function load(): Promise<void> {
    const client = await new RawMcp(guarded.url, { headers: bearer(token) }).initialize();
    clients.push(client);
    await client.post(call(1, 'echo', { value: 'x' }));
    await client.post({ ...call(2, 'echo'), params: { name: 'echo', arguments: '{"value":"x"}' } });
    await client.post(call(3, 'fail', { how: 'tool' }));
    await send(`${guarded.url}/message`, { method: 'POST', headers: bearer(token) });
    pool.holdLeases();
    const refused = connect(guarded.url, token);
    await pool.whenWaiting();
    pool.failLeases('browser_failed', 'Chrome is broken.');
    await refused.whenClosed();
    pool.releaseLeases();
  }

  beforeAll(async () => {
    const options = { metricsToken, alertMinCreations: 1, isolation: 'context' } as const;
    guarded = await serveGuarded({ pool, clock, tools: new TestTools().all, options });
    ({ token } = await guarded.issueToken('anna'));
    await load();
    prometheus = await Prometheus.start(guarded.url, metricsToken);
    await until(
      () => prometheus.query('greenroom_tool_calls_total'),
      ({ length }) => length > 0,
    );
    clock.advance(15_000);
    await load();
  });

  afterAll(async () => {
    await prometheus.stop();
    await Promise.all(clients.map((client) => client.delete()));
    await guarded.close();
  });

  test('every query of the dashboard gives figures', async () => {
    const dashboard = JSON.parse(await readDeployed('grafana/greenroom.json')) as {
      panels: { title: string; targets: { expr: string; legendFormat: string }[] }[];
    };
    const queries = dashboard.panels.flatMap(({ targets }) => targets);
    expect(queries.length).toBeGreaterThan(25);
    for (const { expr, legendFormat } of queries) {
      const query = expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '5m');
      const rows = await until(
        () => prometheus.query(query),
        (found) => found.some(({ value: [, value] }) => Number.isFinite(Number(value))),
      );
      // The legend is made of labels that are there.
      for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        expect({ query, has: rows.every(({ metric }) => label in metric) ? label : null }).toEqual({
          query,
          has: label,
        });
    }
  });

  test('every rule is loaded and evaluated, and the alert of the server fires there too', async () => {
    const rules = await until(
      () => prometheus.rules(),
      (all) => all.every(({ health }) => health !== 'unknown') && all.some(({ state }) => state === 'firing'),
    );
    expect(rules.map(({ name, health, lastError = '' }) => [name, health, lastError])).toEqual(
      rules.map(({ name }) => [name, 'ok', '']),
    );
    expect(rules).toHaveLength(12);
    expect(rules.filter(({ state }) => state === 'firing').map(({ name }) => name)).toEqual(['GreenroomSessionsFail']);
  });

  test("the inspector's overview and /health have the same numbers", async () => {
    const figure = async (query: string): Promise<number> => Number((await prometheus.query(query))[0]?.value[1]);
    const operator = { headers: bearer(adminToken) };
    const health = (await send(`${guarded.url}/health`, operator)).json;
    const { overview } = (await send(`${guarded.url}/inspector/sessions`, operator)).json as {
      overview: { health: unknown; failures: unknown[]; samples: { states: Record<string, number> }[] };
    };
    expect(overview.health).toMatchObject({ sessions: (health as { sessions: object }).sessions });
    const same: [string, unknown][] = [
      ['sum(greenroom_sessions)', 2],
      ['sum(greenroom_sessions{state="active"})', overview.samples.at(-1)?.states['active']],
      ['sum(greenroom_session_creations_total{outcome="failed"})', overview.failures.length],
    ];
    for (const [query, expected] of same)
      await until(
        () => figure(query),
        (value) => value === expected,
      );
    expect(overview.health).toMatchObject({
      sessions: { total: 2, active: 2, warm: await figure('sum(greenroom_warm_sessions)') },
      browsers: {
        ready: await figure('greenroom_browsers{state="ready"}'),
        queued: await figure('greenroom_browser_queue_depth'),
        memoryBytes: await figure('greenroom_browser_resident_memory_bytes'),
      },
      performance: { totalErrors: (await figure('sum(greenroom_tool_calls_total{outcome="failed"})')) + 2 },
      alerts: { creationFailureRate: 'firing' },
    });
  });
});

test('[C-METRICS] promtool is content with the metrics, and with the alert rules', async () => {
  const served = await serveGuarded({ tools: new TestTools().all, options: { metricsToken } });
  const { text } = await send(`${served.url}/metrics`, { headers: bearer(metricsToken) });
  await served.close();
  const checking = run('promtool', ['check', 'metrics']);
  checking.child.stdin?.end(text);
  expect(await checking).toEqual({ stdout: '', stderr: '' });
  const rules = await run('promtool', ['check', 'rules', join(root, '.deploy/prometheus/greenroom.rules.yml')]);
  expect(rules.stdout).toContain('SUCCESS: 12 rules found');
});
