import { Gauge, type Registry } from 'prom-client';

/** What is read when somebody asks, from its owner, instead of being counted along. */
export interface Readings {
  /** Sessions that clients opened and that are not closed. */
  sessions(): Iterable<{ readonly state: string; readonly transport: string; readonly inFlight: number }>;
  browsers(): BrowserReading;
  /** State of the alarm over failing creations. */
  alert(): string;
}

export interface BrowserReading {
  /** Browsers by state. */
  readonly byState: Readonly<Record<string, number>>;
  readonly contexts: number;
  /** Of all browser processes of ours together; null where it cannot be known. */
  readonly residentBytes: number | null;
}

/** Every series exists from the first scrape on, with 0: a rate over one that appears later would miss its beginning. */
const transports = ['sse', 'streamable-http', 'websocket', 'stdio'];
const openStates = ['created', 'tools-registered', 'connected', 'active'];
const alertStates = ['ok', 'pending', 'firing'];

/** Registers the gauges whose values are read at each scrape. */
export function registerReadings(registry: Registry, readings: Readings): void {
  const registers = [registry];
  new Gauge({
    name: 'greenroom_sessions',
    help: 'Open sessions by state and transport.',
    labelNames: ['state', 'transport'],
    registers,
    collect() {
      this.reset();
      for (const transport of transports) for (const state of openStates) this.set({ state, transport }, 0);
      for (const { state, transport } of readings.sessions()) this.inc({ state, transport });
    },
  });
  new Gauge({
    name: 'greenroom_requests_in_flight',
    help: 'JSON-RPC requests that were delivered and are not answered yet.',
    registers,
    collect() {
      this.set([...readings.sessions()].reduce((sum, { inFlight }) => sum + inFlight, 0));
    },
  });
  registerBrowserReadings(registry, readings);
  new Gauge({
    name: 'greenroom_alert_state',
    help: '1 for the state that the alarm is in.',
    labelNames: ['alert', 'state'],
    registers,
    collect() {
      const current = readings.alert();
      for (const state of alertStates) this.set({ alert: 'creation_failure_rate', state }, state === current ? 1 : 0);
    },
  });
}

function registerBrowserReadings(registry: Registry, { browsers }: Readings): void {
  const registers = [registry];
  new Gauge({
    name: 'greenroom_browsers',
    help: 'Browsers, launched or attached, by state.',
    labelNames: ['state'],
    registers,
    collect() {
      for (const [state, count] of Object.entries(browsers().byState)) this.set({ state }, count);
    },
  });
  new Gauge({
    name: 'greenroom_browser_contexts',
    help: 'Browser contexts that sessions hold.',
    registers,
    collect() {
      this.set(browsers().contexts);
    },
  });
  new Gauge({
    name: 'greenroom_browser_resident_memory_bytes',
    help: 'Resident memory of all launched browser processes together.',
    registers,
    collect() {
      const { residentBytes } = browsers();
      this.reset();
      if (residentBytes !== null) this.set(residentBytes);
    },
  });
}
