import { createClient, createCluster } from '@redis/client';
import { z } from 'zod';
import { messageOf } from '../../errors/errors.js';
import type { HostPort, RedisAddress, RedisLogin } from '../../redisAddress.js';
import { luaScripts } from './luaScripts.js';

export interface RedisClientsOptions {
  readonly address: RedisAddress;
  /** Connection timeout. Milliseconds. */
  readonly timeoutMs: number;
  /** Called, possibly more than once, when one of the connections is lost. Afterwards all of them are unusable. */
  onConnectionLost(error: unknown): void;
}

/** The connections of one address, for commands and subscriptions. Owned by `RedisConnection`, which destroys them. */
export interface RedisClients {
  /** Throws before `open` has resolved. */
  readonly commands: RedisCommands;
  /** Resolves when the connections are usable. Called once. */
  open(): Promise<void>;
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  /** May be called at any time. Rejects pending commands. */
  destroy(): void;
}

/** Ping interval, and the silence after which a connection is closed. Milliseconds. */
const [pingMs, silentMs] = [2_000, 10_000];

/** Options of every client. */
const commonClientOptions = {
  // A command that cannot be sent now is refused: a late claim is worse than none.
  disableOfflineQueue: true,
  pingInterval: pingMs,
} as const;

const socketOptions = (timeoutMs: number, isEncrypted: boolean) => ({
  connectTimeout: timeoutMs,
  socketTimeout: silentMs,
  keepAlive: true,
  // `RedisConnection` reconnects: the primary may have moved.
  reconnectStrategy: false as const,
  ...(isEncrypted ? { tls: true as const } : {}),
});

/** One server, and how to connect to it. */
export interface RedisEndpoint extends HostPort {
  readonly login: RedisLogin;
  readonly isEncrypted: boolean;
  readonly database: number;
  readonly timeoutMs: number;
}

/** Creates a client. The caller connects and destroys it. */
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
    // `#connect` of `ClusterClients` connects to all primaries once their addresses are known.
    minimizeConnections: true,
    rootNodes: address.hosts.map(({ host, port }) => ({ socket: { host, port } })),
    defaults: { ...commonClientOptions, ...address.login, socket: socketOptions(timeoutMs, address.isEncrypted) },
    scripts: luaScripts,
    commandOptions: { timeout: 0 },
  });

type RedisClient = ReturnType<typeof createRedisClient>;
type RedisCluster = ReturnType<typeof createRedisCluster>;
/** The commands that a single Redis and a cluster both have. */
export type RedisCommands = RedisClient | RedisCluster;

export function createRedisClients(options: RedisClientsOptions): RedisClients {
  return options.address.kind === 'cluster' ? new ClusterClients(options) : new PrimaryClients(options);
}

/**
 * A script that Redis does not have yet is sent a second time, after commands that were sent meanwhile: two commands
 * would be reordered. A login that may not load scripts sends each with its first use.
 */
const loadScripts = (client: { scriptLoad(script: string): Promise<unknown> }): Promise<unknown> =>
  Promise.allSettled(Object.values(luaScripts).map(({ SCRIPT }) => client.scriptLoad(SCRIPT)));

/** Connections to a single primary: the address, or the primary that the sentinels name. */
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
    await loadScripts(commands);
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

  /** Destroys a client whose connection is established after `destroy`. */
  async #connect(client: RedisClient): Promise<void> {
    await client.connect();
    if (this.#isDestroyed) client.destroy();
  }

  /** Queries the sentinels one after the other (Redis documentation, "Guidelines for Redis clients with Sentinel"). */
  async #findPrimary(): Promise<HostPort> {
    const { address, timeoutMs } = this.#options;
    const { kind, hosts, primary } = address;
    let lastError: unknown = new Error('The Redis address names no host.');
    for (const host of hosts) {
      if (kind !== 'sentinel') return host;
      try {
        return await querySentinelForPrimary(sentinelEndpoint(host, address, timeoutMs), primary);
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

/** The address of the primary with this name, as the sentinel knows it. */
export async function querySentinelForPrimary(endpoint: RedisEndpoint, primary: string): Promise<HostPort> {
  const sentinel = createRedisClient(endpoint);
  const connectionError = new Promise<never>((_resolve, reject) => sentinel.on('error', reject));
  const query = async (): Promise<unknown> => {
    await sentinel.connect();
    return sentinel.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primary]);
  };
  try {
    const found = primaryAddressSchema.parse(await Promise.race([query(), connectionError]));
    if (found === null)
      throw new Error(`The sentinel at ${endpoint.host}:${endpoint.port} knows no primary called ${primary}.`);
    return { host: found[0], port: found[1] };
  } finally {
    sentinel.destroy();
  }
}

/** The sentinel's information may be outdated: checks the role. */
async function assertPrimary(client: RedisClient): Promise<void> {
  const [role] = z.tuple([z.string()], z.unknown()).parse(await client.sendCommand(['ROLE']));
  if (role !== 'master') throw new Error('The Redis that the sentinels name is not the primary.');
}

/** Connections to all primaries of a cluster. The package routes each command. */
class ClusterClients implements RedisClients {
  readonly #cluster: RedisCluster;
  /** Awaited by `destroy`: the package leaves a connection open that is destroyed while it connects. */
  readonly #connecting = new Set<Promise<void>>();
  #lastError: unknown;

  constructor(options: RedisClientsOptions) {
    this.#cluster = createRedisCluster(options)
      .on('node-error', (error: unknown) => options.onConnectionLost(error))
      // Not fatal: the package discovers the nodes from the next address.
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
    for (const client of opened) {
      if (client.status === 'rejected') throw client.reason;
      await loadScripts(client.value);
    }
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

export const protectedModeFix =
  'give it a password (requirepass), or set protected-mode to no where only the nodes can reach it';

/**
 * Whether Redis refused a client of another machine, because it has no password. It says so before it is asked anything; a
 * reply to no command is a TypeError of the library.
 */
export const isProtectedMode = (error: unknown): boolean =>
  /\bDENIED\b|undefined \(reading 'reject'\)/.test(messageOf(error));
