import { createClient, createCluster } from '@redis/client';
import { z } from 'zod';
import type { HostPort, RedisAddress, RedisLogin } from '../../redisAddress.js';
import { scripts } from './scripts.js';

export interface ClientsOptions {
  readonly address: RedisAddress;
  /** How long a connection may take to be there. Milliseconds. */
  readonly timeoutMs: number;
  /** Told, perhaps more than once, when one of the connections is lost: then all of them are of no use. */
  onEnd(error: unknown): void;
}

/** The connections of one address, for commands and for channels, while nothing is lost. Owned by the connection. */
export interface Clients {
  /** What runs commands. Once open. */
  readonly commands: Commands;
  /** Resolves when they can be used. Once. */
  open(): Promise<void>;
  subscribe(channel: string, onMessage: (message: string) => void): Promise<void>;
  /** At any time. Rejects what waits for an answer. */
  destroy(): void;
}

/** A connection that says nothing is asked so often, and given up when it has said nothing for so long. Milliseconds. */
const [pingMs, silentMs] = [2_000, 10_000];

/** Of every connection: a client of the package never connects again, since the right place may be another by then. */
const always = {
  // What cannot be sent now is refused: a claim that comes late is worse than none.
  disableOfflineQueue: true,
  pingInterval: pingMs,
} as const;

const socketOf = (timeoutMs: number, isEncrypted: boolean) => ({
  connectTimeout: timeoutMs,
  socketTimeout: silentMs,
  keepAlive: true,
  reconnectStrategy: false as const,
  ...(isEncrypted ? { tls: true as const } : {}),
});

/** One server, and how it is spoken to. */
export interface Place extends HostPort {
  readonly login: RedisLogin;
  readonly isEncrypted: boolean;
  readonly database: number;
  readonly timeoutMs: number;
}

/** Not connected yet. */
export const clientAt = ({ host, port, login, isEncrypted, database, timeoutMs }: Place) =>
  createClient({
    ...always,
    ...login,
    database,
    scripts,
    commandOptions: { timeout: 0 },
    socket: { ...socketOf(timeoutMs, isEncrypted), host, port },
  });

const clusterOf = ({ address, timeoutMs }: ClientsOptions) =>
  createCluster({
    // All of them, but only when it is known which they are.
    minimizeConnections: true,
    rootNodes: address.hosts.map(({ host, port }) => ({ socket: { host, port } })),
    defaults: { ...always, ...address.login, socket: socketOf(timeoutMs, address.isEncrypted) },
    scripts,
    commandOptions: { timeout: 0 },
  });

type Client = ReturnType<typeof clientAt>;
type Cluster = ReturnType<typeof clusterOf>;
/** What one Redis and a cluster do alike. */
export type Commands = Client | Cluster;

export function newClients(options: ClientsOptions): Clients {
  return options.address.kind === 'cluster' ? new ClusterClients(options) : new PrimaryClients(options);
}

/** The one Redis of the address, or the one that the sentinels name. */
class PrimaryClients implements Clients {
  readonly #options: ClientsOptions;
  readonly #all = new Set<Client>();
  #pair: { readonly commands: Client; readonly listener: Client } | undefined;
  #isDestroyed = false;

  constructor(options: ClientsOptions) {
    this.#options = options;
  }

  get commands(): Client {
    return this.#opened.commands;
  }

