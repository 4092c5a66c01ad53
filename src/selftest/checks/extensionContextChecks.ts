import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { installSample } from './extensionChecks.js';

const list = (bench: CheckContext): Promise<ToolReply> => bench.call('list_extension_contexts', { extensionId });

const word = async (bench: CheckContext, more: object = {}): Promise<unknown> => {
  const { data } = await bench.call('evaluate_in_extension', { expression: 'globalThis.word ?? "none"', ...more });
  return JSON.parse(String(data['result']));
};

const setWord = async (bench: CheckContext, value: string, more: object = {}): Promise<void> => {
  await bench.call('evaluate_in_extension', { expression: `void (globalThis.word = "${value}")`, ...more });
};

const openNotes = (bench: CheckContext): Promise<ToolReply> =>
  bench.call('navigate_page', { url: `${bench.pages}/extension-notes.html` });

export const extensionContextChecks: readonly Check[] = [
  {
    tool: 'list_extension_contexts',
    async run(bench) {
      await installSample(bench);
      await openNotes(bench);
      const url = `${bench.pages}/extension-notes.html`;
      const script = rowWith(await list(bench), 'contexts', { kind: 'content_script', url });
      assert.equal(script['title'], 'A page with notes');
      const { data } = await bench.call('open_extension_page', { extensionId, page: 'options' });
      const answer = await list(bench);
      const options = rowWith(answer, 'contexts', { kind: 'options', pageId: data['pageId'] });
      assert.equal(options['url'], `chrome-extension://${extensionId}/options.html`);
      assert.equal(rowWith(answer, 'contexts', { kind: 'service_worker' })['state'], 'running');
      assertIncludes(answer.text, 'Page Notes: options');
      await bench.call('close_page', { pageId: data['pageId'] });
      return 'the worker, the options in a tab, a content script';
    },
  },
  {
    tool: 'switch_extension_context',
    async run(bench) {
      await installSample(bench);
      await openNotes(bench);
      const [inWorker, inPage] = [randomUUID(), randomUUID()];
      const script = rowWith(await list(bench), 'contexts', { kind: 'content_script' });
      const { text } = await bench.call('switch_extension_context', { contextId: script['contextId'] });
      assertIncludes(text, String(script['contextId']));
      await setWord(bench, inPage);
      await setWord(bench, inWorker, { extensionId, target: 'service_worker' });
      assert.equal(await word(bench), inPage);
      await bench.call('switch_extension_context', { contextId: `worker:${extensionId}` });
      assert.equal(await word(bench), inWorker);
      assertIncludes(
        await bench.expectError('switch_extension_context', { contextId: 'none' }),
        'list_extension_contexts',
      );
      return 'evaluating followed into the content script and the worker';
    },
  },
  {
    tool: 'stop_extension_service_worker',
    async run(bench) {
      await installSample(bench);
      const worker = { extensionId, target: 'service_worker' };
      await setWord(bench, randomUUID(), worker);
      const { data } = await bench.call('stop_extension_service_worker', { extensionId });
      assert.deepEqual(data, { extensionId, before: 'running', state: 'stopped' });
      const row = rowWith(await bench.call('list_extensions'), 'extensions', { id: extensionId });
      assert.equal(row['serviceWorker'], 'stopped');
      await bench.call('activate_extension_service_worker', { extensionId });
      assert.equal(await word(bench, worker), 'none');
      return 'stopped; started again, its variables were gone';
    },
  },
  {
    tool: 'get_extension_service_worker_status',
    async run(bench) {
      await installSample(bench);
      await bench.call('stop_extension_service_worker', { extensionId });
      const status = (): Promise<ToolReply> => bench.call('get_extension_service_worker_status', { extensionId });
      assert.equal((await status()).data['state'], 'stopped');
      assert.equal((await status()).data['state'], 'stopped');
      await bench.call('activate_extension_service_worker', { extensionId });
      const { text, data } = await status();
      assert.equal(data['script'], `chrome-extension://${extensionId}/worker.js`);
      const origin = { extensionId, target: 'service_worker', expression: 'performance.timeOrigin' };
      const { data: told } = await bench.call('evaluate_in_extension', origin);
      const startedAt = new Date(Number(told['result'])).toISOString();
      assert.equal(data['startedAt'], startedAt);
      assertIncludes(text, startedAt);
      return `stopped, and not woken by asking; running since ${startedAt}`;
    },
  },
];
