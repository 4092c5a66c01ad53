import type { InspectionEvent } from 'xstate';
import type { SessionRow } from '../inspector/wire.js';
import { ContextRegistry, type RemoteBrowser } from '../cluster/contextRegistry.js';
import { ClusterNode, type ClusterNodeDeps } from '../cluster/node.js';
import type { Roster } from '../cluster/roster.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { SessionQuota } from '../session/quota.js';
import type { SessionRegistry } from '../session/registry.js';
import type { Users } from '../tenancy/users.js';
import type { UserUsage } from '../session/userQuotas.js';
import { createRoster, parseNodeListing, type NodeListing } from './nodeListings.js';

export interface ClusterDeps {
  readonly config: Pick<Config, 'nodeId' | 'nodeLease'>;
  /** The node closes it. */
  readonly store: ClusterStore;
  readonly registry: SessionRegistry;
  readonly sessionQuota: SessionQuota;
  readonly users: Users;
  readonly clock: Clock;
  readonly log: Log;
}

/** The parts of the server that the node calls once it has joined. */
export interface NodeHandlers extends Pick<ClusterNodeDeps, 'serveRequest' | 'restoreSession'> {
  /** Receives the inspection events of the node's actors. */
  inspect(event: InspectionEvent): void;
  /** The inspector's table of this node. */
  rows(): SessionRow[];
  /** What the users of this node use. */
  usage(): readonly UserUsage[];
  /** The browsers of `--browser-url` that answer now. */
  sharedBrowsers(): readonly RemoteBrowser[];
}

/** One command of a healthy Redis takes a millisecond. A claim that waits longer is refused (S12). */
const redisCommandTimeoutMs = 3_000;

/**
 * This server as one node of many. Owned by the orchestrator.
 *
 *     new ──► start(handlers) ──► node joins ──► heartbeat ─┬─► roster is published
 *                                                  ▲        ├─► orphaned contexts are swept
 *                                                  │        └─► quota is renewed, users are read again
 *                                                  └─ every third of the lease
 *     leave ──► roster and sweep stop ──► quota is released ──► lease ends, store is closed
 *
 * Nothing is asked of the store before `start`, and no handler is called before it.
 */
export class Cluster {
  readonly node: ClusterNode;
  /** What operators call this node; need not be unique. */
  readonly nodeName: string;
  /** The browser contexts of sessions in browsers that several nodes share. */
  readonly contextRegistry: ContextRegistry;
  readonly #deps: ClusterDeps;
  readonly #roster: Roster;
  #handlers: NodeHandlers | undefined;
  #renewing: Promise<void> | undefined;
  #isSubscribed = false;

  /** Resolves when the node has joined the others, with false if it left before. */
  joined: Promise<boolean> = Promise.resolve(false);

  constructor(deps: ClusterDeps) {
    const { config, store, registry, clock, log } = deps;
    this.#deps = deps;
    this.nodeName = config.nodeId;
    this.node = new ClusterNode({
      store,
      clock,
      log,
      id: config.nodeId,
      leaseMs: config.nodeLease,
      serveRequest: (socket, caller) => this.#started.serveRequest(socket, caller),
      restoreSession: (sessionId, stored) => this.#started.restoreSession(sessionId, stored),
      onSessionLost: (sessionId) => registry.peek(sessionId)?.close('node-lost'),
      // The first events come with the node itself; nobody watches yet.
      inspect: (event) => this.#handlers?.inspect(event),
      hooks: { onHeartbeat: () => this.#onHeartbeat(), onLeave: () => this.#onLeave() },
    });
    this.contextRegistry = new ContextRegistry({
      store,
      log,
      node: () => this.node.name,
      browsers: () => this.#started.sharedBrowsers(),
      hasSession: (sessionId) => registry.peek(sessionId) !== undefined,
    });
    this.#roster = createRoster({
      config,
      store,
      registry,
      clock,
      log,
      rows: () => this.#started.rows(),
      usage: () => this.#started.usage(),
    });
  }

  /** Joins the other nodes. Until then `/ready` answers 503 and no session can be claimed. */
  start(handlers: NodeHandlers): void {
    const { log } = this.#deps;
    const node = this.node.name;
    this.#handlers = handlers;
    this.joined = this.node.join().then(
      () => {
        // Or it has left before it could join.
        if (this.node.isReady) log.info('node joined the cluster', { node });
        return this.node.isReady;
      },
      (error: unknown) => {
        log.error('node failed to join the cluster', { node, error: messageOf(error) });
        return false;
      },
    );
  }

  /** The last listings of the other nodes. Never rejects. */
  async otherNodeListings(): Promise<readonly NodeListing[]> {
    return (await this.#roster.readOthers()).map(parseNodeListing).filter((listing) => listing !== undefined);
  }

  /** What users use at the other nodes. Never rejects. */
  async usageElsewhere(): Promise<(NodeListing['usage'][number] & { readonly node: string })[]> {
    return (await this.otherNodeListings()).flatMap(({ node, usage }) => usage.map((user) => ({ node, ...user })));
  }

  get #started(): NodeHandlers {
    if (this.#handlers === undefined) throw new Error('The cluster was used before start() was called.');
    return this.#handlers;
  }

  /** Everything here is polled with each heartbeat, so no hint has to arrive. */
  #onHeartbeat(): void {
    this.#roster.start();
    void this.contextRegistry.sweep();
    this.#renewing ??= this.#renew()
      .catch((error: unknown) => this.#logFailure(error))
      .finally(() => (this.#renewing = undefined));
  }

  async #renew(): Promise<void> {
    const { store, sessionQuota, users } = this.#deps;
    await sessionQuota.renew();
    const onChanged = (): void => void users.refresh().catch((error: unknown) => this.#logFailure(error));
    if (!this.#isSubscribed) await store.server.users.subscribe(onChanged);
    this.#isSubscribed = true;
    await users.refresh();
  }

  async #onLeave(): Promise<void> {
    await Promise.all([this.#renewing, this.#roster.stop(), this.contextRegistry.stop()]);
    await this.#deps.sessionQuota.whenReleased();
  }

  #logFailure(error: unknown): void {
    this.#deps.log.warn('quota or user refresh failed', { error: messageOf(error) });
  }
}

/** The store that the nodes share: the injected one, else the configured Redis; undefined for a single node. Not connected yet. */
export async function createClusterStore(
  { redisUrl }: Pick<Config, 'redisUrl'>,
  injected: ClusterStore | undefined,
  log: Log,
): Promise<ClusterStore | undefined> {
  return injected ?? (redisUrl === undefined ? undefined : createRedisStore(redisUrl, log));
}

async function createRedisStore(url: string, log: Log): Promise<ClusterStore> {
  const { RedisStore } = await import('../cluster/redis/redisStore.js');
  return new RedisStore({
    url,
    timeoutMs: redisCommandTimeoutMs,
    onLost: (error) => log.warn('store disconnected', { error }),
    onReconnected: () => log.info('store reconnected'),
  });
}
