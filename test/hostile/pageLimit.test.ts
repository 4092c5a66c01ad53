import { createResourceLedger } from '../../src/browser/process/browserConnection.js';
import { PageSet } from '../../src/browser/pool/pageSet.js';
import { isTab, SessionContexts } from '../../src/browser/pool/tabs.js';
import { createSessionPageState } from '../../src/browser/pool/recovery.js';
import {
  recordingListener,
  openTestPool,
  leaseRequest,
  waitUntil,
  withFirstPage,
} from '../browser/support/testPool.js';

test('the pages of a session are bounded, popups too, and the client hears of it', async () => {
  const test = await openTestPool();
  const session = await withFirstPage(test.pool.lease(leaseRequest('context'), recordingListener()));
  const context = await session.browser.createBrowserContext();
  const pageState = createSessionPageState();
  const contexts = new SessionContexts(context, () => Promise.reject(new Error('none')));
  const pages = new PageSet({ contexts, pageState, ledger: createResourceLedger(), maxPages: 3 });
  await pages.start([], () => true);
  const first = await pages.open();
  await first.page.evaluate(`for (let i = 0; i < 10; i++) open('about:blank')`);
  await waitUntil(() => pageState.notices.length > 0 && context.targets().filter(isTab).length === 3);
  expect(pageState.notices).toEqual([
    expect.stringContaining('more than 3 pages'),
    'Page 2 was opened by a page: about:blank.',
    'Page 3 was opened by a page: about:blank.',
  ]);
  await expect(pages.open()).rejects.toThrow('has 3 pages, the most there may be. Close one with close_page');
  await waitUntil(() => pages.list().length === 3);
  const [, popup] = pages.list();
  if (popup !== undefined) await pages.close(popup);
  await waitUntil(() => context.targets().filter(isTab).length === 2);
  expect((await pages.open()).url()).toBe('about:blank');
  await pages.dispose();
  await context.close();
  expect(await test.close()).toEqual([]);
});
