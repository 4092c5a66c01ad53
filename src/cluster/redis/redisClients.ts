import { createClient, createCluster } from '@redis/client';
import { z } from 'zod';
import type { HostPort, RedisAddress, RedisLogin } from '../../redisAddress.js';
import { luaScripts } from './luaScripts.js';

export interface RedisClientsOptions {
  readonly address: RedisAddress;
  /** How long a connection may take to be there. Milliseconds. */
  readonly timeoutMs: number;
  /** Told, perhaps more than once, when one of the connections is lost: then all of them are of no use. */
  onConnectionLost(error: unknown): void;
}

/** The connections of one address, for commands and for channels, while nothing is lost. Owned by the connection. */
export interface RedisClients {
  /** What runs commands. Once open. */
  readonly commands: RedisCommands;
  /** Resolves when they can be used. Once. */
  open(): Promise<void>;
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  /** At any time. Rejects what waits for an answer. */
  destroy(): void;
}

/** A connection that says nothing is asked so often, and given up when it has said nothing for so long. Milliseconds. */
const [pingMs, silentMs] = [2_000, 10_000];

/** Of every connection: a client of the package never connects again, since the right place may be another by then. */
const commonClientOptions = {
  // What cannot be sent now is refused: a claim that comes late is worse than none.
  disableOfflineQueue: true,
  pingInterval: pingMs,
} as const;

const socketOptions = (timeoutMs: number, isEncrypted: boolean) => ({
  connectTimeout: timeoutMs,
  socketTimeout: silentMs,
  keepAlive: true,
  reconnectStrategy: false as const,
  ...(isEncrypted ? { tls: true as const } : {}),
});

/** One server, and how it is spoken to. */
export interface RedisEndpoint extends HostPort {
  readonly login: RedisLogin;
  readonly isEncrypted: boolean;
  readonly database: number;
  readonly timeoutMs: number;
}

/** Not connected yet. */
export const createRedisClient = ({ host, port, login, isEncrypted, database, timeoutMs }: RedisEndpoint) =>
  createClient({
    ...commonClientOptions,
    ...login,
    database,
    scripts: luaScripts,
    commandOptions: { timeout: 0 },
    socket: { ...socketOptions(timeoutMs, isEncrypted), host, port },
  });

const createRedisCluster = ({ address, timeoutMs }: RedisClientsOptions) =>
  createCluster({
    // All of them, but only when it is known which they are.
    minimizeConnections: true,
    rootNodes: address.hosts.map(({ host, port }) => ({ socket: { host, port } })),
    defaults: { ...commonClientOptions, ...address.login, socket: socketOptions(timeoutMs, address.isEncrypted) },
    scripts: luaScripts,
    commandOptions: { timeout: 0 },
  });

type RedisClient = ReturnType<typeof createRedisClient>;
type RedisCluster = ReturnType<typeof createRedisCluster>;
/** What one Redis and a cluster do alike. */
export type RedisCommands = RedisClient | RedisCluster;

export function createRedisClients(options: RedisClientsOptions): RedisClients {
  return options.address.kind === 'cluster' ? new ClusterClients(options) : new PrimaryClients(options);
}

/** The one Redis of the address, or the one that the sentinels name. */
class PrimaryClients implements RedisClients {
  readonly #options: RedisClientsOptions;
  readonly #clients = new Set<RedisClient>();
  #pair: { readonly commands: RedisClient; readonly listener: RedisClient } | undefined;
  #isDestroyed = false;

  constructor(options: RedisClientsOptions) {
    this.#options = options;
  }

  get commands(): RedisClient {
    return this.#openPair.commands;
  }

