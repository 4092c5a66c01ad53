import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import { assertIncludes, rowsOf, type ToolReply, type CheckContext, type Check } from '../checkContext.js';

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
