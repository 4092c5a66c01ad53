import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { settledRequest, fanOut, type ObservationHandler, type CreationOutcome } from './observer.js';
import { registerGauges, type GaugeSources } from './gauges.js';

/** Seconds. From a warm session to a browser that barely starts. */
const announceBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
/** Seconds. From an evaluation to a tool's deadline. */
const callBuckets = [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
/** Seconds. From milliseconds to eight hours. */
const stateBuckets = [0.01, 0.1, 1, 10, 60, 600, 3_600, 28_800];

export interface MetricsOptions extends GaugeSources {
  readonly version: string;
  /** Every tool of the catalogue. Clients may call any name: others are counted as `unknown`. */
  readonly tools: readonly string[];
  /** Every JSON-RPC method that is served; others are counted as `other`. */
  readonly methods: readonly string[];
}

/** The response to a scrape. */
export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

export interface Metrics {
  readonly onObservation: ObservationHandler;
  performance(): PerformanceFigures;
  /** Prometheus text (exposition format 0.0.4) of this server and its process. */
  expose(): Promise<Exposition>;
}

/** The metrics of one server, in their own registry. Labels are closed sets: no ids, no user names. */
export function createMetrics(options: MetricsOptions): Metrics {
  const registry = new Registry();
  const refresh = registerGauges(registry, options);
  registerBuild(registry, options.version);
  const { onObservation: countFigures, performance } = createPerformanceCounter();
  const onObservation = fanOut([
    countFigures,
    recordSessions(registry),
    recordRequests(registry, options),
    recordRefusals(registry),
  ]);
  return {
    onObservation,
    performance,
    async expose() {
      await refresh();
      const parts = await Promise.all([registry.metrics(), processMetrics().metrics()]);
      return { contentType: registry.contentType, text: parts.join('\n') };
    },
  };
}

function registerBuild(registry: Registry, version: string): void {
  const name = 'greenroom_build_info';
  const help = 'Always 1; the labels have the version of the server and of Node.';
  const build = new Gauge({ name, help, labelNames: ['version', 'node'], registers: [registry] });
  build.set({ version, node: process.versions.node }, 1);
}

function recordSessions(registry: Registry): ObservationHandler {
  const registers = [registry];
  const inState = new Histogram({
    name: 'greenroom_session_state_duration_seconds',
    help: 'Time that sessions spent in a state, observed when they leave it.',
    labelNames: ['state'],
    buckets: stateBuckets,
    registers,
  });
  const creations = new Counter({
    name: 'greenroom_session_creations_total',
    help: 'Sessions that clients asked for: announced, failed, abandoned by the client, cancelled by the operator or a drain, or refused for a reason of the client, with the cause.',
    labelNames: ['outcome', 'cause'],
    registers,
  });
  const announced = new Histogram({
    name: 'greenroom_session_announce_duration_seconds',
    help: 'Time from the moment a client asked for a session to its announcement.',
    buckets: announceBuckets,
    registers,
  });
  return (observation) => {
    if (observation.kind === 'creation') {
      const { outcome, cause, durationMs } = observation;
      creations.inc({ outcome, cause: cause ?? 'none' });
      if (outcome === 'announced') announced.observe(durationMs / 1000);
    }
    if (observation.kind !== 'transition' || observation.machine !== 'session' || observation.from === '') return;
    inState.observe({ state: observation.from }, observation.durationMs / 1000);
  };
}

function recordRequests(registry: Registry, options: MetricsOptions): ObservationHandler {
  const registers = [registry];
  const tools = new Set(options.tools);
  const methods = new Set(options.methods);
  const requests = new Counter({
    name: 'greenroom_rpc_requests_total',
    help: 'JSON-RPC requests that were answered or cancelled, by method.',
    labelNames: ['method', 'outcome'],
    registers,
  });
  const calls = new Counter({
    name: 'greenroom_tool_calls_total',
    help: 'Tool calls by tool and outcome.',
    labelNames: ['tool', 'outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'greenroom_tool_call_duration_seconds',
    help: 'Duration of tool calls, whatever their outcome.',
    labelNames: ['tool'],
    buckets: callBuckets,
    registers,
  });
  const tolerances = new Counter({
    name: 'greenroom_tolerated_requests_total',
    help: 'Requests that were accepted although they were not as the protocol or a schema says, by client profile and kind.',
    labelNames: ['client', 'kind'],
    registers,
  });
  return (observation) => {
    const request = settledRequest(observation);
    if (request === undefined) return;
    const { outcome, durationMs, client = 'unknown' } = request;
    for (const kind of request.tolerated ?? []) tolerances.inc({ client, kind });
    requests.inc({ method: methods.has(request.method) ? request.method : 'other', outcome });
    if (request.tool === null) return;
    const tool = tools.has(request.tool) ? request.tool : 'unknown';
    calls.inc({ tool, outcome });
    durations.observe({ tool }, durationMs / 1000);
  };
}

function recordRefusals(registry: Registry): ObservationHandler {
  const refusals = new Counter({
    name: 'greenroom_refusals_total',
    help: 'Requests that were answered with an entry of the error catalogue.',
    labelNames: ['reason', 'transport'],
    registers: [registry],
  });
  return (observation) => {
    if (observation.kind !== 'refusal') return;
    refusals.inc({ reason: observation.reason, transport: observation.transport });
  };
}

/** The figures of `/health`, counted from observations. */
export interface PerformanceFigures {
  /** Sessions that reached `connected`. */
  readonly totalConnections: number;
  /** JSON-RPC requests that were answered or cancelled. */
  readonly totalRequests: number;
  /** Sessions that clients requested, by outcome. */
  readonly connects: Readonly<Record<CreationOutcome, number>>;
  /** Failed connects and failed tool calls. */
  readonly totalErrors: number;
  readonly errorRate: string;
  /** From the request of a client to the announcement. */
  readonly avgConnectMs: number;
}

function createPerformanceCounter(): {
  readonly onObservation: ObservationHandler;
  performance(): PerformanceFigures;
} {
  const connects: Record<CreationOutcome, number> = { announced: 0, failed: 0, abandoned: 0, cancelled: 0, refused: 0 };
  let requests = 0;
  let errors = 0;
  let connectMs = 0;
  return {
    onObservation(observation) {
      if (observation.kind === 'creation') {
        const { outcome, durationMs } = observation;
        connects[outcome] += 1;
        if (outcome === 'failed') errors += 1;
        if (outcome === 'announced') connectMs += durationMs;
        return;
      }
      const request = settledRequest(observation);
      if (request === undefined) return;
      requests += 1;
      if (request.tool !== null && request.outcome === 'failed') errors += 1;
    },
    performance() {
      const { announced: connections } = connects;
      const attempts = connections + requests;
      return {
        connects: { ...connects },
        totalConnections: connections,
        totalRequests: requests,
        totalErrors: errors,
        errorRate: `${((errors / Math.max(1, attempts, errors)) * 100).toFixed(2)}%`,
        avgConnectMs: connections === 0 ? 0 : Math.round(connectMs / connections),
      };
    },
  };
}

/** Gauges whose names end in `_total`, which Prometheus keeps for counters. */
const misnamedGauges = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

let registry: Registry | undefined;

/**
 * CPU, memory, event loop and garbage collection of this process. One registry per process, created at the first scrape,
 * however many servers run in it: prom-client cannot stop its collectors.
 */
function processMetrics(): Registry {
  if (registry !== undefined) return registry;
  registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const name of misnamedGauges) registry.removeSingleMetric(name);
  return registry;
}
