import { tmpdir } from 'node:os';
import { LeasedBrowser } from '../../src/browser/pool/leasedBrowser.js';
import { openPlacement } from '../../src/browser/pool/browserPlacement.js';
import { createSessionPageState } from '../../src/browser/pool/recovery.js';
import { createResourceLedger } from '../../src/browser/process/browserConnection.js';
import { allTools } from '../../src/tools/allTools.js';
import { serveDebuggedSite } from './support/debuggedSite.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let site: Awaited<ReturnType<typeof serveDebuggedSite>>;
let harness: ToolHarness;

beforeAll(async () => {
  site = await serveDebuggedSite();
  harness = await startToolHarness(allTools);
});

afterAll(async () => {
  await harness.close();
  site.close();
});

test('[S6] breakpoints of a session stop no page of another in the same browser, and end with their session', async () => {
  const { browser } = harness.browser;
  const state = createSessionPageState();
  const ledger = createResourceLedger();
  const temporaryFolder = tmpdir();
  const ping = (): Promise<void> => Promise.resolve();
  const connection = {
    browser,
    mode: 'launch',
    product: '',
    temporaryFolder,
    disconnected: new Promise<void>(() => undefined),
    ping,
    close: ping,
  } as const;
  const placement = await openPlacement({ connection, isolation: 'context', pageState: state, ledger });
  const other = new LeasedBrowser(placement, state, ping);
  await harness.run('navigate_page', { url: site.url });
  const { id } = harness.browser.page();
  let opened = await other.newPage();
  while (opened.id < id) opened = await other.newPage();
  const { page, interruptions } = opened;
  await page.goto(site.url);
  await harness.run('set_breakpoint', { file: 'shop.js', line: 7 });
  await harness.run('evaluate_script', { function: '() => sell([1])' });
  // A page of the other session has the same id.
  expect(other.pages().some((each) => each.id === id && each.interruptions.current !== undefined)).toBe(false);
  expect(interruptions.current).toBeUndefined();
  expect(await page.evaluate('sell([2])')).toBe(2);
  expect(other.debugger.pauses.list).toEqual([]);
  await harness.run('step_debugger', { action: 'resume' });
  const signal = AbortSignal.timeout(60_000);
  const trigger = { on: 'line', file: 'shop.js', line: 8, column: undefined } as const;
  await other.debugger.set(
    { trigger, condition: undefined, log: undefined, pauseMs: 60_000, pageId: undefined },
    signal,
  );
  await harness.run('remove_breakpoint');
  expect(await harness.text('evaluate_script', { function: '() => sell([3])' })).toBe('3');
  const stopped = page.evaluate('sell([4])').catch(() => 'closed');
  await other.debugger.untilPaused(signal);
  expect(other.debugger.pauses.list).toHaveLength(1);
  await placement.close();
  expect([4, 'closed']).toContain(await stopped);
});
