import type { LogFields, Log } from '../../src/log.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { expectedSignature, receiveWebhooks, type WebhookReceiver } from '../support/webhookReceiver.js';

const secret = `whsec_${Buffer.from('a key of thirty-two bytes, or so').toString('base64')}`;

class RecordedLog {
  readonly all: { level: string; message: string; fields: LogFields | undefined }[] = [];
  readonly log: Log = {
    error: this.#take('error'),
    warn: this.#take('warn'),
    info: this.#take('info'),
    debug: this.#take('debug'),
  };

  /** Resolves when there are `count` lines about it. */
  async when(message: RegExp, count: number): Promise<void> {
    while (this.about(message).length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  about(message: RegExp) {
    return this.all.filter((line) => message.test(line.message));
  }

  #waiting: (() => void)[] = [];

  #take(level: string) {
    return (message: string, fields?: LogFields): void => {
      this.all.push({ level, message, fields });
      for (const resume of this.#waiting.splice(0)) resume();
    };
  }
}

/** A server whose browsers the test breaks and mends. */
async function start(options: object = {}) {
  const clock = new ManualClock();
  const pool = new FakeBrowserPool();
  const lines = new RecordedLog();
  const served = await startTestServer({ pool, clock, log: lines.log, options });
  const connect = async (): Promise<void> => {
    const stream = new RawSse(served.url);
    await stream.when(({ status }) => status !== undefined);
    await stream.disconnect();
  };
  const fail = async (): Promise<void> => {
    pool.holdLeases();
    const stream = new RawSse(served.url);
    await pool.whenWaiting();
    pool.failLeases('browser_failed', 'Chrome is broken.');
    await stream.whenClosed();
    pool.releaseLeases();
  };
  return { clock, pool, lines, served, connect, fail };
}

async function reportedStates({ url }: TestServer) {
  const health = (await send(`${url}/health`)).json as { alerts: { creationFailureRate: string } };
  const { text } = await send(`${url}/metrics`);
  const [, gauge] = /greenroom_alert_state\{alert="creation_failure_rate",state="(\w+)"\} 1/.exec(text) ?? [];
  return [health.alerts.creationFailureRate, gauge];
}

test('[C-ALARM][C-WEBHOOK] a broken browser makes the alarm ring, a mended one clears it: in health, metrics, log and webhook', async () => {
  const receiver: WebhookReceiver = await receiveWebhooks();
  const { clock, lines, served, connect, fail } = await start({
    alertWebhook: receiver.url,
    alertWebhookSecret: secret,
  });
  for (let n = 0; n < 4; n += 1) await fail();
  expect(await reportedStates(served)).toEqual(['ok', 'ok']);
  await fail();
  expect(await reportedStates(served)).toEqual(['pending', 'pending']);
  clock.advance(15_000);
  expect(await reportedStates(served)).toEqual(['firing', 'firing']);
  expect(lines.about(/^alert: pending -> firing$/)).toEqual([
    {
      level: 'warn',
      message: 'alert: pending -> firing',
      fields: expect.objectContaining({ failures: 5, creations: 5, rate: 1, cause: 'browser-failed' }),
    },
  ]);
  await receiver.whenReceived(1);

  for (let n = 0; n < 20; n += 1) await connect();
  await fail();
  expect(await reportedStates(served)).toEqual(['firing', 'firing']);
  for (let n = 0; n < 5; n += 1) await connect();
  expect(await reportedStates(served)).toEqual(['ok', 'ok']);
  expect(lines.about(/^alert: firing -> ok$/)).toEqual([expect.objectContaining({ level: 'info' })]);
  await receiver.whenReceived(2);
  clock.advance(600_000);

  await served.close();
  expect(receiver.received.map(({ json: { type, data } }) => [type, data['failures'], data['creations']])).toEqual([
    ['alert.firing', 5, 5],
    ['alert.cleared', 6, 31],
  ]);
  for (const delivery of receiver.received) {
    expect(delivery.headers['webhook-signature']).toBe(expectedSignature(delivery, secret));
  }
  expect(JSON.stringify(lines.all)).not.toContain(secret);
  expect(clock.pending).toBe(0);
  await receiver.close();
});

test('[C-ALARM] when nobody connects any more it clears as the failures leave the window', async () => {
  const { clock, lines, served, fail } = await start();
  for (let n = 0; n < 5; n += 1) await fail();
  clock.advance(55_000);
  expect(await reportedStates(served)).toEqual(['firing', 'firing']);
  clock.advance(10_000);
  expect(await reportedStates(served)).toEqual(['ok', 'ok']);
  expect(lines.about(/^alert: (pending|firing) ->/)).toHaveLength(2);
  await served.close();
});

test('[C-ALARM] clients that leave, and those that are turned away at the door, are no failures', async () => {
  const { pool, served } = await start({ maxSessions: 1 });
  for (let n = 0; n < 6; n += 1) {
    pool.holdLeases();
    const leaving = new RawSse(served.url);
    await pool.whenWaiting(n + 1);
    expect((await send(`${served.url}/sse`)).status).toBe(429);
    const [session] = served.orchestrator.registry.list();
    await leaving.disconnect();
    await session?.ended;
  }
  const { text } = await send(`${served.url}/metrics`);
  expect(text).toContain('greenroom_session_creations_total{outcome="abandoned",cause="client-closed"} 6');
  expect(text).toContain('greenroom_refusals_total{reason="too_many_sessions",transport="sse"} 6');
  expect(await reportedStates(served)).toEqual(['ok', 'ok']);
  await served.close();
});

test('[C-WEBHOOK] a webhook that fails holds up nothing and is told of once in an episode', async () => {
  const receiver = await receiveWebhooks((response) => void response.writeHead(400).end());
  const { clock, lines, served, fail } = await start({ alertWebhook: receiver.url });
  for (const episode of [1, 2]) {
    for (let n = 0; n < 5; n += 1) await fail();
    clock.advance(15_000);
    await lines.when(/webhook/, episode);
    expect(await reportedStates(served)).toEqual(['firing', 'firing']);
    clock.advance(60_000);
    expect(await reportedStates(served)).toEqual(['ok', 'ok']);
    await receiver.whenReceived(2 * episode);
  }
  await served.close();
  expect(lines.about(/webhook/)).toEqual(
    [1, 2].map(() => expect.objectContaining({ level: 'warn', fields: { error: 'it answered 400' } })),
  );
  expect(JSON.stringify(lines.all)).not.toContain('T0PSECRET');
  await receiver.close();
});
