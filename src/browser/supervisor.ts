import { setTimeout as delay } from 'node:timers/promises';
import { createActor, fromCallback, type InspectionEvent, type Observer } from 'xstate';
import { timeLimit } from '../clock.js';
import { browserMachine, type BrowserEvent, type Failure } from '../../machines/index.js';
import { untilAborted } from '../async.js';
import type {
  BrowserConnection,
  BrowserState,
  Connect,
  Supervise,
  SuperviseOptions,
  SupervisedBrowser,
} from './process/browserConnection.js';
import { toFailureData, isReason, Refusal } from '../errors/errors.js';

export interface SupervisorOptions {
  /** How long a browser may take to answer. */
  readonly connectTimeoutMs: number;
  /** The first delay after a loss; doubled with each failed attempt. */
  readonly backoffMs: number;
  readonly maxBackoffMs: number;
  /** Attempts to reconnect a lost browser before it counts as failed. */
  readonly maxAttempts: number;
  /** The interval of the liveness check of a ready browser. */
  readonly heartbeatMs: number;
  /** How long the response may take; after two missing ones in a row the browser counts as lost. */
  readonly heartbeatTimeoutMs: number;
  /** A random number from 0 to 1: spreads the reconnections of many browsers over the second half of the delay. */
  readonly jitter: () => number;
  readonly inspect?: Observer<InspectionEvent> | ((event: InspectionEvent) => void);
}

export const supervisorDefaults: SupervisorOptions = {
  connectTimeoutMs: 20_000,
  backoffMs: 200,
  maxBackoffMs: 5_000,
  maxAttempts: 5,
  heartbeatMs: 10_000,
  heartbeatTimeoutMs: 10_000,
  jitter: Math.random,
};

/**
 * Creates the `supervise` function for the browser pool. Each call of it starts the actor of one browser; the caller
 * closes the returned browser.
 */
export function createSupervisor(options: SupervisorOptions = supervisorDefaults): Supervise {
  return (browser) => new BrowserSupervisor(browser, options);
}

class BrowserSupervisor implements SupervisedBrowser {
  readonly id: string;
  readonly #actor;
  readonly #connect: Connect;
  /** Connections that are closing, which `close()` awaits. */
  readonly #closing = new Set<Promise<void>>();
  #connection: BrowserConnection | undefined;

