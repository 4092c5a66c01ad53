import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { createClient } from '@redis/client';
import { RedisStore } from '../../src/cluster/redis/redisStore.js';
import type { StoreLimits } from '../../src/cluster/clusterStore.js';

/** What Redis says when clients may come; a sentinel names what it watches. */
const readyLine = /Ready to accept connections|\+monitor master/;

/** A real Redis on a free port of this machine that keeps nothing on disk. The test stops it. */
export class RedisServer {
  readonly port: number;
  readonly #process: ChildProcess;
  #client: ReturnType<typeof connect> | undefined;

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.#process = process;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  static async start(port?: number, more: readonly string[] = []): Promise<RedisServer> {
    const chosen = port ?? (await freePort());
    const flags = ['--port', String(chosen), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    // Where a replica puts what it gets at first.
    flags.push('--dir', tmpdir(), ...more);
    return RedisServer.spawn(chosen, flags);
  }

  /** With these arguments and no others. */
  static async spawn(port: number, args: readonly string[]): Promise<RedisServer> {
    const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const failed = new Promise<never>((_resolve, reject) => child.once('error', reject));
    await Promise.race([whenReady(child), failed]);
    return new RedisServer(port, child);
  }

  /** Runs commands, one after the other, on a connection of the test's own. */
  async sendCommands(...commands: readonly string[]): Promise<unknown[]> {
    const client = await (this.#client ??= connect(this.url));
    const answers: unknown[] = [];
    for (const command of commands) answers.push(await client.sendCommand(command.split(' ')));
    return answers;
  }

  /** Resolves when the answer to the command, as text, is as wanted: nobody tells of what servers agree on. */
  async waitForReply(command: string, isExpected: (answer: string) => boolean): Promise<void> {
    while (!isExpected(JSON.stringify(await this.sendCommands(command))));
  }

  /** Stands still, connections and all, until `wake`. */
  pause(): void {
    this.#process.kill('SIGSTOP');
  }

  resume(): void {
    this.#process.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    (await this.#client)?.destroy();
    this.#client = undefined;
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}

/** Until the test ends it, and however slow the machine is. */
async function connect(url: string) {
  const client = createClient({ url, socket: { connectTimeout: 0 }, commandOptions: { timeout: 0 } });
  return client.on('error', () => undefined).connect();
}

async function whenReady(child: ChildProcess): Promise<void> {
  if (child.stdout === null) throw new Error('redis-server has no output.');
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) if (readyLine.test(line)) break;
  child.stdout.resume();
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

/** What a store is opened at: one server, or more. */
export interface RedisUrl {
  readonly url: string;
}

/** Not open yet: a node opens and closes its store. */
export function redisStore({ url }: RedisUrl, bounds?: Partial<StoreLimits>): RedisStore {
  const quiet = { onLost: () => undefined, onReconnected: () => undefined };
  return new RedisStore({ url, timeoutMs: 10_000, ...quiet }, bounds);
}

/** The test closes it. */
export async function openRedisStore(redis: RedisUrl, bounds?: Partial<StoreLimits>): Promise<RedisStore> {
  const store = redisStore(redis, bounds);
  await store.open();
  return store;
}
