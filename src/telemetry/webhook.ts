import { createHmac, randomUUID } from 'node:crypto';
import pRetry from 'p-retry';
import { timeLimit } from '../clock.js';
import { codeOf, messageOf } from '../errors/errors.js';

export interface WebhookOptions {
  readonly url: string;
  /** `whsec_` and the key in base64. Without a secret deliveries are not signed. */
  readonly secret?: string | undefined;
  /** Called for each failed attempt with the cause; not for one that a later event or `close` aborted. */
  onFailedAttempt(cause: string): void;
  readonly retryPolicy?: RetryPolicy;
}

/** Times in milliseconds. */
interface RetryPolicy {
  readonly retries: number;
  readonly minTimeout: number;
  /** For one attempt. */
  readonly answerTimeout: number;
  /** For all attempts. */
  readonly deadline: number;
}

const defaultRetryPolicy: RetryPolicy = { retries: 5, minTimeout: 1_000, answerTimeout: 5_000, deadline: 60_000 };

export interface Webhook {
  /** Starts the delivery of one event and returns; aborts the delivery of an earlier event. */
  send(type: string, data: object): void;
  /** Aborts the delivery in progress. Resolves when it has ended. Idempotent. */
  close(): Promise<void>;
}

/**
 * Posts events to one URL as specified by Standard Webhooks: a JSON body `{ type, timestamp, data }`, and the headers
 * `webhook-id` (the same for each attempt), `webhook-timestamp` (seconds) and `webhook-signature` (`v1,` and the
 * HMAC-SHA256 of `id.timestamp.body` in base64). At most one delivery is in progress: a later event has the current state.
 * URL and secret are never logged. The owner closes it.
 *
 *     send -> attempt -> backoff -> attempt … -> delivered, rejected (4xx), aborted or past the deadline
 */
export function createWebhook({
  url,
  secret,
  onFailedAttempt,
  retryPolicy = defaultRetryPolicy,
}: WebhookOptions): Webhook {
  let current = new AbortController();
  let deliveries: Promise<void> = Promise.resolve();
  return {
    send(type, data) {
      current.abort();
      current = new AbortController();
      const { signal } = current;
      const delivery = deliver({ url, secret, type, data }, { retryPolicy, signal, onFailedAttempt });
      deliveries = deliveries.then(() => delivery);
    },
    close: () => {
      current.abort();
      return deliveries;
    },
  };
}

interface Delivery {
  readonly url: string;
  readonly secret: string | undefined;
  readonly type: string;
  readonly data: object;
}

interface DeliveryControl {
  readonly retryPolicy: RetryPolicy;
  readonly signal: AbortSignal;
  onFailedAttempt(cause: string): void;
}

/** The receiver rejected the request: a retry would be rejected again. */
class RejectedError extends Error {}

/** Never rejects: each attempt reports its failure. */
async function deliver(
  { url, secret, type, data }: Delivery,
  { retryPolicy, signal, onFailedAttempt }: DeliveryControl,
): Promise<void> {
  const id = `msg_${randomUUID()}`;
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
  const { retries, minTimeout, answerTimeout, deadline } = retryPolicy;
  const post = async (): Promise<void> => {
    const timestamp = Math.floor(Date.now() / 1_000);
    const response = await fetch(url, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        ...(secret !== undefined && { 'webhook-signature': sign(secret, `${id}.${timestamp}.${body}`) }),
      },
      redirect: 'error',
      signal: AbortSignal.any([signal, timeLimit(answerTimeout)]),
    }).catch((error: unknown) => {
      throw new Error(failureReason(error), { cause: error });
    });
    // An unread body keeps its connection open.
    await response.body?.cancel();
    if (response.ok) return;
    const reason = `it answered ${response.status}`;
    throw isRetryableStatus(response.status) ? new Error(reason) : new RejectedError(reason);
  };
  const attempts = pRetry(post, {
    ...{ retries, minTimeout, maxRetryTime: deadline, randomize: true, unref: true, signal },
    onFailedAttempt: ({ error }) => {
      if (!signal.aborted) onFailedAttempt(error.message);
    },
    shouldRetry: ({ error }) => !(error instanceof RejectedError),
  });
  await attempts.catch(() => undefined);
}

/** Server errors, timeouts and rate limits are retried; every other error is final. */
const isRetryableStatus = (status: number): boolean => status >= 500 || status === 408 || status === 429;

function sign(secret: string, content: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
}

/** The cause of a failed request without the URL: "fetch failed" has the reason in its cause. */
function failureReason(error: unknown): string {
  const cause = typeof error === 'object' && error !== null && 'cause' in error ? error.cause : error;
  return codeOf(cause) ?? messageOf(cause);
}
