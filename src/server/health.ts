import type { Cluster } from './clusterSetup.js';
import type { ListedSession } from './nodeListings.js';
import type { Health } from './operationsRoutes.js';
import type { BrowserHealth, BrowserPool } from '../browser/pool/browserLease.js';
import type { Observability } from '../telemetry/observability.js';
import { packageInfo } from '../packageInfo.js';
import type { Session } from '../session/session.js';
import type { SessionRegistry } from '../session/registry.js';

export interface HealthDeps {
  readonly registry: SessionRegistry;
  /** Absent: there is one node, this one. */
  readonly cluster: Cluster | undefined;
  readonly pool: BrowserPool;
  readonly observability: Pick<Observability, 'metrics' | 'alerts'>;
  readonly uptimeMs: number;
}

/** The document of `GET /health`. With many nodes its sessions are those of all nodes, its browsers those of this one. */
export async function describeHealth(deps: HealthDeps): Promise<Health> {
  const { registry, cluster, pool, observability, uptimeMs } = deps;
  const otherNodes = (await cluster?.otherNodeListings()) ?? [];
  const own = { node: cluster?.nodeName ?? '', sessions: registry.list(), warm: registry.warm().length };
  const nodes = [own, ...otherNodes];
  return {
    status: 'ok',
    version: packageInfo.version,
    sessions: summarizeSessions(nodes),
    ...(cluster !== undefined && { nodes: nodes.map((node) => ({ node: node.node, ...countSessions(node) })) }),
    browsers: { ...pool.health(), memoryBytes: await pool.memory() },
    performance: observability.metrics.performance(),
    alerts: observability.alerts(),
    uptime: uptimeMs / 1000,
  };
}

/** The figures of sessions and browsers that the metrics read at each scrape. */
export function createReadings(registry: SessionRegistry, pool: () => BrowserPool) {
  return {
    describeSession: (id: string) => describeClient(registry.peek(id)),
    hasOwnBrowser: (id: string) => registry.peek(id)?.browserUrl !== undefined,
    sessions: () => registry.list().map(readSession),
    warm: () => registry.warm().length,
    browsers: async () => readBrowsers(pool().health(), await pool().memory()),
  };
}

function describeClient(session: Session | undefined) {
  if (session === undefined || session.isWarm) return undefined;
  const { client } = session.server;
  return { client: client === null ? undefined : `${client.name} ${client.version}`, transport: session.channel.kind };
}

const readSession = (session: Session) => ({
  state: session.state,
  transport: session.channel.kind,
  inFlight: session.actor.getSnapshot().context.inFlight,
  keptBytes: session.memory.keptBytes,
});

function readBrowsers(health: BrowserHealth, residentBytes: number | null) {
  const { contexts, ready, connecting, lost, failed, queued } = health;
  return { byState: { ready, connecting, lost, failed }, contexts, queued, residentBytes };
}

interface CountableNode {
  readonly sessions: readonly Pick<ListedSession, 'state' | 'user'>[];
  readonly warm: number;
}

function summarizeSessions(nodes: readonly CountableNode[]) {
  const sessions = nodes.flatMap((node) => node.sessions);
  const { total, active } = countSessions({ sessions, warm: 0 });
  return {
    total,
    active,
    byState: tally(sessions.map(({ state }) => state)),
    byUser: tally(sessions.map(({ user }) => user)),
    warm: nodes.reduce((sum, { warm }) => sum + warm, 0),
  };
}

const countSessions = ({ sessions, warm }: CountableNode) => ({
  total: sessions.length,
  active: sessions.filter(({ state }) => state === 'active').length,
  warm,
});

function tally(keys: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return Object.fromEntries(counts);
}
