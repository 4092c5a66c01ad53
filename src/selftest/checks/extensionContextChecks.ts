import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertIncludes, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { installSample, writeExtension } from './extensionChecks.js';

const list = (context: CheckContext): Promise<ToolReply> => context.call('list_extension_contexts', { extensionId });

const word = async (context: CheckContext, more: object = {}): Promise<unknown> => {
  const { data } = await context.call('evaluate_in_extension', { expression: 'globalThis.word ?? "none"', ...more });
  return JSON.parse(String(data['result']));
};

const setWord = async (context: CheckContext, value: string, more: object = {}): Promise<void> => {
  await context.call('evaluate_in_extension', { expression: `void (globalThis.word = "${value}")`, ...more });
};

const openNotes = (context: CheckContext): Promise<ToolReply> =>
  context.call('navigate_page', { url: `${context.pages}/extension-notes.html` });

export const extensionContextChecks: readonly Check[] = [
  {
    tool: 'check_worker_sleep',
    async run(context) {
      const made = await writeExtension(context, { background: { service_worker: 'worker.js' } });
      const start = randomInt(1_000_000);
      const count = `let count = ${start}; chrome.runtime.onMessage.addListener((_, __, reply) => reply((count += 1)));`;
      await writeFile(join(made.path, 'worker.js'), count);
      const { data: installed } = await context.call('install_extension', { path: made.path });
      const steps = ['first', 'second'];
      const checked = await context.call('check_worker_sleep', { extensionId: installed['id'], steps });
      const answer = { step: 2, what: 'answer', name: '', awake: String(start + 2), asleep: String(start + 1) };
      assert.deepEqual(rowWith(checked, 'differences', { what: 'answer' }), answer);
      assertIncludes(checked.text, 'the variable count (worker.js:1) was lost');
      return 'an answer that depends on a variable';
    },
  },
  {
    tool: 'list_extension_contexts',
    async run(context) {
      await installSample(context);
      await openNotes(context);
      const url = `${context.pages}/extension-notes.html`;
      const script = rowWith(await list(context), 'contexts', { kind: 'content_script', url });
      assert.equal(script['title'], 'A page with notes');
      const { data } = await context.call('open_extension_page', { extensionId, page: 'options' });
      const answer = await list(context);
      const options = rowWith(answer, 'contexts', { kind: 'options', pageId: data['pageId'] });
      assert.equal(options['url'], `chrome-extension://${extensionId}/options.html`);
      assert.equal(rowWith(answer, 'contexts', { kind: 'service_worker' })['state'], 'running');
      assertIncludes(answer.text, 'Page Notes: options');
      await context.call('close_page', { pageId: data['pageId'] });
      return 'the worker, the options in a tab, a content script';
    },
  },
  {
    tool: 'switch_extension_context',
    async run(context) {
      await installSample(context);
      await openNotes(context);
      const [inWorker, inPage] = [randomUUID(), randomUUID()];
      const script = rowWith(await list(context), 'contexts', { kind: 'content_script' });
      const { text } = await context.call('switch_extension_context', { contextId: script['contextId'] });
      assertIncludes(text, String(script['contextId']));
      await setWord(context, inPage);
      await setWord(context, inWorker, { extensionId, target: 'service_worker' });
      assert.equal(await word(context), inPage);
      await context.call('switch_extension_context', { contextId: `worker:${extensionId}` });
      assert.equal(await word(context), inWorker);
      assertIncludes(
        await context.expectError('switch_extension_context', { contextId: 'none' }),
        'list_extension_contexts',
      );
      return 'evaluating followed into the content script and the worker';
    },
  },
  {
    tool: 'stop_extension_service_worker',
    async run(context) {
      await installSample(context);
      const worker = { extensionId, target: 'service_worker' };
      await setWord(context, randomUUID(), worker);
      const { data } = await context.call('stop_extension_service_worker', { extensionId });
      assert.deepEqual(data, { extensionId, before: 'running', state: 'stopped', lost: [] });
      const row = rowWith(await context.call('list_extensions'), 'extensions', { id: extensionId });
      assert.equal(row['serviceWorker'], 'stopped');
      await context.call('activate_extension_service_worker', { extensionId });
      assert.equal(await word(context, worker), 'none');
      return 'stopped; started again, its variables were gone';
    },
  },
  {
    tool: 'get_service_worker_status',
    async run(context) {
      await installSample(context);
      await context.call('stop_extension_service_worker', { extensionId });
      const status = (): Promise<ToolReply> => context.call('get_service_worker_status', { extensionId });
      assert.equal((await status()).data['state'], 'stopped');
      assert.equal((await status()).data['state'], 'stopped');
      await context.call('activate_extension_service_worker', { extensionId });
      const { text, data } = await status();
      assert.equal(data['script'], `chrome-extension://${extensionId}/worker.js`);
      const origin = { extensionId, target: 'service_worker', expression: 'performance.timeOrigin' };
      const { data: timeOrigin } = await context.call('evaluate_in_extension', origin);
      const startedAt = new Date(Number(timeOrigin['result'])).toISOString();
      assert.equal(data['startedAt'], startedAt);
      assertIncludes(text, startedAt);
      return `stopped, and not woken by asking; running since ${startedAt}`;
    },
  },
];
