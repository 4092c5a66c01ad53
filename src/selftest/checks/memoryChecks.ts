import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { assertIncludes, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';

const open = (bench: CheckContext): Promise<ToolReply> =>
  bench.call('navigate_page', { url: `${bench.pages}/memory.html` });

/** Leaks objects, each with a detached element; returns their number. */
async function leak(bench: CheckContext): Promise<number> {
  const count = randomInt(20, 200);
  await bench.evaluate(`leak(${count})`);
  return count;
}

export const memoryChecks: readonly Check[] = [
  {
    tool: 'take_heapsnapshot',
    async run(bench) {
      await open(bench);
      const count = await leak(bench);
      const answer = await bench.call('take_heapsnapshot');
      assert.equal(answer.data['detachedNodes'], count);
      rowWith(answer, 'detached', { name: '<article>', count });
      assertIncludes(answer.text, `<article> × ${count}`);
      const raw = gunzipSync(await bench.readLink(answer, '.heapsnapshot.gz')).toString('utf8');
      assertIncludes(raw.slice(0, 4_000), `"node_count":${String(answer.data['objects'])}`);
      return `${count} detached elements among ${String(answer.data['objects'])} objects`;
    },
  },
  {
    tool: 'get_heapsnapshot_summary',
    async run(bench) {
      await open(bench);
      const count = await leak(bench);
      const { data } = await bench.call('take_heapsnapshot');
      const { uri } = data;
      const answer = await bench.call('get_heapsnapshot_summary', { uri, filter: 'LeakedNote' });
      const row = rowWith(answer, 'classes', { name: 'LeakedNote', count });
      assert.ok(Number(row['bytes']) >= 8 * count);
      assertIncludes(answer.text, `LeakedNote × ${count}`);
      assertIncludes(await bench.expectError('get_heapsnapshot_summary', { uri: 'greenroom://none' }), String(uri));
      return `${count} of a constructor`;
    },
  },
  {
    tool: 'compare_heapsnapshots',
    async run(bench) {
      await open(bench);
      const before = await leak(bench);
      const base = await bench.call('take_heapsnapshot');
      const count = await leak(bench);
      const current = await bench.call('take_heapsnapshot');
      const answer = await bench.call('compare_heapsnapshots', { limit: 200 });
      assert.equal(answer.data['base'], base.data['uri']);
      assert.equal(answer.data['current'], current.data['uri']);
      rowWith(answer, 'grown', { name: 'LeakedNote', count });
      rowWith(answer, 'detached', { name: '<article>', count });
      assertIncludes(answer.text, `LeakedNote +${count}`);
      return `${count} more after ${before}`;
    },
  },
];
