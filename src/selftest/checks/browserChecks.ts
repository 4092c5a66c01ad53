import assert from 'node:assert/strict';
import { assertIncludes, type Check } from '../checkContext.js';

/** Browsers by handle, from a session that has one of its own. */
export const browserChecks: readonly Check[] = [
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
