import type { Health } from '../app/operations.js';
import type { BrowserHealth, BrowserPool } from '../browser/lease/lease.js';
import type { Observability } from './observability.js';
import { packageInfo } from '../packageInfo.js';
import type { Session } from '../session/session.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';

export interface HealthGiven {
  readonly registry: SessionRegistry;
  readonly pool: BrowserPool;
  readonly watchers: Pick<Observability, 'metrics' | 'alerts'>;
  readonly uptimeMs: number;
}

/** The document of `GET /health`, as things are now. */
export async function describeHealth({ registry, pool, watchers, uptimeMs }: HealthGiven): Promise<Health> {
  return {
    status: 'ok',
    version: packageInfo.version,
    sessions: { ...countSessions(registry.list()), warm: registry.warm().length },
    browsers: { ...pool.health(), memoryBytes: await pool.memory() },
    performance: watchers.metrics.performance(),
    alerts: watchers.alerts(),
    uptime: uptimeMs / 1000,
  };
}

/** What the metrics read of sessions and browsers when they are asked for. */
export function readingsOf(registry: SessionRegistry, pool: () => BrowserPool) {
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

function countSessions(sessions: readonly Session[]) {
  return {
    total: sessions.length,
    active: sessions.filter((session) => session.state === 'active').length,
    byState: tally(sessions.map((session) => session.state)),
    byUser: tally(sessions.map((session) => session.user)),
  };
}

function tally(keys: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  return Object.fromEntries(counts);
}
