import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import type { StoreBounds } from '../../src/cluster/store.js';

const readyLine = /Ready to accept connections/;

/** A real Redis on a free port of this machine that keeps nothing on disk. The test stops it. */
export class RedisServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  static async start(port?: number): Promise<RedisServer> {
    const chosen = port ?? (await freePort());
    const flags = ['--port', String(chosen), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const child = spawn('redis-server', flags, { stdio: ['ignore', 'pipe', 'ignore'] });
    const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
    await Promise.race([untilReady(child), failed]);
    return new RedisServer(chosen, child);
  }

  /** Stands still, connections and all, until `wake`. */
  freeze(): void {
    this.#process.kill('SIGSTOP');
  }

  wake(): void {
    this.#process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

async function untilReady(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new Error('redis-server has no output.');
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) if (readyLine.test(line)) break;
  child.stdout.resume();
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

/** Not open yet: a node opens and closes its store. */
export function redisStore({ url }: RedisServer, bounds?: Partial<StoreBounds>): RedisStore {
  const quiet = { onLost: () => undefined, onFound: () => undefined };
  return new RedisStore({ url, timeoutMs: 10_000, ...quiet }, bounds);
}

/** The test closes it. */
export async function openRedisStore(redis: RedisServer, bounds?: Partial<StoreBounds>): Promise<RedisStore> {
  const store = redisStore(redis, bounds);
  await store.open();
  return store;
}
