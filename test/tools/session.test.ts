import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sessionTools } from '../../src/tools/sessionTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let harness: ToolHarness;

beforeAll(async () => {
  harness = await startToolHarness(sessionTools);
});
afterAll(() => harness.close());

test('get_connected_browser tells the product, how it is shared, and the selected page', async () => {
  const { text, structured } = await harness.run('get_connected_browser');
  expect(structured).toMatchObject({
    product: harness.browser.product,
    headless: true,
    mode: 'launch',
    isolation: 'process',
    pages: 1,
    selectedPageId: 1,
  });
  expect(text).toContain(harness.browser.product);
  expect(text).toContain('page 1 selected');
});

test('list_browser_capabilities probes extensions and the domains of a page', async () => {
  const { text, structured } = await harness.run('list_browser_capabilities');
  expect(structured).toMatchObject({ extensions: true, headless: true, isolation: 'process' });
  expect(structured['domains']).toEqual(expect.arrayContaining(['Accessibility', 'Network', 'Page', 'Runtime']));
  expect(text).toContain('Extensions: can be installed and debugged');
});

test('get_session_info tells what is known of the session, without a browser', async () => {
  const { text, structured } = await harness.run('get_session_info', {}, { workspace: ['/tmp'] });
  expect(structured).toMatchObject({
    id: 'session-of-a-test',
    client: 'test 1.0.0',
    createdAt: '1970-01-01T00:00:00.000Z',
    toolCalls: 3,
    workspace: ['/tmp', harness.browser.ownFolder],
  });
  expect(text).toContain('transport: sse');
});
