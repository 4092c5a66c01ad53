import type { ListedSession, NodeListing } from './nodeListings.js';
import type { Health } from './operationsRoutes.js';
import type { BrowserHealth, BrowserPool } from '../browser/pool/browserLease.js';
import type { Observability } from '../telemetry/observability.js';
import { packageInfo } from '../packageInfo.js';
import type { Session } from '../session/session.js';
import type { SessionRegistry } from '../session/registry.js';

export interface HealthDeps {
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly observability: Pick<Observability, 'metrics' | 'alerts'>;
  readonly uptimeMs: number;
  readonly nodeName: string | undefined;
  /** What the other nodes told. */
  readonly otherNodes: readonly NodeListing[];
}

/** The document of `GET /health`, as things are now. */
export async function describeHealth(deps: HealthDeps): Promise<Health> {
  const { registry, pool, observability, uptimeMs, nodeName, otherNodes } = deps;
  const own = { node: nodeName ?? '', sessions: registry.list(), warm: registry.warm().length };
  const nodes = [own, ...otherNodes];
  return {
    status: 'ok',
    version: packageInfo.version,
    sessions: summarizeSessions(nodes),
    ...(nodeName !== undefined && { nodes: nodes.map((node) => ({ node: node.node, ...countSessions(node) })) }),
    browsers: { ...pool.health(), memoryBytes: await pool.memory() },
    performance: observability.metrics.performance(),
    alerts: observability.alerts(),
    uptime: uptimeMs / 1000,
  };
}

/** What the metrics read of sessions and browsers when they are asked for. */
export function createReadings(registry: SessionRegistry, pool: () => BrowserPool) {
  return {
    hasOwnBrowser: (id: string) => registry.peek(id)?.browserUrl !== undefined,
    sessions: () => registry.list().map(readSession),
    warm: () => registry.warm().length,
    browsers: async () => readBrowsers(pool().health(), await pool().memory()),
  };
}

const readSession = (session: Session) => ({
  state: session.state,
  transport: session.channel.kind,
  inFlight: session.actor.getSnapshot().context.inFlight,
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
