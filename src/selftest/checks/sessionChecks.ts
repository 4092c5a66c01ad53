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
];
