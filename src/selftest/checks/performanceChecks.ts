import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { assertIncludes, rowsOf, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';

/** The page measures itself, when it has painted and shifted: the figures of the trace must be near. */
const measured = `new Promise((resolve) => {
  const found = {};
  const record = (type, valueOf) =>
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) found[type] = valueOf(entry, found[type] ?? 0);
      if (Object.keys(found).length === 2) setTimeout(() => resolve(found), 50);
    }).observe({ type, buffered: true });
  record("largest-contentful-paint", ({ startTime }) => startTime);
  record("layout-shift", ({ value }, sum) => sum + value);
})`;

const metrics = z
  .object({ 'largest-contentful-paint': z.number().positive(), 'layout-shift': z.number().positive() })
  .transform((found) => ({ lcp: found['largest-contentful-paint'], cls: found['layout-shift'] }));

async function open(context: CheckContext): Promise<string> {
  const url = `${context.pages}/performance.html?shift=${randomInt(60, 400)}&nonce=${randomUUID()}`;
  await context.navigate(url);
  // A late shift would belong to the trace.
  await context.evaluate(measured);
  return url;
}

const lastSet = (answer: ToolReply): Record<string, unknown> => rowsOf(answer, 'insightSets').at(-1) ?? {};

const near = (value: unknown, wanted: number, by: number): void =>
  assert.ok(Math.abs(Number(value) - wanted) <= by, `${String(value)} is not near ${wanted}`);

export const performanceChecks: readonly Check[] = [
  {
    tool: 'performance_start_trace',
    async run(context) {
      const url = await open(context);
      let own = { lcp: Number.NaN, cls: Number.NaN };
      // On a busy machine one trace in some hundreds has a shift more than the page.
      const answer = await context.eventually(
        async () => {
          const traced = await context.call('performance_start_trace');
          own = metrics.parse(await context.evaluate(measured));
          return traced;
        },
        (traced) => {
          const { lcpMs, cls } = lastSet(traced);
          near(lcpMs, own.lcp, 100);
          near(cls, own.cls, 0.01);
        },
      );
      const set = lastSet(answer);
      assert.equal(set['url'], url);
      assertIncludes(answer.text, `LCP ${String(set['lcpMs'])} ms: Time to first byte`);
      assertIncludes(answer.text, `CLS ${String(set['cls'])}`);
      return `LCP ${String(set['lcpMs'])} ms, CLS ${String(set['cls'])}`;
    },
  },
  {
    tool: 'performance_stop_trace',
    async run(context) {
      await open(context);
      const started = await context.call('performance_start_trace', { reload: false, autoStop: false });
      assert.equal(started.data['recording'], true);
      const url = await open(context);
      const word = randomUUID();
      await context.evaluate(`void performance.mark("${word}")`);
      const answer = await context.call('performance_stop_trace');
      assert.equal(lastSet(answer)['url'], url);
      assertIncludes(answer.text, url);
      const trace = gunzipSync(await context.readLink(answer, '.json.gz')).toString('utf8');
      assertIncludes(trace.includes(word) ? word : 'another trace', word);
      assertIncludes(await context.expectError('performance_stop_trace', {}), 'not being traced');
      return `a mark of the page in ${trace.length} bytes of trace`;
    },
  },
  {
    tool: 'performance_analyze_insight',
    async run(context) {
      const url = await open(context);
      await context.call('performance_start_trace');
      const insightName = 'NetworkDependencyTree';
      const { text, data } = await context.call('performance_analyze_insight', { insightName });
      assert.equal(data['name'], insightName);
      assertIncludes(data['details'], url);
      assertIncludes(data['details'], `${context.pages}/performance.css`);
      assertIncludes(text, url);
      assertIncludes(await context.expectError('performance_analyze_insight', { insightName: 'None' }), 'CLSCulprits');
      return 'the document and the style sheet that it waits for';
    },
  },
];

/** In a new process: the heap of the old one has what earlier pages left there. */
async function openMemoryPage(context: CheckContext): Promise<void> {
  await context.navigate('about:blank');
  await context.navigate(`${context.pages}/memory.html`);
}

/** Leaks objects, each with a detached element; returns their number. */
async function leak(context: CheckContext): Promise<number> {
  const count = randomInt(20, 1_000);
  await context.evaluate(`leak(${count})`);
  return count;
}

export const memoryChecks: readonly Check[] = [
  {
    tool: 'take_heapsnapshot',
    async run(context) {
      await openMemoryPage(context);
      const count = await leak(context);
      const answer = await context.call('take_heapsnapshot');
      assert.equal(answer.data['detachedNodes'], count);
      rowWith(answer, 'detached', { name: '<article>', count });
      assertIncludes(answer.text, `<article> × ${count}`);
      const raw = gunzipSync(await context.readLink(answer, '.heapsnapshot.gz')).toString('utf8');
      assertIncludes(raw.slice(0, 4_000), `"node_count":${String(answer.data['objects'])}`);
      return `${count} detached elements among ${String(answer.data['objects'])} objects`;
    },
  },
  {
    tool: 'get_heapsnapshot_summary',
    async run(context) {
      await openMemoryPage(context);
      const count = await leak(context);
      const { data } = await context.call('take_heapsnapshot');
      const { uri } = data;
      const answer = await context.call('get_heapsnapshot_summary', { uri, filter: 'LeakedNote' });
      const row = rowWith(answer, 'classes', { name: 'LeakedNote', count });
      assert.ok(Number(row['bytes']) >= 8 * count);
      assertIncludes(answer.text, `LeakedNote × ${count}`);
      assertIncludes(await context.expectError('get_heapsnapshot_summary', { uri: 'greenroom://none' }), String(uri));
      return `${count} of a constructor`;
    },
  },
  {
    tool: 'compare_heapsnapshots',
    async run(context) {
      await openMemoryPage(context);
      const before = await leak(context);
      const base = await context.call('take_heapsnapshot');
      const count = await leak(context);
      const current = await context.call('take_heapsnapshot');
      const answer = await context.call('compare_heapsnapshots', { limit: 200 });
      assert.equal(answer.data['base'], base.data['uri']);
      assert.equal(answer.data['current'], current.data['uri']);
      rowWith(answer, 'grown', { name: 'LeakedNote', count });
      rowWith(answer, 'detached', { name: '<article>', count });
      assertIncludes(answer.text, `LeakedNote +${count}`);
      return `${count} more after ${before}`;
    },
  },
  {
    tool: 'query_heapsnapshot',
    async run(context) {
      await openMemoryPage(context);
      const count = await leak(context);
      const { data } = await context.call('take_heapsnapshot');
      const answer = await context.call('query_heapsnapshot', { uri: data['uri'] });
      const row = rowWith(answer, 'rows', { name: '<article>', count });
      assertIncludes(row['text'], 'removed');
      const notes = await context.call('query_heapsnapshot', { uri: data['uri'], about: 'class', name: 'LeakedNote' });
      assertIncludes(rowWith(notes, 'rows', { name: 'LeakedNote', count })['text'], 'notes');
      return `${count} detached elements, held by one list`;
    },
  },
];
