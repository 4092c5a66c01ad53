import type { ServerResponse } from 'node:http';
import { createWebhook } from '../../src/telemetry/webhook.js';
import { expectedSignature, receiveWebhooks, type WebhookReceiver } from '../support/webhookReceiver.js';

const secret = `whsec_${Buffer.from('twenty-four bytes of key').toString('base64')}`;
/** No pause between tries. */
const retryPolicy = { retries: 3, minTimeout: 0, answerTimeout: 10_000, deadline: 10_000 };

let receiver: WebhookReceiver | undefined;
afterEach(() => receiver?.close());

/** Resolves with what `failed` is told. */
function failure(url: string, given: Partial<typeof retryPolicy> = {}) {
  return new Promise<string>((resolve) => {
    createWebhook({ url, secret, onFailedAttempt: resolve, retryPolicy: { ...retryPolicy, ...given } }).send(
      'alert.firing',
      {},
    );
  });
}

test('[C-WEBHOOK] a delivery is signed as Standard Webhooks has it', async () => {
  receiver = await receiveWebhooks();
  const webhook = createWebhook({ url: receiver.url, secret, onFailedAttempt: () => undefined });
  webhook.send('alert.firing', { rate: 1 });
  await receiver.whenReceived(1);
  const [delivery] = receiver.received;
  if (!delivery) throw new Error('unreachable');
  expect(delivery.json).toEqual({ type: 'alert.firing', timestamp: expect.any(String), data: { rate: 1 } });
  expect(delivery.headers).toMatchObject({
    'content-type': 'application/json',
    'webhook-id': expect.stringMatching(/^msg_/),
    'webhook-signature': expectedSignature(delivery, secret),
  });
  expect(Math.abs(Number(delivery.headers['webhook-timestamp']) - Date.now() / 1_000)).toBeLessThan(60);
  await webhook.close();
});

test('without a secret nothing is signed', async () => {
  receiver = await receiveWebhooks();
  const webhook = createWebhook({ url: receiver.url, onFailedAttempt: () => undefined });
  webhook.send('alert.firing', {});
  await receiver.whenReceived(1);
  expect(receiver.received[0]?.headers).not.toHaveProperty('webhook-signature');
  await webhook.close();
});

test('[C-WEBHOOK] a delivery is tried again with the same id until it is taken', async () => {
  const told: string[] = [];
  receiver = await receiveWebhooks((response, count) => void response.writeHead(count < 3 ? 500 : 204).end());
  const webhook = createWebhook({
    url: receiver.url,
    secret,
    onFailedAttempt: (why) => void told.push(why),
    retryPolicy,
  });
  webhook.send('alert.firing', {});
  await receiver.whenReceived(3);
  await webhook.close();
  expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect(receiver.received).toHaveLength(3);
  expect(told).toEqual(['it answered 500', 'it answered 500']);
});

test('[C-WEBHOOK] one that answers 500 for ever is given up after a bounded number of tries', async () => {
  receiver = await receiveWebhooks((response) => void response.writeHead(500).end());
  const told: string[] = [];
  const all = new Promise<void>((resolve) => {
    const onFailedAttempt = (why: string): void => {
      if (told.push(why) === 1 + retryPolicy.retries) resolve();
    };
    createWebhook({ url: receiver?.url ?? '', secret, onFailedAttempt, retryPolicy }).send('alert.firing', {});
  });
  await all;
  expect(new Set(told)).toEqual(new Set(['it answered 500']));
  expect(receiver.received).toHaveLength(1 + retryPolicy.retries);
});

const redirect = (response: ServerResponse) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end();

test.each([
  ['hangs', () => undefined, 20, /timeout/],
  ['redirects', redirect, retryPolicy.answerTimeout, /redirect/],
])('one that %s is given up, and the reason does not hold its address', async (_name, answer, answerTimeout, why) => {
  receiver = await receiveWebhooks(answer);
  const told = await failure(receiver.url, { retries: 1, answerTimeout });
  expect(told).toMatch(why);
  expect(told).not.toContain('T0PSECRET');
});

test('one that is not there is given up with the code of the system', async () => {
  receiver = await receiveWebhooks();
  const { url } = receiver;
  await receiver.close();
  receiver = undefined;
  expect(await failure(url, { retries: 0 })).toBe('ECONNREFUSED');
});

test('[C-WEBHOOK] closing gives up at once what is under way, and tells nobody', async () => {
  let failures = 0;
  receiver = await receiveWebhooks(() => undefined);
  const webhook = createWebhook({ url: receiver.url, secret, onFailedAttempt: () => (failures += 1), retryPolicy });
  webhook.send('alert.firing', {});
  await receiver.whenReceived(1);
  await webhook.close();
  await webhook.close();
  expect(failures).toBe(0);
});

test('a later event takes the place of one that is still being delivered', async () => {
  receiver = await receiveWebhooks((response, count) => {
    if (count > 1) response.writeHead(204).end();
  });
  const webhook = createWebhook({ url: receiver.url, secret, onFailedAttempt: () => undefined, retryPolicy });
  webhook.send('alert.firing', {});
  await receiver.whenReceived(1);
  webhook.send('alert.cleared', {});
  await receiver.whenReceived(2);
  await webhook.close();
  expect(receiver.received.map(({ json }) => json.type)).toEqual(['alert.firing', 'alert.cleared']);
});
