import { createHmac, randomUUID } from 'node:crypto';
import pRetry from 'p-retry';
import { timeLimit } from '../clock.js';
import { codeOf, messageOf } from '../errors/errors.js';

export interface WebhookOptions {
  readonly url: string;
  /** `whsec_` and the key in base64. Without it nothing is signed. */
  readonly secret?: string | undefined;
  /** Told of each try that fails, and why; not of one that is cut off by a later event or the end. */
  onFailedAttempt(why: string): void;
  readonly retryPolicy?: RetryPolicy;
}

/** Times in milliseconds. */
interface RetryPolicy {
  readonly retries: number;
  readonly minTimeout: number;
  /** For one try. */
  readonly answerTimeout: number;
  /** For all of them. */
  readonly deadline: number;
}

const defaultRetryPolicy: RetryPolicy = { retries: 5, minTimeout: 1_000, answerTimeout: 5_000, deadline: 60_000 };

export interface Webhook {
  /** Delivers one event of an episode, sooner or later or never; returns at once. What comes later takes its place. */
  send(type: string, data: object): void;
  /** Gives up what is under way. Resolves when nothing is. Idempotent. */
  close(): Promise<void>;
}

/**
 * Tells one address of events by HTTP, as Standard Webhooks has it: a JSON body `{ type, timestamp, data }`, and the
 * headers `webhook-id` (the same at each try), `webhook-timestamp` (seconds) and `webhook-signature` (`v1,` and the
 * HMAC-SHA256 of `id.timestamp.body` in base64). At most one delivery is under way: a later event says what is true now.
 * Neither address nor secret is ever told to anybody. The owner closes it.
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
  onFailedAttempt(why: string): void;
}

/** The receiver calls the request wrong: trying again would not make it right. */
class RejectedError extends Error {}

/** Never rejects: each try has told of its failure. */
async function deliver(
  { url, secret, type, data }: Delivery,
  { retryPolicy, signal, onFailedAttempt }: DeliveryControl,
): Promise<void> {
  const id = `msg_${randomUUID()}`;
  const body = JSON.stringify({ type, timestamp: new Date().toISOString(), data });
  const { retries, minTimeout, answerTimeout, deadline } = retryPolicy;
  const post = async (): Promise<void> => {
    const timestamp = Math.floor(Date.now() / 1_000);
    const answer = await fetch(url, {
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
    // Unread, an answer holds its connection.
    await answer.body?.cancel();
    if (answer.ok) return;
    const reason = `it answered ${answer.status}`;
    throw isRetryableStatus(answer.status) ? new Error(reason) : new RejectedError(reason);
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

/** A request that the receiver calls wrong is not tried again; one that it calls early is. */
const isRetryableStatus = (status: number): boolean => status >= 500 || status === 408 || status === 429;

function sign(secret: string, content: string): string {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
}

/** Why nothing was answered, in words that do not hold the address: "fetch failed" has the reason in its cause. */
function failureReason(error: unknown): string {
  const cause = typeof error === 'object' && error !== null && 'cause' in error ? error.cause : error;
  return codeOf(cause) ?? messageOf(cause);
}
