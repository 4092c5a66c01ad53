import assert from 'node:assert/strict';
import { assertIncludes, rowsOf, rowWith, type CheckContext, type Check } from '../checkContext.js';

const location = (bench: CheckContext): Promise<unknown> => bench.evaluate('location.href');

const selectedId = async (bench: CheckContext): Promise<unknown> =>
  rowWith(await bench.call('list_pages'), 'pages', { selected: true })['id'];

/** Opens a second page, runs `use`, closes it and selects the first again. */
async function withSecondPage(
  bench: CheckContext,
  use: (first: unknown, second: unknown) => Promise<void>,
): Promise<void> {
  const first = await selectedId(bench);
  const { data, text } = await bench.call('new_page', { url: `${bench.pages}/selftest.html?nonce=second` });
  assertIncludes(text, String(data['pageId']));
  await use(first, data['pageId']);
  await bench.call('close_page', { pageId: data['pageId'] });
  await bench.call('select_page', { pageId: first });
}

export const pageChecks: readonly Check[] = [
  {
    tool: 'list_pages',
    async run(bench) {
      const nonce = await bench.openControls();
      const answer = await bench.call('list_pages');
      const row = rowWith(answer, 'pages', { selected: true });
      assert.equal(row['url'], `${bench.pages}/selftest.html?nonce=${nonce}`);
      assert.equal(row['title'], `Selftest ${nonce}`);
      assertIncludes(answer.text, nonce);
      return `${rowsOf(answer, 'pages').length} open, "${row['title']}" selected`;
    },
  },
  {
    tool: 'select_page',
    async run(bench) {
      const nonce = await bench.openControls();
      await withSecondPage(bench, async (first) => {
        assertIncludes(await location(bench), 'nonce=second');
        const answer = await bench.call('select_page', { pageId: first });
        const row = rowWith(answer, 'pages', { selected: true });
        assert.equal(row['id'], first);
        assertIncludes(row['url'], nonce);
        assertIncludes(answer.text, nonce);
        assertIncludes(await location(bench), nonce);
      });
      return 'tools follow the selection';
    },
  },
  {
    tool: 'new_page',
    async run(bench) {
      await bench.openControls();
      await withSecondPage(bench, async (first, second) => {
        assert.notEqual(second, first);
        assert.equal(await selectedId(bench), second);
        assertIncludes(await location(bench), 'nonce=second');
      });
      return 'a page with an id of its own, selected';
    },
  },
  {
    tool: 'close_page',
    async run(bench) {
      await bench.openControls();
      const { data } = await bench.call('new_page', { url: `${bench.pages}/selftest.html`, background: true });
      const before = rowsOf(await bench.call('list_pages'), 'pages');
      const answer = await bench.call('close_page', { pageId: data['pageId'] });
      const left = before.filter(({ id }) => id !== data['pageId']);
      assert.equal(left.length, before.length - 1);
      assert.deepEqual(answer.data['pages'], left);
      assertIncludes(answer.text, `page ${String(data['pageId'])}`);
      assert.deepEqual((await bench.call('list_pages')).data['pages'], left);
      return `page ${String(data['pageId'])} is gone`;
    },
  },
  {
    tool: 'navigate_page',
    async run(bench) {
      const nonce = await bench.openControls();
      assertIncludes(await location(bench), nonce);
      const { text, data } = await bench.call('navigate_page', { url: `${bench.pages}/extension-notes.html` });
      assert.equal(data['url'], `${bench.pages}/extension-notes.html`);
      assertIncludes(text, 'extension-notes.html');
      await bench.evaluate('void (document.title = "changed")');
      await bench.call('navigate_page', { reload: true });
      assert.equal(await bench.evaluate('document.title'), 'A page with notes');
      return 'two addresses and a reload';
    },
  },
  {
    tool: 'navigate_page_history',
    async run(bench) {
      const first = await bench.openControls();
      const second = await bench.openControls();
      const back = await bench.call('navigate_page_history', { navigate: 'back' });
      assertIncludes(back.data['url'], first);
      assertIncludes(await location(bench), first);
      const forward = await bench.call('navigate_page_history', { navigate: 'forward' });
      assertIncludes(forward.text, second);
      assertIncludes(await location(bench), second);
      return 'back and forward';
    },
  },
  {
    tool: 'resize_page',
    async run(bench) {
      await bench.openControls();
      const size = (): Promise<unknown> => bench.evaluate('[innerWidth, innerHeight]');
      for (const [width, height] of [
        [1011, 707],
        [1280, 800],
      ]) {
        const { text, data } = await bench.call('resize_page', { width, height });
        assert.deepEqual(data, { width, height });
        assert.deepEqual(await size(), [width, height]);
        assertIncludes(text, String(width));
      }
      return '1011 × 707, then 1280 × 800';
    },
  },
  {
    tool: 'wait_for',
    async run(bench) {
      const nonce = await bench.openControls();
      await bench.evaluate('void document.querySelector("#later").click()');
      const { text, data } = await bench.call('wait_for', { text: ['never there', `later ${nonce}`] });
      assert.equal(data['found'], `later ${nonce}`);
      assertIncludes(text, nonce);
      assert.equal(await bench.status(), `later ${nonce}`);
      assertIncludes(await bench.expectError('wait_for', { text: ['never there'], timeout: 50 }), 'never there');
      return 'a text that came later, and one that never came';
    },
  },
  {
    tool: 'handle_dialog',
    async run(bench) {
      const nonce = await bench.openControls();
      const clicked = await bench.call('click', { uid: await bench.uidOf('button', 'Ask') });
      assertIncludes(clicked.text, 'What is it?');
      const accepted = await bench.call('handle_dialog', { action: 'accept', promptText: 'a stone' });
      assertIncludes(accepted.text, 'Accepted the prompt');
      assertIncludes(accepted.data['url'], nonce);
      assert.equal(await bench.status(), `answered a stone ${nonce}`);
      await bench.call('click', { uid: await bench.uidOf('button', 'Ask') });
      const dismissed = await bench.call('handle_dialog', { action: 'dismiss' });
      assertIncludes(dismissed.text, 'Dismissed the prompt');
      assert.equal(await bench.status(), `answered null ${nonce}`);
      return 'a prompt answered, and one dismissed';
    },
  },
];
