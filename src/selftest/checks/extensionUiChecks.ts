import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { assertIncludes, rowWith, type ToolReply, type CheckContext, type Check } from '../checkContext.js';
import { sampleExtensionId as extensionId } from '../pageServer.js';
import { installSample, writeExtension } from './extensionChecks.js';

const selectedId = async (context: CheckContext): Promise<unknown> =>
  rowWith(await context.call('list_pages'), 'pages', { selected: true })['id'];

async function openPopup(context: CheckContext): Promise<ToolReply> {
  await installSample(context);
  await context.navigate(`${context.pages}/extension-notes.html`);
  return context.call('open_extension_popup', { extensionId });
}

/** Resolves when the page has the title, or after a timeout. */
const titleWithin = (title: string, ms: number): string =>
  `new Promise((resolve) => {
    const end = Date.now() + ${ms};
    const look = () => document.title === '${title}' || Date.now() > end ? resolve() : setTimeout(look, 10);
    look();
  })`;

export const extensionUiChecks: readonly Check[] = [
  {
    tool: 'trigger_extension_action',
    async run(context) {
      const made = await writeExtension(context, {
        action: {},
        permissions: ['activeTab', 'scripting'],
        background: { service_worker: 'worker.js' },
      });
      const word = randomUUID();
      const inject = `chrome.scripting.executeScript({ target: { tabId: tab.id }, func: () => { document.title = '${word}'; } })`;
      await writeFile(join(made.path, 'worker.js'), `chrome.action.onClicked.addListener((tab) => ${inject});`);
      const { data } = await context.call('install_extension', { path: made.path });
      await context.openControls();
      // A starting worker has no listener yet, and Chrome drops the click.
      for (let attempt = 0; attempt < 5 && (await context.evaluate('document.title')) !== word; attempt += 1) {
        const clicked = await context.call('trigger_extension_action', { extensionId: data['id'] });
        assert.equal(clicked.data['popup'], false);
        assertIncludes(clicked.text, made.name);
        await context.evaluate(titleWithin(word, 3_000));
      }
      assert.equal(await context.evaluate('document.title'), word);
      return 'the click reached the worker, which changed the page';
    },
  },
  {
    tool: 'fire_extension_event',
    async run(context) {
      const word = randomUUID();
      const made = await writeExtension(context, {
        permissions: ['alarms'],
        commands: { note: { suggested_key: { default: 'Ctrl+Shift+Y' }, description: 'Take a note' } },
        background: { service_worker: 'worker.js' },
      });
      const worker = `chrome.commands.onCommand.addListener((name) => console.log('${word}', name));
        chrome.alarms.onAlarm.addListener(({ name }) => console.log('${word}', name));
        chrome.alarms.create('hourly', { periodInMinutes: 60 });`;
      await writeFile(join(made.path, 'worker.js'), worker);
      const { data } = await context.call('install_extension', { path: made.path });
      const fire = (args: object) => context.call('fire_extension_event', { extensionId: data['id'], ...args });
      const listed = await fire({});
      assertIncludes(listed.text, 'commands.onCommand note (Ctrl+Shift+Y)');
      assertIncludes(listed.text, 'alarms.onAlarm hourly');
      assertIncludes((await fire({ event: 'commands.onCommand', subject: 'note' })).text, `${word} note`);
      const alarm = await fire({ event: 'alarms.onAlarm', subject: 'hourly' });
      assertIncludes(alarm.text, `${word} hourly`);
      assert.equal(alarm.data['by'], 'chrome');
      return 'a command reached the worker, and an alarm through Chrome';
    },
  },
  {
    tool: 'open_extension_popup',
    async run(context) {
      const { text, data } = await openPopup(context);
      assert.equal(data['url'], `chrome-extension://${extensionId}/popup.html`);
      assertIncludes(text, `page ${String(data['pageId'])}`);
      assert.equal(await selectedId(context), data['pageId']);
      const note = `note ${randomUUID()}`;
      await context.call('fill', { uid: await context.uidOf('textbox', 'New note'), value: note });
      await context.call('click', { uid: await context.uidOf('button', 'Add') });
      await context.call('wait_for', { text: [note] });
      await context.call('close_extension_popup', { extensionId });
      const { notes } = await stored(context);
      assertIncludes(JSON.stringify(notes), note);
      return 'a note was written in the popup';
    },
  },
  {
    tool: 'close_extension_popup',
    async run(context) {
      await context.openControls();
      const below = await selectedId(context);
      const popup = await openPopup(context);
      const { data } = await context.call('close_extension_popup', { extensionId });
      assert.deepEqual(data, { closed: 1, selectedPageId: below });
      assert.equal(await selectedId(context), below);
      const { text } = await context.call('list_pages');
      assert.ok(!text.includes(String(popup.data['url'])), `the popup is gone from: ${text}`);
      assert.equal((await context.call('close_extension_popup', { extensionId })).data['closed'], 0);
      return `closed; page ${String(below)} is selected again`;
    },
  },
  {
    tool: 'open_extension_page',
    async run(context) {
      await installSample(context);
      const label = randomUUID().slice(0, 8);
      await context.call('set_extension_storage', { extensionId, area: 'sync', set: { label } });
      const { data } = await context.call('open_extension_page', { extensionId });
      assert.equal(await selectedId(context), data['pageId']);
      await context.evaluate(
        `new Promise((resolve) => { const look = () => document.querySelector('#label').value === '${label}' ? resolve() : setTimeout(look, 10); look(); })`,
      );
      await context.call('close_page', { pageId: data['pageId'] });
      const panel = await context.call('open_extension_page', { extensionId, page: 'side_panel' });
      assert.equal(await context.evaluate('document.title'), 'Page Notes: side panel');
      await context.call('close_page', { pageId: panel.data['pageId'] });
      return 'the options with what is stored, and the side panel';
    },
  },
];

async function stored(context: CheckContext): Promise<Record<string, unknown>> {
  const { data } = await context.call('evaluate_in_extension', {
    extensionId,
    target: 'service_worker',
    expression: 'chrome.storage.local.get()',
  });
  return JSON.parse(String(data['result'])) as Record<string, unknown>;
}
