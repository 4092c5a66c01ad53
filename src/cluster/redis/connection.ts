import { setTimeout as pause } from 'node:timers/promises';
import { messageOf, Refusal } from '../../errors.js';
import { parseRedisAddress } from '../../redisAddress.js';
import { newClients, type Clients, type Commands } from './clients.js';

export interface ConnectionOptions {
  /** As `--redis-url` has it; see redisAddress.ts. With user and password if it needs them. Never shown. */
  readonly url: string;
  /** How long one command may take. Milliseconds. */
  readonly timeoutMs: number;
  /** Told once when it is lost, or cannot be had. The message names no secret. */
  onLost(message: string): void;
  /** Told once when it is there again. */
  onFound(): void;
}

/** The first pause before the next try, doubled up to the longest. Milliseconds. */
const [firstPauseMs, longestPauseMs] = [50, 800];

interface Current {
  readonly clients: Clients;
  /** They are of no use any more. */
  end(error: unknown): void;
}

/**
 * The way to Redis: commands, and channels that are listened to. When anything of it is lost, or stands still, all of it is
 * made anew, at the place that is right then: after a failover that is another one. Owned by the store, which closes it.
 */
export class RedisConnection {
  readonly #options: ConnectionOptions;
  readonly #channels = new Map<string, (message: string) => void>();
  readonly #closing = new AbortController();
  #current: Current | undefined;
  #isLost = false;
  #foundAt = -Infinity;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Resolves when it is there; tries until then, or until it is closed. Once. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#closing.signal.addEventListener('abort', () => reject(new Error('The connection was closed.')));
      void this.#keep(resolve);
    });
  }

  /** Whether it was lost, and is there again for less than `ms`. */
  isBackSince(ms: number): boolean {
    return performance.now() - this.#foundAt < ms;
  }

  /** Runs one command. Rejects with `store_unreachable`; then it may or may not have been run. */
  run<T>(command: (commands: Commands) => Promise<T>): Promise<T> {
    return this.#inTime(({ clients }) => command(clients.commands));
  }

  /** Resolves when Redis has acknowledged the subscription, which outlives reconnections. */
  async listen(channel: string, onMessage: (message: string) => void): Promise<void> {
    this.#channels.set(channel, onMessage);
    await this.#inTime(({ clients }) => clients.subscribe(channel, onMessage));
  }

  close(): void {
    this.#closing.abort();
    this.#current?.end(new Error('The connection was closed.'));
  }

  /** Connects as often as it is lost. Never rejects. */
  async #keep(onOpen: () => void): Promise<void> {
    const { signal } = this.#closing;
    let pauseMs = firstPauseMs;
    const onReady = (): void => {
      pauseMs = firstPauseMs;
      this.#found();
      onOpen();
    };
    while (!signal.aborted) {
      await this.#connect(onReady).catch((error: unknown) => this.#lost(error));
      // Rejects when it is closed meanwhile.
      await pause(pauseMs, undefined, { signal }).catch(() => undefined);
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
    }
  }

  /** Rejects when the connection is lost, or cannot be had. */
  async #connect(onReady: () => void): Promise<never> {
    const { url, timeoutMs } = this.#options;
    const address = parseRedisAddress(url);
    if (address === undefined) throw new Error('This is no address of Redis.');
    let end = (_error: unknown): void => undefined;
    const ended = new Promise<never>((_resolve, reject) => (end = reject));
    const clients = newClients({ address, timeoutMs, onEnd: end });
    const current = { clients, end };
    this.#current = current;
    try {
      await Promise.race([clients.open(), ended]);
      for (const [channel, onMessage] of this.#channels)
        await Promise.race([clients.subscribe(channel, onMessage), ended]);
      onReady();
      return await ended;
    } finally {
      this.#current = undefined;
      clients.destroy();
    }
  }

  #lost(error: unknown): void {
    if (this.#closing.signal.aborted) return;
    if (!this.#isLost) this.#options.onLost(messageOf(error));
    this.#isLost = true;
  }

  #found(): void {
    if (!this.#isLost) return;
    this.#isLost = false;
    this.#foundAt = performance.now();
    this.#options.onFound();
  }

  /** What does not answer in time is left for good: so may its machine be, which ends no connection. */
  async #inTime<T>(work: (current: Current) => Promise<T>): Promise<T> {
    const current = this.#current;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const tooLate = (): void => {
        const error = new Error('It does not answer in time.');
        current?.end(error);
        reject(error);
      };
      // An answer that has come while this process was busy is read first.
      timer = setTimeout(() => setImmediate(tooLate), this.#options.timeoutMs);
    });
    try {
      if (current === undefined) throw new Error('There is no connection.');
      return await Promise.race([work(current), late]);
    } catch (error) {
      // It was the primary, and is not any more.
      if (messageOf(error).startsWith('READONLY')) current?.end(error);
      throw new Refusal('store_unreachable', {}, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
