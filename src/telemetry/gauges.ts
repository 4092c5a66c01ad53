import { Gauge, type Registry } from 'prom-client';

/** Values read on scrape from their owners, instead of being counted. */
export interface GaugeSources {
  /** The open sessions of clients. */
  sessions(): Iterable<{
    readonly state: string;
    readonly transport: string;
    readonly inFlight: number;
    readonly keptBytes: number;
  }>;
  /** The number of warm sessions. */
  warm(): number;
  browsers(): BrowserCounts | Promise<BrowserCounts>;
  /** State of the alert on failing creations. */
  alert(): string;
}

export interface BrowserCounts {
  /** Browsers by state. */
  readonly byState: Readonly<Record<string, number>>;
  readonly contexts: number;
  /** Sessions in the wait queue. */
  readonly queued: number;
  /** Sum over the browser processes of this server; null where it cannot be measured. */
  readonly residentBytes: number | null;
}

/** Every series exists from the first scrape on, with 0: a rate over a later one would miss its first value. */
const transports = ['sse', 'streamable-http', 'websocket', 'stdio', 'handle'];
const openStates = ['created', 'tools-registered', 'connected', 'active'];
const alertStates = ['ok', 'pending', 'firing'];

/** Registers the gauges. Call the returned function before each scrape. */
export function registerGauges(registry: Registry, sources: GaugeSources): () => Promise<void> {
  const refreshers = [
    sessionGauges(registry, sources),
    browserGauges(registry, sources),
    alertGauge(registry, sources),
  ];
  return async () => {
    await Promise.all(refreshers.map(async (refresh) => refresh()));
  };
}

type Refresh = () => void | Promise<void>;

const gaugeFactory =
  (registry: Registry) =>
  (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });

function sessionGauges(registry: Registry, sources: GaugeSources): Refresh {
  const gauge = gaugeFactory(registry);
  const open = gauge('greenroom_sessions', 'Open sessions by state and transport.', ['state', 'transport']);
  const inFlight = gauge('greenroom_requests_in_flight', 'JSON-RPC requests that are not answered yet.');
  const kept = gauge(
    'greenroom_sessions_kept_bytes',
    'What the server keeps for the clients of all sessions: unread answers, and what is recorded of their pages.',
  );
  const largest = gauge(
    'greenroom_session_kept_bytes_max',
    'The same for the session for which it is most; at most --session-memory.',
  );
  const warm = gauge('greenroom_warm_sessions', 'Sessions that are ready and wait for a client; not open sessions.');
  return () => {
    const sessions = [...sources.sessions()];
    for (const transport of transports) for (const state of openStates) open.set({ state, transport }, 0);
    for (const { state, transport } of sessions) open.inc({ state, transport });
    inFlight.set(sessions.reduce((sum, session) => sum + session.inFlight, 0));
    kept.set(sessions.reduce((sum, session) => sum + session.keptBytes, 0));
    largest.set(sessions.reduce((most, session) => Math.max(most, session.keptBytes), 0));
    warm.set(sources.warm());
  };
}

function browserGauges(registry: Registry, { browsers }: GaugeSources): Refresh {
  const gauge = gaugeFactory(registry);
  const states = gauge('greenroom_browsers', 'Browsers, launched or attached, by state.', ['state']);
  const contexts = gauge('greenroom_browser_contexts', 'Browser contexts of sessions.');
  const queued = gauge('greenroom_browser_queue_depth', 'Sessions that wait for a browser process.');
  const memory = gauge(
    'greenroom_browser_resident_memory_bytes',
    'Resident memory of all browser processes of this server.',
  );
  return async () => {
    const reading = await browsers();
    for (const [state, count] of Object.entries(reading.byState)) states.set({ state }, count);
    contexts.set(reading.contexts);
    queued.set(reading.queued);
    if (reading.residentBytes === null) memory.remove();
    else memory.set(reading.residentBytes);
  };
}

function alertGauge(registry: Registry, sources: GaugeSources): Refresh {
  const help = '1 for the current state of the alert.';
  const alert = gaugeFactory(registry)('greenroom_alert_state', help, ['alert', 'state']);
  return () => {
    const current = sources.alert();
    for (const state of alertStates) alert.set({ alert: 'creation_failure_rate', state }, state === current ? 1 : 0);
  };
}
