import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, Refusal } from '../../errors/errors.js';
import { parseRedisAddress } from '../../redisAddress.js';
import { createRedisClients, type RedisClients, type RedisCommands } from './redisClients.js';

export interface RedisConnectionOptions {
  /** As `--redis-url` has it; see redisAddress.ts. With user and password if it needs them. Never shown. */
  readonly url: string;
  /** How long one command may take. Milliseconds. */
  readonly timeoutMs: number;
  /** Told once when it is lost, or cannot be had. The message names no secret. */
  onLost(message: string): void;
  /** Told once when it is there again. */
  onReconnected(): void;
}

/** The first pause before the next try, doubled up to the longest. Milliseconds. */
const [firstPauseMs, longestPauseMs] = [50, 800];

interface ActiveClients {
  readonly clients: RedisClients;
  /** They are of no use any more. */
  abandon(error: unknown): void;
}

/**
 * The way to Redis: commands, and channels that are listened to. When anything of it is lost, or stands still, all of it is
 * made anew, at the place that is right then: after a failover that is another one. Owned by the store, which closes it.
 */
export class RedisConnection {
  readonly #options: RedisConnectionOptions;
  readonly #channels = new Map<string, (message: string) => void>();
  readonly #closing = new AbortController();
  #active: ActiveClients | undefined;
  #isLost = false;
  #reconnectedAt = -Infinity;

  constructor(options: RedisConnectionOptions) {
    this.#options = options;
  }

  /** Resolves when it is there; tries until then, or until it is closed. Once. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#closing.signal.addEventListener('abort', () => reject(new Error('The connection was closed.')));
      void this.#reconnectLoop(resolve);
    });
  }

  /** Whether it was lost, and is there again for less than `ms`. */
  isReconnectedWithin(ms: number): boolean {
    return performance.now() - this.#reconnectedAt < ms;
  }

  /** Runs one command. Rejects with `store_unreachable`; then it may or may not have been run. */
  run<T>(command: (commands: RedisCommands) => Promise<T>): Promise<T> {
    return this.#withTimeout(({ clients }) => command(clients.commands));
  }

  /** Resolves when Redis has acknowledged the subscription, which outlives reconnections. */
  async subscribe(channel: string, onMessage: (message: string) => void): Promise<void> {
    this.#channels.set(channel, onMessage);
    await this.#withTimeout(({ clients }) => clients.subscribe(channel, onMessage));
  }

  close(): void {
    this.#closing.abort();
    this.#active?.abandon(new Error('The connection was closed.'));
  }

  /** Connects as often as it is lost. Never rejects. */
  async #reconnectLoop(onOpen: () => void): Promise<void> {
    const { signal } = this.#closing;
    let retryMs = firstPauseMs;
    const onReady = (): void => {
      retryMs = firstPauseMs;
      this.#reportReconnected();
      onOpen();
    };
    while (!signal.aborted) {
      await this.#connect(onReady).catch((error: unknown) => this.#reportLost(error));
      // Rejects when it is closed meanwhile.
      await pause(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(longestPauseMs, retryMs * 2);
    }
  }

  /** Rejects when the connection is lost, or cannot be had. */
  async #connect(onReady: () => void): Promise<never> {
    const { url, timeoutMs } = this.#options;
    const address = parseRedisAddress(url);
    if (address === undefined) throw new Error('This is no address of Redis.');
    let abandon = (_error: unknown): void => undefined;
    const ended = new Promise<never>((_resolve, reject) => (abandon = reject));
    const clients = createRedisClients({ address, timeoutMs, onConnectionLost: abandon });
    const active = { clients, abandon };
    this.#active = active;
    try {
      await Promise.race([clients.open(), ended]);
      for (const [channel, onMessage] of this.#channels)
        await Promise.race([clients.subscribe(channel, onMessage), ended]);
      onReady();
      return await ended;
    } finally {
      this.#active = undefined;
      clients.destroy();
    }
  }

  #reportLost(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    if (!this.#isLost) this.#options.onLost(messageOf(error));
    this.#isLost = true;
  }

  #reportReconnected(): void {
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#reconnectedAt = performance.now();
    this.#options.onReconnected();
  }

  /** What does not answer in time is left for good: so may its machine be, which ends no connection. */
  async #withTimeout<T>(work: (active: ActiveClients) => Promise<T>): Promise<T> {
    const active = this.#active;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      const onTimeout = (): void => {
        const error = new Error('It does not answer in time.');
        active?.abandon(error);
        reject(error);
      };
      // An answer that has come while this process was busy is read first.
      timer = setTimeout(() => setImmediate(onTimeout), this.#options.timeoutMs);
    });
    try {
      if (active === undefined) throw new Error('There is no connection.');
      return await Promise.race([work(active), timeout]);
    } catch (error) {
      // It was the primary, and is not any more.
      if (messageOf(error).startsWith('READONLY')) active?.abandon(error);
      throw new Refusal('store_unreachable', {}, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
