import assert from 'node:assert/strict';
import { randomInt, randomUUID } from 'node:crypto';
import { assertIncludes, rowsOf, rowWith, type CheckContext, type Check } from '../checkContext.js';

const location = (context: CheckContext): Promise<unknown> => context.evaluate('location.href');

const selectedId = async (context: CheckContext): Promise<unknown> =>
  rowWith(await context.call('list_pages'), 'pages', { selected: true })['id'];

/** Opens a second page, runs `use`, closes it and selects the first again. */
async function withSecondPage(
  context: CheckContext,
  use: (first: unknown, second: unknown) => Promise<void>,
): Promise<void> {
  const first = await selectedId(context);
  const { data, text } = await context.call('new_page', { url: `${context.pages}/selftest.html?nonce=second` });
  assertIncludes(text, String(data['pageId']));
  await use(first, data['pageId']);
  await context.call('close_page', { pageId: data['pageId'] });
  await context.call('select_page', { pageId: first });
}

export const pageChecks: readonly Check[] = [
  {
    tool: 'list_pages',
    async run(context) {
      const nonce = await context.openControls();
      const answer = await context.call('list_pages');
      const row = rowWith(answer, 'pages', { selected: true });
      assert.equal(row['url'], `${context.pages}/selftest.html?nonce=${nonce}`);
      assert.equal(row['title'], `Selftest ${nonce}`);
      assertIncludes(answer.text, nonce);
      return `${rowsOf(answer, 'pages').length} open, "${row['title']}" selected`;
    },
  },
  {
    tool: 'select_page',
    async run(context) {
      const nonce = await context.openControls();
      await withSecondPage(context, async (first) => {
        assertIncludes(await location(context), 'nonce=second');
        const answer = await context.call('select_page', { pageId: first });
        const row = rowWith(answer, 'pages', { selected: true });
        assert.equal(row['id'], first);
        assertIncludes(row['url'], nonce);
        assertIncludes(answer.text, nonce);
        assertIncludes(await location(context), nonce);
      });
      return 'tools follow the selection';
    },
  },
  {
    tool: 'new_page',
    async run(context) {
      await context.openControls();
      await withSecondPage(context, async (first, second) => {
        assert.notEqual(second, first);
        assert.equal(await selectedId(context), second);
        assertIncludes(await location(context), 'nonce=second');
      });
      return 'a page with an id of its own, selected';
    },
  },
  {
    tool: 'close_page',
    async run(context) {
      await context.openControls();
      const { data } = await context.call('new_page', { url: `${context.pages}/selftest.html`, background: true });
      const before = rowsOf(await context.call('list_pages'), 'pages');
      const answer = await context.call('close_page', { pageId: data['pageId'] });
      const left = before.filter(({ id }) => id !== data['pageId']);
      assert.equal(left.length, before.length - 1);
      assert.deepEqual(answer.data['pages'], left);
      assertIncludes(answer.text, `page ${String(data['pageId'])}`);
      assert.deepEqual((await context.call('list_pages')).data['pages'], left);
      return `page ${String(data['pageId'])} is gone`;
    },
  },
  {
    tool: 'navigate_page',
    async run(context) {
      const nonce = await context.openControls();
      assertIncludes(await location(context), nonce);
      const { text, data } = await context.navigate(`${context.pages}/extension-notes.html`);
      assert.equal(data['url'], `${context.pages}/extension-notes.html`);
      assertIncludes(text, 'extension-notes.html');
      await context.evaluate('void (document.title = "changed")');
      await context.call('navigate_page', { reload: true });
      assert.equal(await context.evaluate('document.title'), 'A page with notes');
      return 'two addresses and a reload';
    },
  },
  {
    tool: 'navigate_page_history',
    async run(context) {
      const first = await context.openControls();
      const second = await context.openControls();
      const back = await context.call('navigate_page_history', { navigate: 'back' });
      assertIncludes(back.data['url'], first);
      assertIncludes(await location(context), first);
      const forward = await context.call('navigate_page_history', { navigate: 'forward' });
      assertIncludes(forward.text, second);
      assertIncludes(await location(context), second);
      return 'back and forward';
    },
  },
  {
    tool: 'list_downloads',
    async run(context) {
      const nonce = await context.openControls();
      await context.evaluate(
        `Object.assign(document.createElement('a'), { href: 'data:text/plain,${nonce}', download: '${nonce}.txt' }).click()`,
      );
      // A busy browser reports the download some time after the click.
      await context.eventually(
        () => context.call('list_downloads', { timeout: 10_000 }),
        (listed) => assert.equal(rowWith(listed, 'downloads', { name: `${nonce}.txt` })['state'], 'completed'),
      );
      return `${nonce}.txt, completed`;
    },
  },
  {
    tool: 'set_credentials',
    async run(context) {
      await context.openControls();
      const read = `fetch('/private').then((answer) => answer.text())`;
      const { text } = await context.call('set_credentials', {
        origin: context.pages,
        username: 'ada',
        password: 'engine',
      });
      assert.ok(!text.includes('engine'));
      assert.equal(await context.evaluate(read), 'private');
      await context.call('set_credentials', { origin: context.pages, username: '', password: '' });
      return 'a server that asks for them let the page in';
    },
  },
  {
    tool: 'resize_page',
    async run(context) {
      await context.openControls();
      const size = (): Promise<unknown> => context.evaluate('[innerWidth, innerHeight]');
      for (const [width, height] of [
        [1011, 707],
        [1280, 800],
      ]) {
        const { text, data } = await context.call('resize_page', { width, height });
        assert.deepEqual(data, { width, height });
        assert.deepEqual(await size(), [width, height]);
        assertIncludes(text, String(width));
      }
      return '1011 × 707, then 1280 × 800';
    },
  },
  {
    tool: 'wait_for',
    async run(context) {
      const nonce = await context.openControls();
      await context.evaluate('void document.querySelector("#later").click()');
      const { text, data } = await context.call('wait_for', { text: ['never there', `later ${nonce}`] });
      assert.equal(data['found'], `later ${nonce}`);
      assertIncludes(text, nonce);
      assert.equal(await context.status(), `later ${nonce}`);
      assertIncludes(await context.expectError('wait_for', { text: ['never there'], timeout: 50 }), 'never there');
      return 'a text that came later, and one that never came';
    },
  },
  {
    tool: 'handle_dialog',
    async run(context) {
      const nonce = await context.openControls();
      const clicked = await context.call('click', { uid: await context.uidOf('button', 'Ask') });
      assertIncludes(clicked.text, 'What is it?');
      const accepted = await context.call('handle_dialog', { action: 'accept', promptText: 'a stone' });
      assertIncludes(accepted.text, 'Accepted the prompt');
      assertIncludes(accepted.data['url'], nonce);
      assert.equal(await context.status(), `answered a stone ${nonce}`);
      await context.call('click', { uid: await context.uidOf('button', 'Ask') });
      const dismissed = await context.call('handle_dialog', { action: 'dismiss' });
      assertIncludes(dismissed.text, 'Dismissed the prompt');
      assert.equal(await context.status(), `answered null ${nonce}`);
      return 'a prompt answered, and one dismissed';
    },
  },
  {
    tool: 'add_init_script',
    async run(context) {
      const word = randomUUID();
      const { data } = await context.call('add_init_script', { script: `window.early = '${word}'` });
      await context.openControls();
      assert.equal(await context.evaluate('early'), word);
      const [id] = data['scripts'] as string[];
      assertIncludes((await context.call('add_init_script', { remove: id })).text, `Removed ${id}`);
      await context.openControls();
      assert.equal(await context.evaluate('typeof early'), 'undefined');
      return 'ran before the page until it was removed';
    },
  },
  {
    tool: 'list_page_tools',
    async run(context) {
      await context.openControls();
      const word = randomUUID();
      await context.evaluate(offerTool(word));
      assertIncludes((await context.call('list_page_tools')).text, `twice: "Doubles ${word}"`);
      return 'a tool that the page offers';
    },
  },
  {
    tool: 'call_page_tool',
    async run(context) {
      await context.openControls();
      await context.evaluate(offerTool('a number'));
      const n = randomInt(1_000_000);
      const { data } = await context.call('call_page_tool', { name: 'twice', arguments: { n } });
      assert.equal(data['result'], String(2 * n));
      return `answered ${2 * n}`;
    },
  },
];

const offerTool = (what: string): string => `void document.modelContext.registerTool({
  name: 'twice', description: 'Doubles ${what}', execute: ({ n }) => 2 * n })`;