  async open(): Promise<void> {
    const { address, timeoutMs } = this.#options;
    const { kind, login, isEncrypted, database } = address;
    const endpoint = { ...(await this.#findPrimary()), login, isEncrypted, database, timeoutMs };
    const [commands, listener] = [this.#open(endpoint), this.#open(endpoint)];
    this.#pair = { commands, listener };
    await Promise.all([this.#connect(commands), this.#connect(listener)]);
    if (kind === 'sentinel') await assertPrimary(commands);
  }

  async subscribe(channel: string, onMessage: (message: string) => void): Promise<void> {
    await this.#openPair.listener.subscribe(channel, onMessage);
  }

  destroy(): void {
    this.#isDestroyed = true;
    for (const client of this.#clients) client.destroy();
  }

  get #openPair() {
    if (this.#pair === undefined) throw new Error('The connection is not open.');
    return this.#pair;
  }

  #open(endpoint: RedisEndpoint): RedisClient {
    const client = createRedisClient(endpoint).on('error', (error: unknown) => this.#options.onConnectionLost(error));
    this.#clients.add(client);
    return client;
  }

  /** What is there late is closed. */
  async #connect(client: RedisClient): Promise<void> {
    await client.connect();
    if (this.#isDestroyed) client.destroy();
  }

  /** Asks the sentinels, one after the other, as their protocol says. */
  async #findPrimary(): Promise<HostPort> {
    const { address, timeoutMs } = this.#options;
    const { kind, hosts, primary } = address;
    let lastError: unknown = new Error('The address names no host.');
    for (const host of hosts) {
      if (kind !== 'sentinel') return host;
      try {
        return await askSentinelForPrimary(sentinelEndpoint(host, address, timeoutMs), primary);
      } catch (error) {
        lastError = error;
      }
    }
    throw lastError;
  }
}

export const sentinelEndpoint = (hostPort: HostPort, address: RedisAddress, timeoutMs: number): RedisEndpoint => ({
  ...hostPort,
  login: address.sentinelLogin,
  isEncrypted: address.isEncrypted,
  database: 0,
  timeoutMs,
});

const primaryAddressSchema = z.tuple([z.string(), z.coerce.number()]).nullable();

/** Where the primary of this name is, as this sentinel knows it. */
export async function askSentinelForPrimary(endpoint: RedisEndpoint, primary: string): Promise<HostPort> {
  const sentinel = createRedisClient(endpoint);
  const lost = new Promise<never>((_resolve, reject) => sentinel.on('error', reject));
  const ask = async (): Promise<unknown> => {
    await sentinel.connect();
    return sentinel.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primary]);
  };
  try {
    const found = primaryAddressSchema.parse(await Promise.race([ask(), lost]));
    if (found === null)
      throw new Error(`The sentinel at ${endpoint.host}:${endpoint.port} knows no primary called ${primary}.`);
    return { host: found[0], port: found[1] };
  } finally {
    sentinel.destroy();
  }
}

/** A sentinel may not know yet that it is none any more. */
async function assertPrimary(client: RedisClient): Promise<void> {
  const [role] = z.tuple([z.string()], z.unknown()).parse(await client.sendCommand(['ROLE']));
  if (role !== 'master') throw new Error('The Redis that the sentinels name is not the primary.');
}

/** All primaries of a cluster; which has what is asked of any. */
class ClusterClients implements RedisClients {
  readonly #cluster: RedisCluster;
  /** What connects: the package leaves a connection open that is destroyed before it is there. */
  readonly #connecting = new Set<Promise<void>>();
  #lastError: unknown;

  constructor(options: RedisClientsOptions) {
    this.#cluster = createRedisCluster(options)
      .on('node-error', (error: unknown) => options.onConnectionLost(error))
      // A node that was asked for the others does not answer: the next one is asked.
      .on('error', (error: unknown) => (this.#lastError = error));
  }

  get commands(): RedisCluster {
    return this.#cluster;
  }

  open(): Promise<void> {
    return this.#trackConnecting(this.#connect());
  }

  subscribe(channel: string, onMessage: (message: string) => void): Promise<void> {
    return this.#trackConnecting(this.#cluster.subscribe(channel, onMessage));
  }

  destroy(): void {
    void Promise.allSettled(this.#connecting).then(() => this.#cluster.destroy());
  }

  async #connect(): Promise<void> {
    try {
      await this.#cluster.connect();
    } catch (error) {
      throw this.#lastError ?? error;
    }
    const opened = await Promise.allSettled(this.#cluster.masters.map((node) => this.#cluster.nodeClient(node)));
    for (const client of opened) if (client.status === 'rejected') throw client.reason;
  }

  async #trackConnecting(connecting: Promise<void>): Promise<void> {
    this.#connecting.add(connecting);
    try {
      await connecting;
    } finally {
      this.#connecting.delete(connecting);
    }
  }
}
