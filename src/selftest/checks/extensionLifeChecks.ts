import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertIncludes, rowsOf, rowWith, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId } from '../pageServer.js';
import { evaluateInSample, installSample, writeExtension } from './extensionChecks.js';

interface InstalledExtension {
  readonly extensionId: string;
  readonly path: string;
  readonly name: string;
}

/** Installs an extension of this run alone, whose worker has `word`. */
async function installGenerated(context: CheckContext, word: string): Promise<InstalledExtension> {
  const made = await writeExtension(context, { background: { service_worker: 'worker.js' } });
  await writeWorker(made.path, word);
  const { data } = await context.call('install_extension', { path: made.path });
  return { ...made, extensionId: String(data['id']) };
}

const writeWorker = (path: string, word: string): Promise<void> =>
  writeFile(join(path, 'worker.js'), `globalThis.word = '${word}';`);

export const extensionLifeChecks: readonly Check[] = [
  {
    tool: 'get_extension_details',
    async run(context) {
      await installSample(context);
      const { text, data } = await context.call('get_extension_details', { extensionId: sampleExtensionId });
      assert.equal(data['name'], 'Page Notes');
      assert.deepEqual(data['pages'], ['popup', 'options', 'side_panel']);
      assert.deepEqual(data['manifestErrors'], []);
      assertIncludes(text, 'http://127.0.0.1/*');
      const made = await writeExtension(context, { permissions: ['tabs'], description: randomUUID() });
      const { data: installed } = await context.call('install_extension', { path: made.path });
      const other = await context.call('get_extension_details', { extensionId: installed['id'] });
      assert.equal(other.data['path'], made.path);
      assert.deepEqual(other.data['permissions'], ['Read your browsing history']);
      assert.equal(other.data['serviceWorker'], 'none');
      return 'permissions, hosts and pages of two extensions';
    },
  },
  {
    tool: 'reload_extension',
    async run(context) {
      const [before, after] = [randomUUID(), randomUUID()];
      const { extensionId, path } = await installGenerated(context, before);
      await writeWorker(path, after);
      assert.equal(await evaluateInSample(context, 'word', { extensionId }), before);
      const { data } = await context.call('reload_extension', { extensionId });
      assert.deepEqual(data['warnings'], []);
      assert.equal(await evaluateInSample(context, 'word', { extensionId }), after);
      await installSample(context);
      await context.navigate(`${context.pages}/extension-notes.html`);
      const stale = await context.call('reload_extension', { extensionId: sampleExtensionId });
      const row = rowWith(stale, 'staleContentScripts', { url: `${context.pages}/extension-notes.html` });
      assertIncludes(stale.text, `Page ${String(row['pageId'])}`);
      const fresh = await context.call('reload_extension', { extensionId: sampleExtensionId, reloadPages: true });
      assert.deepEqual(fresh.data['staleContentScripts'], []);
      assertIncludes(fresh.text, `Loaded page ${String(row['pageId'])} again`);
      return `the new code runs; page ${String(row['pageId'])} has the old content script`;
    },
  },
  {
    tool: 'watch_extension_folder',
    async run(context) {
      const [before, after] = [randomUUID(), randomUUID()];
      const { extensionId, path, name } = await installGenerated(context, before);
      const started = await context.call('watch_extension_folder', { extensionId });
      assert.deepEqual(started.data['reloads'], []);
      assertIncludes(started.text, path);
      await writeWorker(path, after);
      const added = `${randomUUID()}.js`;
      await writeFile(join(path, added), '');
      assert.equal(await evaluateInSample(context, 'word', { extensionId }), after);
      const reply = await context.call('watch_extension_folder', { extensionId });
      const changed = rowsOf(reply, 'reloads').flatMap((row) => row['changed'] as string[]);
      assert.deepEqual(new Set(changed), new Set(['worker.js', `+${added}`]));
      assertIncludes(reply.text, `Reloaded "${name}" 1.2.3`);
      const stopped = await context.call('watch_extension_folder', { extensionId, stop: true });
      assert.equal(stopped.data['watching'], false);
      await writeWorker(path, before);
      assert.equal(await evaluateInSample(context, 'word', { extensionId }), after);
      return `${changed.join(', ')} loaded without a call, until it was stopped`;
    },
  },
  {
    tool: 'set_extension_enabled',
    async run(context) {
      const { extensionId, name } = await installGenerated(context, 'on');
      const off = await context.call('set_extension_enabled', { extensionId, enabled: false });
      assertIncludes(off.text, name);
      const state = async (): Promise<unknown> =>
        rowWith(await context.call('list_extensions'), 'extensions', { id: extensionId })['enabled'];
      assert.equal(await state(), false);
      await context.call('set_extension_enabled', { extensionId, enabled: true });
      assert.equal(await state(), true);
      assert.equal(await evaluateInSample(context, 'word', { extensionId }), 'on');
      return 'off, then on with its worker running';
    },
  },
  {
    tool: 'set_extension_permissions',
    async run(context) {
      const made = await writeExtension(context, {
        optional_permissions: ['bookmarks'],
        background: { service_worker: 'worker.js' },
      });
      await writeFile(join(made.path, 'worker.js'), 'self.count = () => chrome.bookmarks.getTree();');
      const { data } = await context.call('install_extension', { path: made.path });
      const extensionId = String(data['id']);
      const before = await context.call('set_extension_permissions', { extensionId });
      const need = { api: 'chrome.bookmarks.getTree', at: 'worker.js:1', permission: 'bookmarks', state: 'optional' };
      assert.deepEqual(before.data['needs'], [need]);
      const granted = await context.call('set_extension_permissions', { extensionId, grant: ['bookmarks'] });
      assertIncludes(granted.text, 'Chrome granted bookmarks');
      assert.equal(await evaluateInSample(context, 'self.count().then((tree) => tree.length)', { extensionId }), 1);
      const revoked = await context.call('set_extension_permissions', { extensionId, revoke: ['bookmarks'] });
      assert.deepEqual(revoked.data['optional'], ['bookmarks']);
      return 'granted by Chrome, used, and revoked';
    },
  },
  {
    tool: 'uninstall_extension',
    async run(context) {
      const { extensionId, name } = await installGenerated(context, '');
      const { text, data } = await context.call('uninstall_extension', { extensionId });
      assertIncludes(text, name);
      const left = rowsOf(await context.call('list_extensions'), 'extensions').map(({ id }) => id);
      assert.ok(!left.includes(extensionId), 'it is gone');
      assert.deepEqual(new Set(left), new Set(data['left'] as unknown[]));
      return `"${name}" is gone, ${left.length} left`;
    },
  },
];