  constructor({ id, mode, connect, observer, consentTimeoutMs }: SuperviseOptions, options: SupervisorOptions) {
    this.id = id;
    this.#connect = connect;
    const machine = browserMachine.provide({
      actors: {
        connection: fromCallback(({ sendBack }) => this.#openConnection(sendBack)),
        heartbeat: fromCallback(({ sendBack }) => this.#startHeartbeat(options, sendBack)),
      },
      delays: {
        connectTimeout: consentTimeoutMs ?? options.connectTimeoutMs,
        backoff: ({ context }) => backoff(context.attempts, options),
      },
    });
    this.#actor = createActor(machine, {
      id,
      input: { id, mode, maxAttempts: consentTimeoutMs === undefined ? options.maxAttempts : 0 },
      ...(options.inspect !== undefined && { inspect: options.inspect }),
    });
    let last: BrowserState = 'connecting';
    this.#actor.subscribe((snapshot) => {
      const state = publicState(snapshot.value);
      if (state === last) return;
      last = state;
      if (state === 'ready' && this.#connection !== undefined) observer.ready(this.#connection);
      if (state === 'lost') observer.lost();
      if (state === 'failed') observer.failed(snapshot.context.failure ?? unknownFailure);
    });
    this.#actor.start();
  }

  get state(): BrowserState {
    return publicState(this.#actor.getSnapshot().value);
  }

  connection(signal?: AbortSignal): Promise<BrowserConnection> {
    if (this.state !== 'closed') this.#actor.send({ type: 'browser.wanted' });
    return untilAborted(this.#whenSettled(), signal);
  }

  async close(): Promise<void> {
    if (this.state !== 'closed') this.#actor.send({ type: 'browser.close' });
    await Promise.all(this.#closing);
  }

  /**
   * The actor `connection` of the chart: one attempt. What it opens, even late, is closed when the chart leaves `open`.
   */
  #openConnection(report: (event: BrowserEvent) => void): () => void {
    const cancel = new AbortController();
    const opening = this.#connect(cancel.signal);
    void opening.then(
      (connection) => {
        if (cancel.signal.aborted) return;
        this.#connection = connection;
        void connection.disconnected.then(() => report({ type: 'connection.lost', failure: lossOf(connection) }));
        report({ type: 'connection.opened', version: connection.product });
      },
      (error: unknown) => report({ type: 'connection.failed', failure: toFailureData(error, 'browser_failed') }),
    );
    return () => {
      this.#connection = undefined;
      cancel.abort(new Error('The browser is no longer needed.'));
      const closing = opening.then(
        (connection) => connection.close(),
        () => undefined,
      );
      this.#closing.add(closing);
      void closing.finally(() => this.#closing.delete(closing));
    };
  }

  /** The actor `heartbeat` of the chart. */
  #startHeartbeat(options: SupervisorOptions, report: (event: BrowserEvent) => void): () => void {
    const stop = new AbortController();
    const connection = this.#connection;
    if (connection !== undefined) {
      void untilUnresponsive(connection, options, stop.signal).then(
        () => report({ type: 'connection.lost', failure: unresponsiveFailure }),
        () => undefined,
      );
    }
    return () => stop.abort();
  }

  /** Resolves when the chart is `ready`, rejects when it is `failed` or `closed`. */
  #whenSettled(): Promise<BrowserConnection> {
    return new Promise((resolve, reject) => {
      const settle = (): boolean => {
        const { value, context } = this.#actor.getSnapshot();
        const state = publicState(value);
        if (state === 'ready' && this.#connection !== undefined) resolve(this.#connection);
        else if (state === 'failed') reject(toRefusal(context.failure ?? unknownFailure));
        else if (state === 'closed') reject(toRefusal(closedFailure));
        else return false;
        return true;
      };
      if (settle()) return;
      const subscription = this.#actor.subscribe({
        next: () => {
          if (settle()) subscription.unsubscribe();
        },
        complete: settle,
      });
    });
  }
}

const unknownFailure: Failure = { reason: 'browser_failed', message: 'The browser could not be started.' };
const lostFailure: Failure = { reason: 'browser_failed', message: 'The browser exited or its connection broke.' };
const unresponsiveFailure: Failure = { reason: 'browser_failed', message: 'The browser hung and was killed.' };
const closedFailure: Failure = { reason: 'browser_failed', message: 'The browser has been closed.' };

function lossOf(connection: BrowserConnection): Failure {
  const cause = connection.endCause?.();
  return cause === undefined ? lostFailure : { ...lostFailure, message: cause };
}

/** Resolves when two checks in a row got no response. Rejects when the signal aborts. */
async function untilUnresponsive(
  connection: BrowserConnection,
  { heartbeatMs, heartbeatTimeoutMs }: SupervisorOptions,
  signal: AbortSignal,
): Promise<void> {
  for (let missed = 0; missed < 2;) {
    await delay(heartbeatMs, undefined, { signal });
    const deadline = AbortSignal.any([signal, timeLimit(heartbeatTimeoutMs)]);
    const answered = await untilAborted(connection.ping(), deadline).then(
      () => true,
      () => false,
    );
    signal.throwIfAborted();
    missed = answered ? 0 : missed + 1;
  }
}

/** The public state: the inner state of `open` counts; states without a public name are `connecting`. */
function publicState(value: string | Record<string, unknown>): BrowserState {
  const name = typeof value === 'string' ? value : value['open'];
  return name === 'ready' || name === 'lost' || name === 'failed' || name === 'closed' ? name : 'connecting';
}

function backoff(attempts: number, { backoffMs, maxBackoffMs, jitter }: SupervisorOptions): number {
  const delayMs = Math.min(maxBackoffMs, backoffMs * 2 ** attempts);
  return delayMs / 2 + (delayMs / 2) * jitter();
}

function toRefusal({ reason, message }: Failure): Refusal {
  return new Refusal(isReason(reason) ? reason : 'browser_failed', { detail: message });
}
