/**
 * The program of the thread that analyses a trace, as source text: it runs the trace engine of DevTools, which is
 * written for a browser, and so adds to its own globals what that expects. Takes `workerData { engine, trace }` (a URL
 * and the gzipped JSON of `PageTracing.start`), posts one message: `{ trace, analysis }` (the gzipped JSON of the
 * page's events, and the analysis as in `analysisSchema` of traceAnalysis.ts).
 */
export const traceWorkerScript = /* javascript */ `
const { parentPort, workerData } = require('node:worker_threads');
const { gunzipSync, gzipSync } = require('node:zlib');

class Rect {
  constructor(x = 0, y = 0, width = 0, height = 0) { Object.assign(this, { x, y, width, height }); }
  get left() { return Math.min(this.x, this.x + this.width); }
  get right() { return Math.max(this.x, this.x + this.width); }
  get top() { return Math.min(this.y, this.y + this.height); }
  get bottom() { return Math.max(this.y, this.y + this.height); }
  static fromRect({ x, y, width, height } = {}) { return new Rect(x, y, width, height); }
}
globalThis.DOMRect ??= Rect;

// Node 20 has no iterator helpers (ES2025).
const iterators = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
for (const name of ['filter', 'map', 'flatMap', 'find', 'some', 'every', 'reduce', 'forEach']) {
  iterators[name] ??= function (...given) {
    const result = name === 'flatMap'
      ? [...this].flatMap((...args) => { const inner = given[0](...args); return typeof inner === 'object' ? [...inner] : inner; })
      : [...this][name](...given);
    return Array.isArray(result) && name !== 'reduce' && name !== 'find' ? result.values() : result;
  };
}
iterators.toArray ??= function () { return [...this]; };

/** Only the page: Chrome records every tab of the browser, those of other people and its own surfaces too. */
function ofPage(events) {
  const placing = new Set(['TracingStartedInBrowser', 'FrameCommittedInBrowser', 'ProcessReadyInBrowser']);
  const shared = new Set(['CrBrowserMain', 'CrGpuMain']);
  const pages = new Set();
  for (const { name, args } of events) {
    if (!placing.has(name)) continue;
    for (const { processId } of [args.data, ...(args.data.frames ?? [])]) pages.add(processId);
  }
  const isShared = ({ name, args }) => placing.has(name) || (name === 'thread_name' && shared.has(args.name));
  return events.filter((event) => pages.has(event.pid) || isShared(event));
}

const textOf = ({ i18nId, values = {} }) => i18nId.replace(/\\{(\\w+)\\}/g, (whole, key) => values[key] ?? whole);
const roundTo = (value, digits) => Number.isFinite(value) ? Number(value.toFixed(digits)) : undefined;
const msOf = (micros) => roundTo(micros / 1000, 2);

const told = ['url', 'type', 'score', 'nodeName', 'statusCode', 'priority', 'mimeType', 'encodedDataLength', 'protocol',
  'functionName', 'lineNumber', 'elementCount', 'layoutObjectCount'];

/** What a reader wants to know of an event of the trace. */
function ofEvent(event) {
  const data = event.args?.data ?? event.args?.beginData ?? {};
  const facts = Object.fromEntries(told.flatMap((key) => (data[key] === undefined ? [] : [[key, shorten(data[key])]])));
  for (const key of ['dur', 'inputDelay', 'mainThreadHandling', 'presentationDelay']) {
    if (typeof event[key] === 'number') facts[key === 'dur' ? 'durationMs' : key + 'Ms'] = msOf(event[key]);
  }
  return { event: event.name, ...facts };
}

const skipped = new Set(['strings', 'title', 'description', 'docs', 'category', 'state', 'insightKey', 'relatedEvents',
  'createOverlays', 'navigation', 'frameId', 'rawSourceEvent', 'warnings', 'metricSavings', 'lcpTs']);

const shorten = (value) => typeof value === 'string' && value.length > 300 ? value.slice(0, 300).toWellFormed() + '…' : value;

/** Any value of the engine's models as plain, short data. */
function plain(value, depth = 0) {
  if (value === null || typeof value === 'function' || depth > 6) return undefined;
  if (typeof value === 'number') return roundTo(value, 4);
  if (typeof value !== 'object') return shorten(value);
  if (value instanceof URL) return shorten(value.href);
  if (typeof value.i18nId === 'string') return textOf(value);
  if ('ph' in value && 'ts' in value) return ofEvent(value);
  if ('range' in value && 'min' in value) return msOf(value.range) + ' ms';
  if (value instanceof Map) {
    return [...value].slice(0, 20).map(([key, inner]) => ({ of: plain(key, depth + 1), is: plain(inner, depth + 1) }));
  }
  if (Symbol.iterator in value) return [...value].slice(0, 20).map((inner) => plain(inner, depth + 1));
  const entries = Object.entries(value).filter(([key]) => !skipped.has(key));
  return Object.fromEntries(entries.map(([key, inner]) => [key, plain(inner, depth + 1)]));
}

function ofInsight(name, insight) {
  const savings = Object.entries(insight.metricSavings ?? {}).filter(([, value]) => Number.isFinite(value) && value > 0);
  return {
    name,
    title: textOf(insight.title),
    description: textOf(insight.description),
    state: insight.state,
    metric: insight.category,
    savings: Object.fromEntries(savings.map(([metric, value]) => [metric, roundTo(value, 3)])),
    details: plain(insight) ?? {},
  };
}

function metricsOf(set, common) {
  const [lcp, inp, cls] = [common.getLCP(set), common.getINP(set), common.getCLS(set)];
  const subparts = Object.entries(set.model.LCPBreakdown?.subparts ?? {});
  const phases = subparts.map(([, part]) => ({ name: textOf(part.label), ms: msOf(part.range) }));
  const parts = [['Input delay', 'inputDelay'], ['Processing duration', 'mainThreadHandling'], ['Presentation delay', 'presentationDelay']];
  return {
    ...(lcp && { lcp: { ms: msOf(lcp.value), phases } }),
    ...(inp && { inp: { ms: msOf(inp.value), phases: parts.map(([name, key]) => ({ name, ms: msOf(inp.event[key]) })) } }),
    ...(set.model.CLSCulprits && { cls: roundTo(cls.value, 4) }),
  };
}

async function main() {
  const engine = await import(workerData.engine);
  const events = ofPage(JSON.parse(gunzipSync(workerData.trace).toString('utf8')).traceEvents);
  const trace = gzipSync(JSON.stringify({ traceEvents: events }), { level: 4 });
  const model = engine.TraceModel.Model.createWithAllHandlers();
  await model.parse(events);
  const sets = [...(model.parsedTrace()?.insights?.values() ?? [])].map((set) => ({
    id: set.id,
    url: set.url.href,
    metrics: metricsOf(set, engine.Insights.Common),
    insights: Object.entries(set.model).map(([name, insight]) => ofInsight(name, insight)),
    failed: Object.entries(set.modelErrors).map(([name, error]) => name + ': ' + error.message),
  }));
  parentPort.postMessage({ trace, analysis: { events: events.length, sets } });
}

void main();
`;
