import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, RedisServer } from './redisServer.js';

const slots = 16_384;
const size = 3;

interface RedisClusterNode {
  readonly server: RedisServer;
  readonly flags: readonly string[];
  readonly busPort: number;
}

/** A real cluster of three primaries, without replicas. The test stops it. */
export class RedisCluster {
  readonly #nodes: RedisClusterNode[];
  readonly #folder: string;

  private constructor(nodes: RedisClusterNode[], folder: string) {
    this.#nodes = nodes;
    this.#folder = folder;
  }

  static async start(): Promise<RedisCluster> {
    const folder = await mkdtemp(join(tmpdir(), 'greenroom-cluster-'));
    const nodes = await Promise.all(Array.from({ length: size }, (_, index) => startNode(folder, index)));
    const cluster = new RedisCluster(nodes, folder);
    await cluster.#join();
    await cluster.#whenHealthy();
    return cluster;
  }

  get servers(): RedisServer[] {
    return this.#nodes.map(({ server }) => server);
  }

  get url(): string {
    return `redis+cluster://${this.servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  /** Starts the node again that the test has stopped, with its slots and without its keys. */
  async restart(index: number): Promise<void> {
    const node = this.#nodes[index];
    if (node === undefined) throw new Error(`There is no node ${index}.`);
    this.#nodes[index] = { ...node, server: await RedisServer.start(node.server.port, node.flags) };
    await this.#whenHealthy();
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #join(): Promise<void> {
    await Promise.all(
      this.servers.map((server, index) => {
        const [first, next] = [index, index + 1].map((part) => Math.floor((slots * part) / size));
        return server.sendCommands(
          `CLUSTER SET-CONFIG-EPOCH ${index + 1}`,
          `CLUSTER ADDSLOTSRANGE ${first} ${Number(next) - 1}`,
        );
      }),
    );
    const [first, ...others] = this.#nodes;
    const meet = others.map(({ server, busPort }) => `CLUSTER MEET 127.0.0.1 ${server.port} ${busPort}`);
    await first?.server.sendCommands(...meet);
  }

  /** Every node knows the others, and that all slots are served. */
  async #whenHealthy(): Promise<void> {
    const isHealthy = (info: string): boolean =>
      info.includes('cluster_state:ok') && info.includes(`cluster_size:${size}`) && info.includes(`slots_ok:${slots}`);
    await Promise.all(this.servers.map((server) => server.waitForReply('CLUSTER INFO', isHealthy)));
  }
}

async function startNode(folder: string, index: number): Promise<RedisClusterNode> {
  const busPort = await freePort();
  const flags = ['--cluster-enabled', 'yes', '--cluster-port', String(busPort), '--dir', folder];
  flags.push('--cluster-config-file', `nodes-${index}.conf`, '--appenddirname', `appended-${index}`);
  return { server: await RedisServer.start(undefined, flags), flags, busPort };
}
