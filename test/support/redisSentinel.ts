import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, RedisServer } from './redisServer.js';

const name = 'main';

/** A primary, its replica, and a sentinel that fails over when it is told to: all real. The test stops them. */
export class RedisSentinel {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  readonly sentinel: RedisServer;
  readonly #folder: string;
  /** Where nobody listens: the first sentinel of the address is gone. */
  readonly #unusedPort: number;

  private constructor(
    [primary, replica, sentinel]: readonly [RedisServer, RedisServer, RedisServer],
    folder: string,
    gone: number,
  ) {
    this.primary = primary;
    this.replica = replica;
    this.sentinel = sentinel;
    this.#folder = folder;
    this.#unusedPort = gone;
  }

  static async start(): Promise<RedisSentinel> {
    const folder = await mkdtemp(join(tmpdir(), 'greenroom-sentinel-'));
    const primary = await RedisServer.start(undefined, ['--repl-diskless-sync-delay', '0']);
    const replica = await RedisServer.start(undefined, [
      '--replicaof',
      `127.0.0.1 ${primary.port}`,
      '--dir',
      folder,
      '--appendonly',
      'yes',
    ]);
    await primary.waitForReply('INFO replication', (info) => info.includes('state=online'));
    const port = await freePort();
    const file = join(folder, 'sentinel.conf');
    const lines = [
      `port ${port}`,
      'bind 127.0.0.1',
      `dir ${folder}`,
      `sentinel monitor ${name} 127.0.0.1 ${primary.port} 1`,
      // Not by itself: the test says when.
      `sentinel down-after-milliseconds ${name} 3600000`,
    ];
    await writeFile(file, `${lines.join('\n')}\n`);
    const sentinel = await RedisServer.spawn(port, [file, '--sentinel']);
    await sentinel.waitForReply(`SENTINEL REPLICAS ${name}`, (replicas) => replicas.includes('"ok"'));
    return new RedisSentinel([primary, replica, sentinel], folder, await freePort());
  }

  get url(): string {
    return `redis+sentinel://127.0.0.1:${this.#unusedPort},127.0.0.1:${this.sentinel.port}/${name}`;
  }

  /** Resolves when the replica has all that the primary was told before. */
  async whenReplicated(): Promise<void> {
    await this.primary.sendCommands('SET greenroom:test:written 1 EX 60', 'WAIT 1 0');
  }

  /** From here on the replica hears nothing of the primary, and can still take its place. */
  async cutReplication(): Promise<void> {
    await this.replica.sendCommands('CONFIG SET masterauth not-the-password');
    await this.primary.sendCommands('CLIENT KILL TYPE replica');
    await this.replica.waitForReply('INFO replication', (info) => info.includes('master_link_status:down'));
  }

  /** Resolves when the sentinel names the replica as the primary. */
  async failOver(): Promise<void> {
    await this.sentinel.sendCommands(`SENTINEL FAILOVER ${name}`);
    const port = String(this.replica.port);
    await this.sentinel.waitForReply(`SENTINEL GET-MASTER-ADDR-BY-NAME ${name}`, (answer) => answer.includes(port));
  }

  async stop(): Promise<void> {
    await Promise.all([this.sentinel, this.replica, this.primary].map((server) => server.stop()));
    await rm(this.#folder, { recursive: true, force: true });
  }
}
