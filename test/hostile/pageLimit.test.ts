import { createLedger } from '../../src/browser/lease/ledger.js';
import { createMemory, PageSet } from '../../src/browser/lease/pageSet.js';
import { isTab } from '../../src/browser/lease/tab.js';
import { listener, openTestPool, request, until, withFirstPage } from '../browser/support/testPool.js';

test('the pages of a session are bounded, popups too, and the client hears of it', async () => {
  const test = await openTestPool();
  const session = await withFirstPage(test.pool.lease(request('context'), listener()));
  const context = await session.browser.createBrowserContext();
  const memory = createMemory();
  const pages = new PageSet({ context, memory, ledger: createLedger(), maxPages: 3 });
  await pages.start([], () => true);
  const first = await pages.open();
  await first.page.evaluate(`for (let i = 0; i < 10; i++) open('about:blank')`);
  await until(() => memory.notices.length > 0 && context.targets().filter(isTab).length === 3);
  expect(memory.notices).toEqual([expect.stringContaining('more than 3 pages')]);
  await expect(pages.open()).rejects.toThrow('has 3 pages, the most there may be. Close one with close_page');
  await until(() => pages.list().length === 3);
  const [, popup] = pages.list();
  if (popup !== undefined) await pages.close(popup);
  await until(() => context.targets().filter(isTab).length === 2);
  expect((await pages.open()).url()).toBe('about:blank');
  await pages.dispose();
  await context.close();
  expect(await test.close()).toEqual([]);
});
