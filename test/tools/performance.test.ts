import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { analyseTrace } from '../../src/browser/profiling/traceAnalysis.js';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { performanceTools } from '../../src/tools/performanceTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;

beforeAll(async () => {
  [pages, harness] = await Promise.all([
    startPageServer(),
    startToolHarness([...performanceTools, ...lookTools, ...navigationTools, ...inputTools]),
  ]);
});

beforeEach(async () => {
  await harness.run('navigate_page', { url: `${pages.url}/performance.html?shift=500` });
});

afterAll(async () => {
  await harness.close();
  await pages.close();
});

const traceSchema = z.object({ traceEvents: z.array(z.object({ name: z.string(), pid: z.int() })) });

async function eventsOf(uri: unknown) {
  const json: unknown = JSON.parse(gunzipSync(await harness.resources.read(String(uri))).toString());
  return { json, events: traceSchema.parse(json).traceEvents };
}

test('before there is a trace, the tools that need one say how to make it', async () => {
  expect(await harness.refusal('performance_analyze_insight', { insightName: 'LCPBreakdown' })).toContain(
    'There is no trace yet',
  );
  expect(await harness.refusal('performance_stop_trace')).toContain('Call performance_start_trace first.');
});

test('a load gives LCP with its phases, CLS and named insights, and the trace is kept', async () => {
  const steps: unknown[] = [];
  const progress = (...step: unknown[]) => void steps.push(step);
  const { text, structured, resources } = await harness.run('performance_start_trace', {}, { progress });
  expect(steps).toEqual([
    [0, 4, 'starting'],
    [1, 4, 'recording'],
    [2, 4, 'reading the trace'],
    [3, 4, 'analysing the trace'],
    [4, 4, 'done'],
  ]);
  const sets = z
    .array(
      z.object({
        id: z.string(),
        url: z.string(),
        lcpMs: z.number().optional(),
        cls: z.number(),
        insights: z.array(z.unknown()),
      }),
    )
    .parse(structured['insightSets']);
  const set = sets.at(-1);
  expect(set).toMatchObject({ url: `${pages.url}/performance.html?shift=500`, lcpMs: expect.any(Number) });
  expect(set?.lcpMs).toBeGreaterThan(0);
  expect(set?.cls).toBeGreaterThan(0.05);
  expect(set?.insights).toContainEqual({ name: 'CLSCulprits', state: 'fail' });
  expect(text).toMatch(/LCP [\d.]+ ms: Time to first byte [\d.]+ ms, Element render delay [\d.]+ ms/);
  expect(text).not.toContain('not computed');
  expect(resources?.map(({ name }) => name)).toEqual([
    expect.stringMatching(/^trace-page-1-.*\.json\.gz$/),
    expect.stringMatching(/\.insights\.json$/),
  ]);
  const { events } = await eventsOf(structured['uri']);
  expect(events.map(({ name }) => name)).toContain('largestContentfulPaint::Candidate');

  const blocking = await harness.run('performance_analyze_insight', { insightName: 'renderblocking' });
  expect(blocking.structured).toMatchObject({ name: 'RenderBlocking', insightSetId: set?.id });
  expect(blocking.text).toContain(`url: ${pages.url}/performance.css`);
  expect(blocking.text).toContain(`LCP ${set?.lcpMs} ms`);
});

test('what the page did before it was loaded again is no part of the answer', async () => {
  // The shift is in the trace once the frame has been shown.
  const moves = `() => new Promise((shown) => {
    new PerformanceObserver(() => shown(true)).observe({ type: 'layout-shift' });
    document.body.prepend(document.createElement('hr'));
  })`;
  const recorded = async (reload: boolean) => {
    const { tracing } = harness.browser.page();
    await tracing.start(new AbortController().signal, reload);
    await harness.run('evaluate_script', { function: moves });
    await harness.run('navigate_page', { url: `${pages.url}/performance.html?again` });
    const { structured } = await harness.run('performance_stop_trace');
    return z
      .array(z.object({ id: z.string() }))
      .parse(structured['insightSets'])
      .map(({ id }) => id.split('_')[0]);
  };
  expect(await recorded(true)).toEqual(['NAVIGATION']);
  expect(await recorded(false)).toEqual(['NO', 'NAVIGATION']);
});

