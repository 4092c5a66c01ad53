import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertIncludes, rowWith, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { evaluateInSample, installSample } from './extensionChecks.js';

export const storageChecks: readonly Check[] = [
  {
    tool: 'inspect_page_storage',
    async run(context) {
      await context.openControls();
      const [word, secret] = [randomUUID(), randomUUID()];
      await context.evaluate(
        // Read back: a cookie is stored asynchronously.
        `{ localStorage.word = "${word}"; sessionStorage.step = "${word}"; document.cookie = "authToken=${secret}"; document.cookie }`,
      );
      const hidden = await context.call('inspect_page_storage');
      assert.equal(hidden.data['origin'], context.pages);
      rowWith(hidden, 'items', { area: 'local', name: 'word', value: word });
      rowWith(hidden, 'items', { area: 'session', name: 'step', value: word });
      rowWith(hidden, 'items', { area: 'cookies', name: 'authToken', hidden: true, value: '' });
      assertIncludes(hidden.text, word);
      assert.ok(!JSON.stringify(hidden).includes(secret), 'a secret is shown without showSecrets');
      const shown = await context.call('inspect_page_storage', { name: 'authToken', showSecrets: true });
      assertIncludes(shown.text, secret);
      await context.call('set_page_storage', { action: 'clear' });
      return 'three areas, a secret hidden and shown';
    },
  },
  {
    tool: 'set_page_storage',
    async run(context) {
      await context.openControls();
      await context.call('set_page_storage', { action: 'clear' });
      const word = randomUUID();
      const cookie = { httpOnly: true };
      await context.call('set_page_storage', { action: 'set', area: 'local', items: { word } });
      const set = await context.call('set_page_storage', {
        action: 'set',
        area: 'cookies',
        items: { [word]: '1' },
        cookie,
      });
      assertIncludes(set.text, word);
      const echoed = 'fetch("/echo").then(async (response) => (await response.json()).headers.cookie)';
      assert.deepEqual(await context.evaluate(`[localStorage.word, document.cookie]`), [word, '']);
      assertIncludes(await context.evaluate(echoed), `${word}=1`);
      const file = join(context.folder, 'state.json');
      const saved = await context.call('set_page_storage', { action: 'save', file });
      assert.equal(saved.data['count'], 2);
      assert.ok(!(await readFile(file)).includes(word), 'what was saved can be read in the file');
      await context.call('set_page_storage', { action: 'clear' });
      assert.equal(await context.evaluate('localStorage.length'), 0);
      await context.call('set_page_storage', { action: 'restore', file });
      assert.equal(await context.evaluate('localStorage.word'), word);
      assertIncludes(await context.evaluate(echoed), `${word}=1`);
      const kept = await context.call('set_page_storage', { action: 'save' });
      assertIncludes((await context.readLink(kept, '.json')).toString('utf8'), word);
      await context.call('set_page_storage', { action: 'clear' });
      return 'set, saved, cleared, restored';
    },
  },
];

export const extensionStorageChecks: readonly Check[] = [
  {
    tool: 'inspect_extension_storage',
    async run(context) {
      await installSample(context);
      const word = randomUUID();
      for (const area of ['local', 'sync', 'session']) {
        const write = `chrome.storage.${area}.set({ word: "${area} ${word}" })`;
        await context.call('evaluate_in_extension', { extensionId, target: 'service_worker', expression: write });
      }
      await context.call('stop_extension_service_worker', { extensionId });
      for (const area of ['local', 'sync', 'session']) {
        const answer = await context.call('inspect_extension_storage', { extensionId, area, keys: ['word'] });
        assert.equal(rowWith(answer, 'entries', { key: 'word' })['value'], `"${area} ${word}"`);
        assertIncludes(answer.text, `${area} ${word}`);
      }
      const row = rowWith(await context.call('list_extensions'), 'extensions', { id: extensionId });
      assert.equal(row['serviceWorker'], 'stopped');
      return 'three areas, while the worker slept on';
    },
  },
  {
    tool: 'set_extension_storage',
    async run(context) {
      await installSample(context);
      const word = randomUUID();
      const set = { word, deep: { list: [1, null, word] } };
      const answer = await context.call('set_extension_storage', { extensionId, set, remove: ['gone'] });
      assert.equal(rowWith(answer, 'entries', { key: 'word' })['value'], `"${word}"`);
      assertIncludes(answer.text, 'gone: not set');
      const read = 'chrome.storage.local.get(["word", "deep"])';
      assert.deepEqual(await evaluateInSample(context, read, { target: 'service_worker' }), set);
      await context.call('set_extension_storage', { extensionId, remove: ['word', 'deep'] });
      assert.deepEqual(await evaluateInSample(context, read, { target: 'service_worker' }), {});
      return 'written, then removed, as the worker saw it';
    },
  },
];
