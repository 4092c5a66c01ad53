import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, Refusal } from '../../errors/errors.js';
import { parseRedisAddress } from '../../redisAddress.js';
import {
  createRedisClients,
  isProtectedMode,
  protectedModeFix,
  type RedisClients,
  type RedisCommands,
} from './redisClients.js';

export interface RedisConnectionOptions {
  /** The `--redis-url`; see redisAddress.ts. May contain user and password. Never logged. */
  readonly url: string;
  /** Timeout of one command. Milliseconds. */
  readonly timeoutMs: number;
  /** Called once per outage, also if the first connection fails. The message names no secret. */
  onLost(message: string): void;
  /** Called once after each outage. */
  onReconnected(): void;
}

/** The pause between two attempts, doubled up to the maximum. */
const initialRetryMs = 50;
const maxRetryMs = 800;

interface ActiveClients {
  readonly clients: RedisClients;
  /** Closes the connections, and lets the loop reconnect. */
  abandon(error: unknown): void;
}

/**
 * The connection to Redis: commands and subscriptions. When any part of it fails or stalls, all clients are replaced by new
 * ones, connected to the current primary: a failover may have moved it. Owned by the store, which closes it.
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

  /** Resolves when connected; retries until then. Rejects when closed first. Called once. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#closing.signal.addEventListener('abort', () => reject(new Error('The connection was closed.')));
      void this.#reconnectLoop(resolve);
    });
  }

  /** Whether an outage ended less than `ms` ago. */
  isReconnectedWithin(ms: number): boolean {
    return performance.now() - this.#reconnectedAt < ms;
  }

  /** Runs one command. Rejects with `store_unreachable`: Redis may or may not have executed it. */
  run<T>(command: (commands: RedisCommands) => Promise<T>): Promise<T> {
    return this.#withTimeout(({ clients }) => command(clients.commands));
  }

  /** Resolves when Redis has acknowledged the subscription. It is renewed after each reconnect. */
  async subscribe(channel: string, onMessage: (message: string) => void): Promise<void> {
    this.#channels.set(channel, onMessage);
    await this.#withTimeout(({ clients }) => clients.subscribe(channel, onMessage));
  }

  close(): void {
    this.#closing.abort();
    this.#active?.abandon(new Error('The connection was closed.'));
  }

  /** Reconnects until closed. Never rejects. */
  async #reconnectLoop(onOpen: () => void): Promise<void> {
    const { signal } = this.#closing;
    let retryMs = initialRetryMs;
    const onReady = (): void => {
      retryMs = initialRetryMs;
      this.#reportReconnected();
      onOpen();
    };
    while (!signal.aborted) {
      await this.#connect(onReady).catch((error: unknown) => this.#reportLost(error));
      // Rejects when closed during the pause.
      await pause(retryMs, undefined, { signal }).catch(() => undefined);
      retryMs = Math.min(maxRetryMs, retryMs * 2);
    }
  }

  /** Rejects when the connection is lost, or cannot be established. */
  async #connect(onReady: () => void): Promise<never> {
    const { url, timeoutMs } = this.#options;
    const address = parseRedisAddress(url);
    if (address === undefined) throw new Error('Not a Redis address. See --redis-url in --help.');
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
    const message = isProtectedMode(error) ? `Redis is in protected mode: ${protectedModeFix}` : messageOf(error);
    if (!this.#isLost) this.#options.onLost(message);
    this.#isLost = true;
  }

  #reportReconnected(): void {
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#reconnectedAt = performance.now();
    this.#options.onReconnected();
  }

  /** A connection that times out is abandoned: a dead machine never closes it. */
  async #withTimeout<T>(work: (active: ActiveClients) => Promise<T>): Promise<T> {
    const active = this.#active;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      const onTimeout = (): void => {
        const error = new Error('Redis did not answer in time.');
        active?.abandon(error);
        reject(error);
      };
      // Lets a reply that arrived while the event loop was blocked win.
      timer = setTimeout(() => setImmediate(onTimeout), this.#options.timeoutMs);
    });
    try {
      if (active === undefined) throw new Error('Not connected to Redis.');
      return await Promise.race([work(active), timeout]);
    } catch (error) {
      // The server was demoted to a replica.
      if (messageOf(error).startsWith('READONLY')) active?.abandon(error);
      throw new Refusal('store_unreachable', {}, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
