import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertIncludes, rowsOf, rowWith, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { installSample, writeExtension } from './extensionChecks.js';

/** Provokes the sample's planted bug in its worker. */
async function provokeError(context: CheckContext): Promise<void> {
  const args = { extensionId, message: { type: 'notes.measure' }, from: 'content_script' };
  const { data } = await context.call('send_extension_message', args);
  assertIncludes(data['reply'], "reading 'text'");
}

async function installWithPage(context: CheckContext): Promise<void> {
  await installSample(context);
  await context.call('navigate_page', { url: `${context.pages}/extension-notes.html` });
}

export const extensionDiagnosisChecks: readonly Check[] = [
  {
    tool: 'list_request_rules',
    async run(context) {
      const word = randomUUID();
      const made = await writeExtension(context, {
        permissions: ['declarativeNetRequest'],
        declarative_net_request: { rule_resources: [{ id: 'list', enabled: true, path: 'rules.json' }] },
      });
      const condition = { urlFilter: word, resourceTypes: ['script'] };
      await writeFile(join(made.path, 'rules.json'), JSON.stringify([{ id: 4, action: { type: 'block' }, condition }]));
      const { data: installed } = await context.call('install_extension', { path: made.path });
      const only = { extensionId: installed['id'] };
      const listed = await context.call('list_request_rules', only);
      const row = rowWith(listed, 'rules', { ruleset: 'list', id: 4 });
      assert.equal(row['at'], 'rules.json:1 [0]');
      const url = `https://example.com/${word}.js`;
      const { data, text } = await context.call('list_request_rules', { ...only, url });
      assertIncludes(text, `As script: rule 4 of ruleset list (rules.json:1 [0]) of extension "${made.name}"`);
      assert.equal((data['outcomes'] as unknown[]).length, 1);
      return 'a rule of a file, and what it would block';
    },
  },
  {
    tool: 'get_extension_runtime_errors',
    async run(context) {
      await installWithPage(context);
      await provokeError(context);
      const word = randomUUID();
      const thrown = `void setTimeout(() => { throw new Error("${word}"); })`;
      await context.call('evaluate_in_extension', { extensionId, expression: thrown, target: 'content_script' });
      const answer = await context.eventually(
        () => context.call('get_extension_runtime_errors', { extensionId }),
        ({ text }) =>
          assertIncludes(text, `[content_script ${context.pages}/extension-notes.html] Uncaught Error: ${word}`),
      );
      const error = rowsOf(answer, 'errors').find(({ message }) => String(message).includes("reading 'text'"));
      assertIncludes(error?.['url'], '/worker.js');
      assert.equal(error?.['line'], 9);
      assert.equal(error['context'], 'service_worker');
      assertIncludes(JSON.stringify(error['stack']), 'notes.measure');
      assertIncludes(answer.text, 'worker.js:9');
      return 'the planted bug, with its line and stack, and one of a content script';
    },
  },
  {
    tool: 'clear_extension_errors',
    async run(context) {
      await installWithPage(context);
      await provokeError(context);
      const { data } = await context.call('clear_extension_errors', { extensionId });
      assert.ok(Number(data['cleared']) >= 1, 'it had an error');
      const none = await context.call('get_extension_runtime_errors', { extensionId });
      assert.deepEqual(none.data['errors'], []);
      await provokeError(context);
      const again = await context.call('get_extension_runtime_errors', { extensionId });
      assert.equal(rowsOf(again, 'errors').length, 1);
      return 'an error, none, and a new one';
    },
  },
  {
    tool: 'inspect_extension_manifest',
    async run(context) {
      await installSample(context);
      const sample = await context.call('inspect_extension_manifest', { extensionId });
      assert.deepEqual(
        rowsOf(sample, 'findings').filter(({ severity }) => severity !== 'advice'),
        [],
      );
      assertIncludes(sample.data['manifest'], 'Page Notes');
      const { path } = await writeExtension(context, {
        permissions: ['bookmarks'],
        host_permissions: ['*://*/*'],
        background: { service_worker: 'worker.js' },
      });
      await writeFile(join(path, 'worker.js'), '\nlocalStorage.clear();');
      const { data } = await context.call('install_extension', { path });
      const made = await context.call('inspect_extension_manifest', { extensionId: data['id'] });
      rowWith(made, 'findings', {
        at: 'worker.js:2',
        severity: 'breaks',
        problem: 'A service worker has no localStorage: this throws.',
      });
      rowWith(made, 'findings', {
        problem: '"bookmarks" is not used by any code of the extension.',
        severity: 'advice',
      });
      assertIncludes(made.text, 'host_permissions[0]: "*://*/*" takes in every site');
      assertIncludes(made.text, 'Fix: Remove "bookmarks"');
      return 'an unused permission, every host, and code that cannot work';
    },
  },
  {
    tool: 'check_content_script_injection',
    async run(context) {
      await installWithPage(context);
      const here = await context.call('check_content_script_injection', { extensionId });
      const row = rowWith(here, 'scripts', { name: 'content_scripts[0]', expected: true, runAt: 'document_end' });
      assert.deepEqual(row['running'], ['content.js']);
      const word = randomUUID();
      const url = `https://127.0.0.1/${word}`;
      const there = await context.call('check_content_script_injection', { extensionId, url });
      assertIncludes(JSON.stringify(rowWith(there, 'scripts', { expected: false })), 'the scheme differs');
      assertIncludes(there.text, word);
      return 'one that runs, and why it would not elsewhere';
    },
  },
];
