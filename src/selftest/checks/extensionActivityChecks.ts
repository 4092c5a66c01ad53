import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowsOf, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { evaluateInSample, installSample } from './extensionChecks.js';

const openNotes = (bench: CheckContext): Promise<ToolReply> =>
  bench.call('navigate_page', { url: `${bench.pages}/extension-notes.html` });

const addNote = (text: string): string =>
  `chrome.runtime.sendMessage({ type: 'notes.add', url: location.href, text: '${text}' })`;

export const extensionActivityChecks: readonly Check[] = [
  {
    tool: 'watch_extension_storage',
    async run(bench) {
      await installSample(bench);
      const watch = (more: object = {}): Promise<ToolReply> =>
        bench.call('watch_extension_storage', { extensionId, ...more });
      const { data } = await watch();
      const since = data['cursor'];
      const [first, second] = [randomUUID(), randomUUID()];
      await evaluateInSample(bench, `chrome.storage.local.set({ word: '${first}' })`).catch(() => undefined);
      await bench.call('stop_extension_service_worker', { extensionId });
      await openNotes(bench);
      const code = `chrome.storage.local.set({ word: '${second}' }).then(() => 1)`;
      await evaluateInSample(bench, code, { target: 'content_script' });
      const seen = await bench.eventually(
        () => watch({ since, area: 'local' }),
        (answer) => rowWith(answer, 'changes', { key: 'word', oldValue: `"${first}"`, newValue: `"${second}"` }),
      );
      assertIncludes(seen.text, second);
      const other = await watch({ since, area: 'sync' });
      assert.deepEqual(other.data['changes'], []);
      return 'a value before and after, written past a sleeping worker';
    },
  },
  {
    tool: 'monitor_extension_messages',
    async run(bench) {
      await installSample(bench);
      await openNotes(bench);
      const word = randomUUID();
      await evaluateInSample(bench, addNote(word), { target: 'content_script' });
      const answer = await bench.eventually(
        () => bench.call('monitor_extension_messages', { extensionId, text: word }),
        (seen) => assertIncludes(rowsOf(seen, 'messages').at(-1)?.['reply'], word),
      );
      const message = rowsOf(answer, 'messages').find(({ payload }) => String(payload).includes(word));
      assert.equal(message?.['api'], 'runtime.sendMessage');
      assert.equal(message['from'], `content_script ${bench.pages}/extension-notes.html`);
      assertIncludes(message['payload'], 'notes.add');
      const atLoad = await bench.call('monitor_extension_messages', { extensionId, text: 'notes.list' });
      assertIncludes(JSON.stringify(atLoad.data['messages']), '/extension-notes.html');
      const cursor = answer.data['cursor'];
      // The content script requests the notes again when they change, and gets the word.
      const text = `"text":"${word}"`;
      const nothing = await bench.call('monitor_extension_messages', { extensionId, text, since: cursor });
      assert.deepEqual(nothing.data['messages'], []);
      return 'message and reply, also those of the page load';
    },
  },
  {
    tool: 'send_extension_message',
    async run(bench) {
      await installSample(bench);
      await openNotes(bench);
      const word = randomUUID();
      const url = `${bench.pages}/${word}`;
      const send = (message: object, more: object = {}): Promise<ToolReply> =>
        bench.call('send_extension_message', { extensionId, message, ...more });
      await send({ type: 'notes.add', url, text: word });
      const { data, text } = await send({ type: 'notes.list', url }, { from: 'content_script' });
      assertIncludes(data['reply'], `"notes":["${word}"]`);
      assertIncludes(text, word);
      const refused = await bench.expectError('send_extension_message', {
        extensionId,
        message: {},
        from: 'offscreen',
      });
      assertIncludes(refused, 'offscreen');
      return 'a note sent and, from a content script, read again';
    },
  },
  {
    tool: 'trace_extension_api_calls',
    async run(bench) {
      await installSample(bench);
      const trace = (more: object): Promise<ToolReply> =>
        bench.call('trace_extension_api_calls', { extensionId, ...more });
      const word = randomUUID();
      await trace({ action: 'start', filter: 'storage.' });
      await evaluateInSample(bench, `chrome.storage.local.get('${word}')`);
      await evaluateInSample(bench, 'chrome.runtime.getPlatformInfo()');
      const answer = await bench.eventually(
        () => trace({}),
        (seen) => rowWith(seen, 'calls', { args: `"${word}"`, result: '{}', context: 'service_worker' }),
      );
      assertIncludes(answer.text, `chrome.storage.local.get("${word}") = {}`);
      const stopped = await trace({ action: 'stop' });
      assert.equal(stopped.data['tracing'], false);
      assert.ok(!stopped.text.includes('getPlatformInfo'), 'the filter leaves others out');
      return 'a call of the worker, with its result';
    },
  },
  {
    tool: 'get_extension_logs',
    async run(bench) {
      await installSample(bench);
      await openNotes(bench);
      const [inWorker, inPage] = [randomUUID(), randomUUID()];
      await bench.call('activate_extension_service_worker', { extensionId });
      await evaluateInSample(bench, `{ console.warn('${inWorker}', { deep: 42 }); 1 }`);
      await evaluateInSample(bench, `{ console.error('${inPage}'); 1 }`, { target: 'content_script' });
      const answer = await bench.eventually(
        () => bench.call('get_extension_logs', { extensionId }),
        (seen) => rowWith(seen, 'entries', { text: inPage, level: 'error' }),
      );
      const row = rowWith(answer, 'entries', { text: `${inWorker} {deep: 42}`, level: 'warning' });
      assert.equal(row['context'], 'service_worker');
      assertIncludes(answer.text, 'worker started');
      const some = await bench.call('get_extension_logs', { extensionId, context: 'content_script', level: 'error' });
      assert.ok(!some.text.includes(inWorker), 'the filter leaves others out');
      return 'worker and content script in one timeline';
    },
  },
];
