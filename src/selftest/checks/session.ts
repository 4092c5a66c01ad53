import assert from 'node:assert/strict';
import { assertIncludes } from '../bench.js';
import type { Check } from '../check.js';

export const sessionChecks: readonly Check[] = [
  {
    tool: 'get_connected_browser',
    async run(bench) {
      const nonce = await bench.openControls();
      const { text, data } = await bench.call('get_connected_browser');
      assert.match(String(data['product']), /Chrome\/\d+\./);
      assert.equal(data['userAgent'], await bench.evaluate('navigator.userAgent'), nonce);
      assertIncludes(text, String(data['product']));
      return `${String(data['product'])}, ${String(data['mode'])}`;
    },
  },
  {
    tool: 'list_browser_capabilities',
    async run(bench) {
      const { text, data } = await bench.call('list_browser_capabilities');
      const { domains } = data;
      assert.ok(Array.isArray(domains) && domains.includes('Page') && domains.includes('Runtime'), text);
      assertIncludes(text, 'Runtime');
      return `${domains.length} CDP domains`;
    },
  },
  {
    tool: 'get_session_info',
    async run(bench) {
      const before = await bench.call('get_session_info');
      await bench.call('list_browser_capabilities');
      const after = await bench.call('get_session_info');
      assert.equal(before.data['id'], after.data['id']);
      assert.ok(Number(after.data['toolCalls']) >= Number(before.data['toolCalls']) + 2, 'calls are counted');
      assert.equal(after.data['client'], 'greenroom-selftest 1');
      assert.equal(after.data['state'], 'active');
      assertIncludes(after.text, String(after.data['id']));
      return `${String(after.data['transport'])} session, ${String(after.data['toolCalls'])} calls`;
    },
  },
];
