import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { assertIncludes, rowWith, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { evaluateInSample, installSample } from './extensionChecks.js';

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