  async open(): Promise<void> {
    const { address, timeoutMs } = this.#options;
    const { kind, login, isEncrypted, database } = address;
    const place = { ...(await this.#find()), login, isEncrypted, database, timeoutMs };
    const [commands, listener] = [this.#open(place), this.#open(place)];
    this.#pair = { commands, listener };
    await Promise.all([this.#connected(commands), this.#connected(listener)]);
    if (kind === 'sentinel') await assertPrimary(commands);
  }

  async subscribe(channel: string, onMessage: (message: string) => void): Promise<void> {
    await this.#opened.listener.subscribe(channel, onMessage);
  }

  destroy(): void {
    this.#isDestroyed = true;
    for (const client of this.#all) client.destroy();
  }

  get #opened() {
    if (this.#pair === undefined) throw new Error('The connection is not open.');
    return this.#pair;
  }

  #open(at: Place): Client {
    const client = clientAt(at).on('error', (error: unknown) => this.#options.onEnd(error));
    this.#all.add(client);
    return client;
  }

  /** What is there late is closed. */
  async #connected(client: Client): Promise<void> {
    await client.connect();
    if (this.#isDestroyed) client.destroy();
  }

  /** Asks the sentinels, one after the other, as their protocol says. */
  async #find(): Promise<HostPort> {
    const { address, timeoutMs } = this.#options;
    const { kind, hosts, primary } = address;
    let failed: unknown = new Error('The address names no host.');
    for (const host of hosts) {
      if (kind !== 'sentinel') return host;
      try {
        return await askSentinel(sentinelAt(host, address, timeoutMs), primary);
      } catch (error) {
        failed = error;
      }
    }
    throw failed;
  }
}

export const sentinelAt = (at: HostPort, address: RedisAddress, timeoutMs: number): Place => ({
  ...at,
  login: address.sentinelLogin,
  isEncrypted: address.isEncrypted,
  database: 0,
  timeoutMs,
});

const named = z.tuple([z.string(), z.coerce.number()]).nullable();

/** Where the primary of this name is, as this sentinel knows it. */
export async function askSentinel(at: Place, primary: string): Promise<HostPort> {
  const sentinel = clientAt(at);
  const lost = new Promise<never>((_resolve, reject) => sentinel.on('error', reject));
  const ask = async (): Promise<unknown> => {
    await sentinel.connect();
    return sentinel.sendCommand(['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', primary]);
  };
  try {
    const found = named.parse(await Promise.race([ask(), lost]));
    if (found === null) throw new Error(`The sentinel at ${at.host}:${at.port} knows no primary called ${primary}.`);
    return { host: found[0], port: found[1] };
  } finally {
    sentinel.destroy();
  }
}

/** A sentinel may not know yet that it is none any more. */
async function assertPrimary(client: Client): Promise<void> {
  const [role] = z.tuple([z.string()], z.unknown()).parse(await client.sendCommand(['ROLE']));
  if (role !== 'master') throw new Error('The Redis that the sentinels name is not the primary.');
}

/** All primaries of a cluster; which has what is asked of any. */
class ClusterClients implements Clients {
  readonly #cluster: Cluster;
  /** What connects: the package leaves a connection open that is destroyed before it is there. */
  readonly #connecting = new Set<Promise<void>>();
  #failed: unknown;

  constructor(options: ClientsOptions) {
    this.#cluster = clusterOf(options)
      .on('node-error', (error: unknown) => options.onEnd(error))
      // A node that was asked for the others does not answer: the next one is asked.
      .on('error', (error: unknown) => (this.#failed = error));
  }

  get commands(): Cluster {
    return this.#cluster;
  }

  open(): Promise<void> {
    return this.#settle(this.#connect());
  }

  subscribe(channel: string, onMessage: (message: string) => void): Promise<void> {
    return this.#settle(this.#cluster.subscribe(channel, onMessage));
  }

  destroy(): void {
    void Promise.allSettled(this.#connecting).then(() => this.#cluster.destroy());
  }

  async #connect(): Promise<void> {
    try {
      await this.#cluster.connect();
    } catch (error) {
      throw this.#failed ?? error;
    }
    const opened = await Promise.allSettled(this.#cluster.masters.map((node) => this.#cluster.nodeClient(node)));
    for (const client of opened) if (client.status === 'rejected') throw client.reason;
  }

  async #settle(connecting: Promise<void>): Promise<void> {
    this.#connecting.add(connecting);
    try {
      await connecting;
    } finally {
      this.#connecting.delete(connecting);
    }
  }
}
