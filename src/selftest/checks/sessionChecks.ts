import assert from 'node:assert/strict';
import { packageInfo } from '../../packageInfo.js';
import { assertIncludes, type Check } from '../checkContext.js';

export const sessionChecks: readonly Check[] = [
  {
    tool: 'get_connected_browser',
    async run(context) {
      await context.openControls();
      const one = await context.call('get_connected_browser');
      assert.equal(one.data['userAgent'], await context.evaluate('navigator.userAgent'));
      assert.match(String(one.data['product']), /Chrome\/\d+\./);
      const opened = await context.call('new_page', { url: 'about:blank' });
      const { pageId } = opened.data;
      const two = await context.call('get_connected_browser');
      assert.equal(two.data['pages'], Number(one.data['pages']) + 1);
      assert.equal(two.data['selectedPageId'], pageId);
      assertIncludes(two.text, `page ${String(pageId)} selected`);
      await context.call('close_page', { pageId });
      await context.call('select_page', { pageId: one.data['selectedPageId'] });
      return `${String(two.data['product'])}, ${String(two.data['mode'])}`;
    },
  },
  {
    tool: 'list_browser_capabilities',
    async run(context) {
      const { text, data } = await context.call('list_browser_capabilities');
      const { domains } = data;
      assert.ok(Array.isArray(domains) && domains.includes('Page') && domains.includes('Runtime'), text);
      assertIncludes(text, domains.join(' '));
      const browser = await context.call('get_connected_browser');
      assert.equal(data['isolation'], browser.data['isolation']);
      return `${domains.length} CDP domains`;
    },
  },
  {
    tool: 'get_session_info',
    async run(context) {
      const before = await context.call('get_session_info');
      await context.call('list_browser_capabilities');
      const after = await context.call('get_session_info');
      assert.equal(before.data['id'], after.data['id']);
      assert.ok(Number(after.data['toolCalls']) >= Number(before.data['toolCalls']) + 2, 'calls are counted');
      assert.equal(after.data['client'], `greenroom-selftest ${packageInfo.version}`);
      assert.equal(after.data['state'], 'active');
      assertIncludes(after.text, String(after.data['id']));
      assertIncludes(after.text, `toolCalls: ${String(after.data['toolCalls'])}`);
      return `${String(after.data['transport'])} session, ${String(after.data['toolCalls'])} calls`;
    },
  },
  {
    tool: 'open_browser',
    async run(context) {
      const opened = await context.call('open_browser');
      const browserId = String(opened.data['browser_id']);
      const own = await context.call('get_session_info');
      const other = await context.call('get_session_info', { browser_id: browserId });
      assert.equal(other.data['id'], browserId);
      assert.notEqual(own.data['id'], browserId);
      const page = await context.call('new_page', { browser_id: browserId, url: `${context.pages}/selftest.html` });
      assertIncludes(page.text, 'selftest.html');
      await context.call('close_browser', { browser_id: browserId });
      return 'a browser of its own, used by its handle';
    },
  },
  {
    tool: 'close_browser',
    async run(context) {
      const opened = await context.call('open_browser');
      const browserId = opened.data['browser_id'];
      await context.call('close_browser', { browser_id: browserId });
      const refused = await context.expectError('list_pages', { browser_id: browserId });
      assertIncludes(refused, 'This browser is closed');
      return refused;
    },
  },
  {
    tool: 'list_browsers',
    async run(context) {
      const opened = await context.call('open_browser');
      const browserId = String(opened.data['browser_id']);
      const listed = await context.call('list_browsers');
      assertIncludes(listed.text, browserId);
      assertIncludes(listed.text, 'this session');
      await context.call('close_browser', { browser_id: browserId });
      const after = await context.call('list_browsers');
      assert.ok(!after.text.includes(browserId), after.text);
      return 'the opened one and that of the session';
    },
  },
];
