import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowsOf, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { evaluateInSample, installSample } from './extensionChecks.js';

const openNotes = (context: CheckContext): Promise<ToolReply> =>
  context.navigate(`${context.pages}/extension-notes.html`);

const addNote = (text: string): string =>
  `chrome.runtime.sendMessage({ type: 'notes.add', url: location.href, text: '${text}' })`;

export const extensionActivityChecks: readonly Check[] = [
  {
    tool: 'get_extension_flow',
    async run(context) {
      await installSample(context);
      const message = { type: 'none', word: randomUUID() };
      await context.call('send_extension_message', { extensionId, message });
      const received = `send_extension_message -> service_worker: runtime.onMessage ${JSON.stringify(message)}`;
      await context.eventually(
        () => context.call('get_extension_flow', { extensionId }),
        ({ text }) => assertIncludes(text, received),
      );
      const drawn = await context.call('get_extension_flow', { extensionId, format: 'mermaid' });
      assertIncludes(drawn.data['mermaid'], `sequenceDiagram`);
      assertIncludes(drawn.data['mermaid'], message.word);
      return 'a message as text and as a diagram';
    },
  },
  {
    tool: 'watch_extension_storage',
    async run(context) {
      await installSample(context);
      const watch = (more: object = {}): Promise<ToolReply> =>
        context.call('watch_extension_storage', { extensionId, ...more });
      const { data } = await watch();
      const since = data['cursor'];
      const [first, second] = [randomUUID(), randomUUID()];
      await evaluateInSample(context, `chrome.storage.local.set({ word: '${first}' })`).catch(() => undefined);
      await context.call('stop_extension_service_worker', { extensionId });
      await openNotes(context);
      const code = `chrome.storage.local.set({ word: '${second}' }).then(() => 1)`;
      await evaluateInSample(context, code, { target: 'content_script' });
      const seen = await context.eventually(
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
    async run(context) {
      await installSample(context);
      await openNotes(context);
      const word = randomUUID();
      await evaluateInSample(context, addNote(word), { target: 'content_script' });
      const answer = await context.eventually(
        () => context.call('monitor_extension_messages', { extensionId, text: word }),
        (seen) => assertIncludes(rowsOf(seen, 'messages').at(-1)?.['reply'], word),
      );
      const message = rowsOf(answer, 'messages').find(({ payload }) => String(payload).includes(word));
      assert.equal(message?.['api'], 'runtime.sendMessage');
      assert.equal(message['from'], `content_script ${context.pages}/extension-notes.html`);
      assertIncludes(message['payload'], 'notes.add');
      const atLoad = await context.call('monitor_extension_messages', { extensionId, text: 'notes.list' });
      assertIncludes(JSON.stringify(atLoad.data['messages']), '/extension-notes.html');
      const cursor = answer.data['cursor'];
      // The content script requests the notes again when they change, and gets the word.
      const text = `"text":"${word}"`;
      const nothing = await context.call('monitor_extension_messages', { extensionId, text, since: cursor });
      assert.deepEqual(nothing.data['messages'], []);
      return 'message and reply, also those of the page load';
    },
  },
  {
    tool: 'send_extension_message',
    async run(context) {
      await installSample(context);
      await openNotes(context);
      const word = randomUUID();
      const url = `${context.pages}/${word}`;
      const send = (message: object, more: object = {}): Promise<ToolReply> =>
        context.call('send_extension_message', { extensionId, message, ...more });
      await send({ type: 'notes.add', url, text: word });
      const { data, text } = await send({ type: 'notes.list', url }, { from: 'content_script' });
      assertIncludes(data['reply'], `"notes":["${word}"]`);
      assertIncludes(text, word);
      const refused = await context.expectError('send_extension_message', {
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
    async run(context) {
      await installSample(context);
      const trace = (more: object): Promise<ToolReply> =>
        context.call('trace_extension_api_calls', { extensionId, ...more });
      const word = randomUUID();
      await trace({ action: 'start', filter: 'storage.' });
      await evaluateInSample(context, `chrome.storage.local.get('${word}')`);
      await evaluateInSample(context, 'chrome.runtime.getPlatformInfo()');
      const answer = await context.eventually(
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
    async run(context) {
      await installSample(context);
      await openNotes(context);
      const [inWorker, inPage] = [randomUUID(), randomUUID()];
      await context.call('activate_extension_service_worker', { extensionId });
      await evaluateInSample(context, `{ console.warn('${inWorker}', { deep: 42 }); 1 }`);
      await evaluateInSample(context, `{ console.error('${inPage}'); 1 }`, { target: 'content_script' });
      const answer = await context.eventually(
        () => context.call('get_extension_logs', { extensionId }),
        (seen) => rowWith(seen, 'entries', { text: inPage, level: 'error' }),
      );
      const row = rowWith(answer, 'entries', { text: `${inWorker} {deep: 42}`, level: 'warning' });
      assert.equal(row['context'], 'service_worker');
      assertIncludes(answer.text, 'worker started');
      const some = await context.call('get_extension_logs', { extensionId, context: 'content_script', level: 'error' });
      assert.ok(!some.text.includes(inWorker), 'the filter leaves others out');
      return 'worker and content script in one timeline';
    },
  },
];
