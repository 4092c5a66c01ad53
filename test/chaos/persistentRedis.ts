import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { createClient } from '@redis/client';

/** A key that is left, with what Redis knows of it. */
export interface RemainingKey {
  readonly key: string;
  /** Milliseconds; -1: for ever. */
  readonly ttl: number;
}

/** A real Redis that hands every change to the system before it answers, and comes again with it. The run stops it. */
export class PersistentRedis {
  readonly port: number;
  readonly #folder: string;
  readonly #client: ReturnType<typeof createClient>;
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
    this.#client = createClient({ url: `redis://127.0.0.1:${port}` });
    // It is killed on purpose; every command says for itself that it failed.
    this.#client.on('error', () => undefined);
  }

  static async start(folder: string): Promise<PersistentRedis> {
    await mkdir(folder);
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const redis = new PersistentRedis(folder, port);
    await redis.#launch();
    await redis.#client.connect();
    return redis;
  }

  /** kill -9, and again after `ms`. */
  async restart(ms: number): Promise<void> {
    await this.#kill();
    await pause(ms);
    await this.#launch();
  }

  /** Closes the connections of all others. */
  async evict(): Promise<void> {
    for (const type of ['NORMAL', 'PUBSUB']) await this.#client.sendCommand(['CLIENT', 'KILL', 'TYPE', type]);
  }

  /** The user of a session by the directory; null if it has none. Tries until Redis answers. */
  async userOf(session: string): Promise<string | null> {
    for (;;) {
      try {
        return await this.#client.hGet(`greenroom:{${session}}`, 'user');
      } catch {
        await pause(100);
      }
    }
  }

  async keys(): Promise<RemainingKey[]> {
    const keys: string[] = [];
    for await (const some of this.#client.scanIterator({ COUNT: 1_000 })) keys.push(...some);
    return Promise.all(keys.map(async (key) => ({ key, ttl: await this.#client.pTTL(key) })));
  }

  /** Sessions that are closed by the directory, among `keys`. */
  async closedAmong(keys: readonly RemainingKey[]): Promise<string[]> {
    const entries = keys.map(({ key }) => key).filter((key) => /^greenroom:\{[^}]+\}$/.test(key));
    const states = await Promise.all(entries.map((key) => this.#client.hGet(key, 'state')));
    return entries.filter((_, index) => states[index] === 'closed');
  }

  async stop(): Promise<void> {
    if (this.#client.isOpen) this.#client.destroy();
    await this.#kill();
  }

  async #launch(): Promise<void> {
    const place = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.#folder];
    const writing = ['--save', '', '--appendonly', 'yes', '--appendfsync', 'no'];
    const child = spawn('redis-server', [...place, ...writing], { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#process = child;
    // Nobody else ends it when this process is ended early.
    const end = (): void => void child.kill('SIGKILL');
    process.once('exit', end);
    child.once('exit', () => process.off('exit', end));
    const failed = once(child, 'exit').then(() => Promise.reject(new Error('redis-server ended.')));
    failed.catch(() => undefined);
    await Promise.race([untilReady(child), failed]);
  }

  async #kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

async function untilReady(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new Error('redis-server has no output.');
  for await (const line of createInterface({ input: child.stdout })) if (/Ready to accept/.test(line)) break;
  child.stdout.resume();
}
