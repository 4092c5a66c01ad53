import { parentPort, workerData } from 'node:worker_threads';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Insights, TraceModel, Types } from '@paulirish/trace_engine';
import { shortenText } from '../../text.js';
import type { AnalysedTrace, Insight, InsightSet, TraceTask } from './traceAnalysis.js';

/**
 * The program of the thread that analyses a trace: it runs the trace engine of DevTools, which is written for a browser,
 * and so adds to its own globals what that expects. It posts one `AnalysedTrace`.
 */
async function analyse({ trace }: TraceTask): Promise<AnalysedTrace> {
  addBrowserGlobals();
  const engine = await import('@paulirish/trace_engine');
  const { traceEvents } = JSON.parse(gunzipSync(trace).toString('utf8')) as { readonly traceEvents: TraceEvent[] };
  const events = eventsOfPage(traceEvents);
  const model = engine.TraceModel.Model.createWithAllHandlers();
  await model.parse(events as unknown as readonly Types.Events.Event[]);
  return {
    trace: gzipSync(JSON.stringify({ traceEvents: events }), { level: 4 }),
    analysis: { events: events.length, sets: setsOf(model, engine.Insights.Common) },
  };
}

class Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;

  constructor(x = 0, y = 0, width = 0, height = 0) {
    this.x = x;
    this.y = y;
    this.width = width;
    this.height = height;
  }

  get left(): number {
    return Math.min(this.x, this.x + this.width);
  }

  get right(): number {
    return Math.max(this.x, this.x + this.width);
  }

  get top(): number {
    return Math.min(this.y, this.y + this.height);
  }

  get bottom(): number {
    return Math.max(this.y, this.y + this.height);
  }

  static fromRect({ x, y, width, height }: Partial<Rect> = {}): Rect {
    return new Rect(x, y, width, height);
  }
}

type Callback = (value: unknown, index: number) => unknown;

/** Iterator helpers (ES2025), which Node 20 does not have. */
const iteratorMethods: Readonly<Record<string, (items: unknown[], call: Callback, ...more: unknown[]) => unknown>> = {
  filter: (items, keep) => items.filter((item, index) => keep(item, index)).values(),
  map: (items, convert) => items.map((item, index) => convert(item, index)).values(),
  flatMap: (items, convert) => items.flatMap((item, index) => [...(convert(item, index) as unknown[])]).values(),
  find: (items, isMeant) => items.find((item, index) => isMeant(item, index)),
  some: (items, isMeant) => items.some((item, index) => isMeant(item, index)),
  every: (items, isMeant) => items.every((item, index) => isMeant(item, index)),
  reduce: (items, ...given) => Reflect.apply(items.reduce, items, given) as unknown,
  forEach: (items, act) => items.forEach((item, index) => void act(item, index)),
  toArray: (items) => items,
};

function addBrowserGlobals(): void {
  Object.assign(globalThis, { DOMRect: Rect });
  const iterators = Object.getPrototypeOf(Object.getPrototypeOf([].values())) as Record<string, unknown>;
  for (const [name, method] of Object.entries(iteratorMethods)) {
    iterators[name] ??= function (this: Iterable<unknown>, call: Callback, ...more: unknown[]): unknown {
      return method([...this], call, ...more);
    };
  }
}

interface PlacedData extends Facts {
  readonly processId: number;
  readonly frames?: readonly PlacedData[];
}

type Facts = Readonly<Record<string, unknown>>;

/** An event of a trace: an entry of `traceEvents`, or what the engine made of several. */
interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly args?: { readonly name?: string; readonly data?: Facts; readonly beginData?: Facts };
}

/** Events that say which process has which frame. */
const placing = new Set(['TracingStartedInBrowser', 'FrameCommittedInBrowser', 'ProcessReadyInBrowser']);
const sharedThreads = new Set(['CrBrowserMain', 'CrGpuMain']);

/** Only the page: Chrome records every tab of the browser, those of other people and its own surfaces too. */
function eventsOfPage(events: readonly TraceEvent[]): TraceEvent[] {
  const processes = new Set<number>();
  for (const { name, args } of events) {
    if (!placing.has(name)) continue;
    const data = args?.data as PlacedData;
    for (const { processId } of [data, ...(data.frames ?? [])]) processes.add(processId);
  }
  const isShared = ({ name, args }: TraceEvent): boolean =>
    placing.has(name) || (name === 'thread_name' && sharedThreads.has(args?.name ?? ''));
  return events.filter((event) => processes.has(event.pid) || isShared(event));
}

function setsOf(model: TraceModel.Model, common: typeof Insights.Common): InsightSet[] {
  return [...(model.parsedTrace()?.insights?.values() ?? [])].map((set) => ({
    id: set.id,
    url: set.url.href,
    metrics: metricsOf(set, common),
    insights: Object.entries(set.model).map(([name, insight]) => insightOf(name, insight)),
    failed: Object.entries(set.modelErrors).map(([name, error]) => `${name}: ${error.message}`),
  }));
}

