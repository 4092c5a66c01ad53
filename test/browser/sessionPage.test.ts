import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Page } from 'puppeteer-core';
import { performAction } from '../../src/browser/page/performAction.js';
import { Lock } from '../../src/async.js';
import { openSessionPage, type SessionPage } from '../../src/browser/page/sessionPage.js';
import { startToolHarness, type ToolHarness } from '../tools/support/toolHarness.js';

const never = new AbortController().signal;

/** A step that a test lets go on when it wants. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

describe('lock', () => {
  test('runs one at a time, in order of arrival', async () => {
    const lock = new Lock();
    const first = gate();
    const order: string[] = [];
    const runs = [
      lock.run(never, async () => {
        await first.passed;
        order.push('first');
      }),
      lock.run(never, () => Promise.resolve(order.push('second'))),
      lock.run(never, () => Promise.resolve(order.push('third'))),
    ];
    first.open();
    await Promise.all(runs);
    expect(order).toEqual(['first', 'second', 'third']);
  });

  test('who is aborted while waiting leaves at once, and lets nobody overtake who works', async () => {
    const lock = new Lock();
    const first = gate();
    const order: string[] = [];
    const waiting = new AbortController();
    const working = lock.run(never, async () => {
      await first.passed;
      order.push('first');
    });
    const aborted = lock.run(waiting.signal, () => Promise.resolve(order.push('aborted')));
    const third = lock.run(never, () => Promise.resolve(order.push('third')));
    waiting.abort(new Error('gave up'));
    await expect(aborted).rejects.toThrow('gave up');
    expect(order).toEqual([]);
    first.open();
    await Promise.all([working, third]);
    expect(order).toEqual(['first', 'third']);
  });

  test('an error of one does not keep the next one out', async () => {
    const lock = new Lock();
    await expect(lock.run(never, () => Promise.reject(new Error('failed')))).rejects.toThrow('failed');
    await expect(lock.run(never, () => Promise.resolve('next'))).resolves.toBe('next');
  });
});

describe('session page', () => {
  let harness: ToolHarness;
  let page: SessionPage;

  beforeAll(async () => {
    harness = await startToolHarness([]);
  });
  beforeEach(async () => {
    page = await harness.browser.newPage();
  });
  afterAll(() => harness.close());

  test('a tab whose first document is not there yet is blank', () => {
    const url = jest.spyOn(page.page, 'url').mockReturnValue('');
    expect(page.url()).toBe('about:blank');
    url.mockRestore();
  });

  test('tells its title while a dialog stops it', async () => {
    await page.page.goto('data:text/html,<title>Stopped</title>');
    const opened = new Promise((resolve) => page.cdp.once('Page.javascriptDialogOpening', resolve));
    const script = page.page.evaluate('alert(1)');
    await opened;
    expect(await page.title()).toBe('Stopped');
    await page.dialogs.answer(true);
    await script;
  });

  test('a dialog ends the work that waits on the page, and refuses more until it is answered', async () => {
    const interrupted = page.runExclusive(never, () => page.page.evaluate('confirm("Sure?")'));
    await expect(interrupted).rejects.toThrow('A dialog is open (confirm: "Sure?"). Answer it with handle_dialog.');
    await expect(page.runExclusive(never, () => Promise.resolve())).rejects.toThrow('Answer it with handle_dialog');
    await page.dialogs.answer(false);
    await expect(page.runExclusive(never, () => page.page.evaluate('1 + 1'))).resolves.toBe(2);
  });

  test('disposing it twice ends its protocol session once and leaves the page open', async () => {
    await Promise.all([page.dispose(), page.dispose()]);
    expect(page.cdp.detached).toBe(true);
    expect(page.page.isClosed()).toBe(false);
  });

  test('an action that closes its own page ends with that, not with an error', async () => {
    const opened = new Promise<Page | null>((resolve) => page.page.once('popup', resolve));
    await page.page.evaluate('void window.open("about:blank")');
    const popup = await opened;
    if (!popup) throw new Error('no popup');
    const own = await openSessionPage({ id: 98, page: popup });
    const closing = () => own.cdp.send('Runtime.evaluate', { expression: 'window.close()' });
    expect((await performAction(own, never, closing)).outcome.closed).toBe(true);
    await own.dispose();
  });

  test('a page that is closed already cannot be taken in', async () => {
    const closed = await harness.browser.context.newPage();
    await closed.close();
    await expect(openSessionPage({ id: 99, page: closed })).rejects.toThrow();
  });
});