test('between start and stop the page can be used, and INP tells where the time of a click went', async () => {
  const started = await harness.run('performance_start_trace', { reload: true, autoStop: false });
  expect(started.structured).toEqual({ recording: true, insightSets: [] });
  expect(await harness.refusal('performance_start_trace')).toContain('This page is being traced already.');
  // The button is moved once.
  await harness.run('wait_for', { text: ['shifted'] });
  const uid = /uid=(\S+)/.exec(await harness.text('find_in_snapshot', { text: 'button "Busy"', context: 0 }))?.[1];
  await harness.run('click', { uid });
  await harness.run('wait_for', { text: ['done'] });
  const { text, structured } = await harness.run('performance_stop_trace');
  expect(structured['recording']).toBe(false);
  const inp = Number(/INP ([\d.]+) ms: Input delay/.exec(text)?.[1]);
  expect(inp).toBeGreaterThanOrEqual(100);
  const details = await harness.text('performance_analyze_insight', { insightName: 'INPBreakdown' });
  expect(Number(/mainThreadHandlingMs: ([\d.]+)/.exec(details)?.[1])).toBeGreaterThanOrEqual(100);
  expect(await harness.refusal('performance_stop_trace')).toContain('not being traced');
});

test('a page that goes to another site, and so to another process, stays in its trace', async () => {
  await harness.run('performance_start_trace', { reload: false, autoStop: false });
  const elsewhere = `${pages.url.replace('127.0.0.1', 'localhost')}/performance.html`;
  await harness.run('navigate_page', { url: elsewhere });
  // What a new process does before it hears that it is traced is in no trace.
  const url = `${elsewhere}?again`;
  await harness.run('navigate_page', { url });
  // A busy machine paints late.
  const painted = `new Promise((resolve) =>
    new PerformanceObserver(() => resolve()).observe({ type: 'largest-contentful-paint', buffered: true }))`;
  await harness.browser.page().page.evaluate(painted);
  const { structured } = await harness.run('performance_stop_trace');
  expect(structured['insightSets']).toContainEqual(expect.objectContaining({ url, lcpMs: expect.any(Number) }));
});

test('an unknown insight or set is answered with those that there are', async () => {
  expect(await harness.refusal('performance_analyze_insight', { insightName: 'Speed' })).toMatch(
    /no insight "Speed"\. This trace has: .*LCPBreakdown/,
  );
  expect(
    await harness.refusal('performance_analyze_insight', { insightName: 'LCPBreakdown', insightSetId: 'X' }),
  ).toMatch(/no insight set X\. It has: (NO_NAVIGATION \(http\S+, )?NAVIGATION_\d+ \(http/);
});

test('[S6] one trace at a time in a browser, and what other pages do is not in it', async () => {
  const own = harness.browser.page();
  const context = await harness.browser.browser.createBrowserContext();
  const other = await context.newPage();
  await harness.run('performance_start_trace', { reload: true, autoStop: false });
  await other.goto(`${pages.url.replace('127.0.0.1', 'localhost')}/look.html?somebody-else`);
  const second = await harness.browser.newPage();
  expect(await harness.refusal('performance_start_trace')).toContain('a browser makes one trace at a time');
  expect(second.tracing.isRecording).toBe(false);
  await harness.browser.closePage(second.id);
  const { structured } = await harness.run('performance_stop_trace', { pageId: own.id });
  const { json } = await eventsOf(structured['uri']);
  expect(JSON.stringify(json)).toContain('/performance.html');
  expect(JSON.stringify(json)).not.toContain('somebody-else');
  await context.close();
});

test('[S5] a trace ends with its page, and with the call that is cancelled', async () => {
  const first = harness.browser.page();
  const second = await harness.browser.newPage();
  await harness.run('performance_start_trace', { reload: false, autoStop: false });
  await harness.browser.closePage(second.id);
  const reason = new Error('cancelled by the test');
  const stopping = new AbortController();
  const call = harness.run('performance_start_trace', {}, { signal: stopping.signal });
  await new Promise((resolve) => first.cdp.once('Page.frameNavigated', resolve));
  stopping.abort(reason);
  await expect(call).rejects.toThrow('cancelled by the test');
  expect(first.tracing.isRecording).toBe(false);
  await harness.run('performance_start_trace', { reload: false, autoStop: false });
  expect((await harness.run('performance_stop_trace')).structured).toMatchObject({ recording: false });
});

test('what is no trace is an error, and aborting ends the analysis', async () => {
  const { signal } = new AbortController();
  await expect(analyseTrace(Buffer.from('no trace'), signal)).rejects.toThrow('incorrect header check');
  const aborted = AbortSignal.abort(new Error('cancelled by the test'));
  await expect(analyseTrace(Buffer.alloc(0), aborted)).rejects.toThrow('cancelled by the test');
});
