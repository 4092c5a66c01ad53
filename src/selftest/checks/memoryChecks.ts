import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { assertIncludes, rowWith, type CheckContext, type Check } from '../checkContext.js';

/** In a new process: the heap of the old one has what earlier pages left there. */
async function open(context: CheckContext): Promise<void> {
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
      await open(context);
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
      await open(context);
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
      await open(context);
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
      await open(context);
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