const inpParts = [
  ['Input delay', 'inputDelay'],
  ['Processing duration', 'mainThreadHandling'],
  ['Presentation delay', 'presentationDelay'],
] as const;

interface LcpPart {
  readonly label: Message;
  readonly range: number;
}

function metricsOf(set: Insights.Types.InsightSet, common: typeof Insights.Common): InsightSet['metrics'] {
  const [lcp, inp] = [common.getLCP(set), common.getINP(set)];
  const [lcpMs, inpMs] = [msOf(lcp?.value), msOf(inp?.value)];
  const subparts = Object.values<LcpPart>({ ...set.model.LCPBreakdown?.subparts });
  const lcpPhases = subparts.map(({ label, range }) => ({ name: textOf(label), ms: msOf(range) }));
  const inpPhases = inpParts.map(([name, key]) => ({ name, ms: msOf(inp?.event[key]) }));
  return {
    ...(lcpMs !== undefined && { lcp: { ms: lcpMs, phases: lcpPhases } }),
    ...(inpMs !== undefined && { inp: { ms: inpMs, phases: inpPhases } }),
    ...(set.model.CLSCulprits && { cls: roundTo(common.getCLS(set).value, 4) }),
  };
}

function insightOf(name: string, insight: Insights.Types.InsightModel): Insight {
  const estimates = Object.entries((insight.metricSavings ?? {}) as Readonly<Record<string, number>>);
  const savings = estimates.filter(([, value]) => Number.isFinite(value) && value > 0);
  return {
    name,
    title: textOf(insight.title),
    description: textOf(insight.description),
    state: insight.state,
    metric: insight.category,
    savings: Object.fromEntries(savings.map(([metric, value]) => [metric, roundTo(value, 3)])),
    details: (plain(insight) ?? {}) as Insight['details'],
  };
}

const skipped = new Set(
  `strings title description docs category state insightKey relatedEvents createOverlays navigation frameId
  rawSourceEvent warnings metricSavings lcpTs`.split(/\s+/),
);
const maxDepth = 6;
const maxItems = 20;

/** Any value of the engine's models as plain, short data. */
function plain(value: unknown, depth = 0): unknown {
  if (value === null || typeof value === 'function' || depth > maxDepth) return undefined;
  if (typeof value === 'number') return roundTo(value, 4);
  if (typeof value !== 'object') return shorten(value);
  if (value instanceof URL) return shorten(value.href);
  if (isMessage(value)) return textOf(value);
  if (isEvent(value)) return factsOf(value);
  if ('range' in value && 'min' in value) return `${msOf(Number(value.range))} ms`;
  if (value instanceof Map) {
    const entries = [...(value as ReadonlyMap<unknown, unknown>)].slice(0, maxItems);
    return entries.map(([key, inner]) => ({ of: plain(key, depth + 1), is: plain(inner, depth + 1) }));
  }
  if (Symbol.iterator in value)
    return [...(value as Iterable<unknown>)].slice(0, maxItems).map((inner) => plain(inner, depth + 1));
  const entries = Object.entries(value).filter(([key]) => !skipped.has(key));
  return Object.fromEntries(entries.map(([key, inner]) => [key, plain(inner, depth + 1)]));
}

const told = `url type score nodeName statusCode priority mimeType encodedDataLength protocol functionName lineNumber
  elementCount layoutObjectCount`.split(/\s+/);
const durations = ['dur', 'inputDelay', 'mainThreadHandling', 'presentationDelay'];

const isEvent = (value: object): value is TraceEvent & Facts => 'ph' in value && 'ts' in value;

/** The facts of a trace event that readers need. */
function factsOf(event: TraceEvent & Facts): Facts {
  const data = event.args?.data ?? event.args?.beginData ?? {};
  const facts: Record<string, unknown> = { event: event.name };
  for (const key of told) if (data[key] !== undefined) facts[key] = shorten(data[key]);
  for (const key of durations) {
    const value = event[key];
    if (typeof value === 'number') facts[key === 'dur' ? 'durationMs' : `${key}Ms`] = msOf(value);
  }
  return facts;
}

/** A text of the engine before translation. */
interface Message {
  readonly i18nId: string;
  readonly values?: Readonly<Record<string, string | number>>;
}

const isMessage = (value: object): value is Message => 'i18nId' in value && typeof value.i18nId === 'string';

const textOf = ({ i18nId, values = {} }: Message): string =>
  i18nId.replace(/\{(\w+)\}/g, (whole, key: string) => String(values[key] ?? whole));

const shorten = (value: unknown): unknown => (typeof value === 'string' ? shortenText(value, 300) : value);

const roundTo = (value: number, digits: number): number | undefined =>
  Number.isFinite(value) ? Number(value.toFixed(digits)) : undefined;

const msOf = (micros = Number.NaN): number | undefined => roundTo(micros / 1000, 2);

parentPort?.postMessage(await analyse(workerData as TraceTask));
