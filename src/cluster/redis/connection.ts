import { createClient } from '@redis/client';
import { messageOf, Refusal } from '../../errors.js';
import { scripts } from './scripts.js';

export interface ConnectionOptions {
  /** `redis://` or `rediss://`, with user and password if it needs them. Never shown. */
  readonly url: string;
  /** How long one command may take. Milliseconds. */
  readonly timeoutMs: number;
  /** Told once when it is lost, or cannot be had. The message names no secret. */
  onLost(message: string): void;
  /** Told once when it is there again. */
  onFound(): void;
}

const open = (url: string, timeoutMs: number) =>
  createClient({
    url,
    scripts,
    // What cannot be sent now is refused: a claim that comes late is worse than none.
    disableOfflineQueue: true,
    commandOptions: { timeout: 0 },
    socket: {
      connectTimeout: timeoutMs,
      keepAlive: true,
      reconnectStrategy: (retries) => Math.min(50 * 2 ** Math.min(retries, 6), 1_000),
    },
  });

/** For a client that is refused because of it. */
const retryAfterMs = 1_000;

type Client = ReturnType<typeof open>;

/** Two connections to one Redis: one for commands, one that listens to channels. Owned by the store, which closes it. */
export class RedisConnection {
  readonly #options: ConnectionOptions;
  readonly #commands: Client;
  readonly #listener: Client;
  #isLost = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#commands = this.#watched(open(options.url, options.timeoutMs));
    this.#listener = this.#watched(open(options.url, options.timeoutMs));
  }

  /** Resolves when both are there; tries until then, or until it is closed. */
  async open(): Promise<void> {
    await Promise.all([this.#commands.connect(), this.#listener.connect()]);
  }

  /** Runs one command. Rejects with `store_unreachable`; then it may or may not have been run. */
  run<T>(command: (client: Client) => Promise<T>): Promise<T> {
    return this.#inTime(command(this.#commands));
  }

  /** Resolves when Redis has acknowledged the subscription, which outlives reconnections. */
  async listen(channel: string, onMessage: (message: string) => void): Promise<void> {
    await this.#inTime(this.#listener.subscribe(channel, onMessage));
  }

  close(): void {
    for (const client of [this.#commands, this.#listener]) if (client.isOpen) client.destroy();
  }

  #watched(client: Client): Client {
    return client
      .on('error', (error: unknown) => {
        if (!this.#isLost) this.#options.onLost(messageOf(error));
        this.#isLost = true;
      })
      .on('ready', () => {
        if (this.#isLost) this.#options.onFound();
        this.#isLost = false;
      });
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      const tooLate = (): void => reject(new Error('It does not answer in time.'));
      // An answer that has come while this process was busy is read first.
      timer = setTimeout(() => setImmediate(tooLate), this.#options.timeoutMs);
    });
    try {
      return await Promise.race([work, late]);
    } catch (error) {
      throw new Refusal('store_unreachable', { retryAfterMs }, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}
