import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { emulationTools } from '../../src/tools/emulationTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { pageTools } from '../../src/tools/pageTools.js';
import { waitUntil } from '../browser/support/testPool.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;

beforeAll(async () => {
  [pages, harness] = await Promise.all([
    startPageServer(),
    startToolHarness([...emulationTools, ...lookTools, ...navigationTools, ...pageTools]),
  ]);
});

beforeEach(async () => {
  await harness.run('navigate_page', { url: `${pages.url}/look.html` });
  await harness.run('emulate', { reset: true });
});

afterAll(async () => {
  await harness.close();
  await pages.close();
});

const run = async (source: string): Promise<unknown> =>
  JSON.parse(await harness.text('evaluate_script', { function: source }));
const emulated = async (args: Record<string, unknown>) => (await harness.run('emulate', args)).structured['emulated'];

const readLocation = `() => new Promise((resolve, reject) => navigator.geolocation.getCurrentPosition(
  ({ coords }) => resolve([coords.latitude, coords.longitude]), reject))`;
const requestHeaders = `async () => (await (await fetch('/echo')).json()).headers`;

test('the page sees place, theme, user agent, size and headers, and the answer tells all of them', async () => {
  const settings = {
    geolocation: { latitude: 48.2, longitude: 16.37 },
    colorScheme: 'dark',
    userAgent: 'Test/1.0',
    viewport: { width: 400, height: 700, deviceScaleFactor: 2 },
    extraHttpHeaders: { 'x-test': 'yes' },
  };
  const { text, structured } = await harness.run('emulate', settings);
  expect(structured['emulated']).toEqual(settings);
  expect(text).toContain('geolocation: {"latitude":48.2,"longitude":16.37}');
  expect(await run(readLocation)).toEqual([48.2, 16.37]);
  expect(await run('() => matchMedia("(prefers-color-scheme: dark)").matches')).toBe(true);
  expect(await run('() => [innerWidth, innerHeight, devicePixelRatio]')).toEqual([400, 700, 2]);
  expect(await run(requestHeaders)).toMatchObject({ 'user-agent': 'Test/1.0', 'x-test': 'yes' });
});

test('a site gets what its requests for permissions are answered, until all is reset', async () => {
  const asked = `async () => [await Notification.requestPermission(),
    (await navigator.permissions.query({ name: 'midi' })).state,
    (await navigator.permissions.query({ name: 'clipboard-read' })).state]`;
  const permissions = { notifications: 'granted', midi: 'denied', 'clipboard-read': 'granted' };
  expect(await harness.text('emulate', { permissions })).toContain(`permissions: ${JSON.stringify(permissions)}`);
  expect(await run(asked)).toEqual(['granted', 'denied', 'granted']);
  await harness.run('emulate', { reset: true });
  expect(await run(asked)).not.toContain('granted');
  expect(await harness.refusal('emulate', { permissions: { telepathy: 'granted' } })).toContain(
    'Chrome knows no permission "telepathy"',
  );
});

test('pictures have the pixels of the emulated screen, of the whole page too', async () => {
  await harness.run('emulate', { viewport: { width: 500, height: 200, deviceScaleFactor: 2 } });
  const { structured } = await harness.run('take_screenshot');
  expect(structured).toMatchObject({ width: 1000, height: 400 });
  const { structured: whole } = await harness.run('take_screenshot', { fullPage: true });
  expect(whole).toMatchObject({ width: 1000 });
});

test('what is set stays over a navigation and beside what is set later', async () => {
  await emulated({ colorScheme: 'dark' });
  await harness.run('navigate_page', { url: `${pages.url}/settled.html` });
  expect(await emulated({ cpuThrottlingRate: 2 })).toEqual({ colorScheme: 'dark', cpuThrottlingRate: 2 });
  expect(await run('() => matchMedia("(prefers-color-scheme: dark)").matches')).toBe(true);
});

test('reset takes everything off, and what is given with it counts afterwards', async () => {
  const own = await run('() => navigator.userAgent');
  await emulated({ userAgent: 'Test/1.0', networkConditions: 'Offline', colorScheme: 'dark' });
  expect(await emulated({ reset: true, extraHttpHeaders: { 'x-test': 'yes' } })).toEqual({
    extraHttpHeaders: { 'x-test': 'yes' },
  });
  expect(await run(requestHeaders)).toMatchObject({ 'user-agent': own, 'x-test': 'yes' });
  expect(await run('() => matchMedia("(prefers-color-scheme: dark)").matches')).toBe(false);
  expect(await harness.text('emulate', { reset: true })).toMatch(/^Emulated on page \d+: nothing\.$/);
});

test('each setting has a value that takes only it off', async () => {
  await emulated({ userAgent: 'Test/1.0', colorScheme: 'dark', extraHttpHeaders: { 'x-test': 'yes' } });
  expect(await emulated({ userAgent: '', extraHttpHeaders: {} })).toEqual({ colorScheme: 'dark' });
  expect(await run(requestHeaders)).not.toHaveProperty('x-test');
  expect(await emulated({ colorScheme: 'auto', cpuThrottlingRate: 1 })).toEqual({});
});

test('a mobile viewport has touch and the width of the device', async () => {
  await emulated({ viewport: { width: 390, height: 844, deviceScaleFactor: 3, mobile: true } });
  expect(await run('() => [navigator.maxTouchPoints > 0, matchMedia("(pointer: coarse)").matches]')).toEqual([
    true,
    true,
  ]);
  expect(await run('() => screen.width')).toBe(390);
});

test('resize_page sets the same size that emulate tells and takes off', async () => {
  const own = await run('() => innerWidth');
  await harness.run('resize_page', { width: 432, height: 500 });
  expect(await emulated({})).toEqual({ viewport: { width: 432, height: 500 } });
  expect(await run('() => innerWidth')).toBe(432);
  await emulated({ reset: true });
  // The page hears of its size a moment after it has been set.
  const settled = `() => new Promise((resolve) => {
    const look = () => innerWidth === ${String(own)} ? resolve(innerWidth) : addEventListener('resize', look, { once: true });
    look();
  })`;
  expect(await run(settled)).toBe(own);
});

test('emulate_network cuts the network and gives it back', async () => {
  const reachable = '() => fetch("/echo").then(() => "there", () => "gone")';
  const answer = await harness.run('emulate_network', { networkConditions: 'Offline' });
  expect(answer.structured).toEqual({ emulated: { networkConditions: 'Offline' } });
  expect(await run(reachable)).toBe('gone');
  expect(await run('() => navigator.onLine')).toBe(false);
  await harness.run('emulate_network', { networkConditions: 'Slow 3G' });
  expect(await run('() => [navigator.onLine, navigator.connection.rtt > 300]')).toEqual([true, true]);
  await harness.run('emulate_network', { networkConditions: 'No emulation' });
  expect(await run(reachable)).toBe('there');
});

test('emulate_cpu makes the same work take longer', async () => {
  const work = `() => {
    const start = performance.now();
    for (let i = 0; i < 3e7; i++);
    return performance.now() - start;
  }`;
  const duration = async (): Promise<number> => Number(await run(work));
  const fast = Math.min(await duration(), await duration(), await duration());
  const { structured } = await harness.run('emulate_cpu', { cpuThrottlingRate: 20 });
  expect(structured).toEqual({ emulated: { cpuThrottlingRate: 20 } });
  // A thread of the browser stops the page again and again: on a busy machine it may come too late for one run.
  await waitUntil(async () => (await duration()) > 5 * fast);
});

test('a page that closes or another one is not touched by it', async () => {
  await emulated({ colorScheme: 'dark' });
  const first = harness.browser.page();
  const second = await harness.browser.newPage();
  expect(await harness.text('emulate', { pageId: second.id })).toBe(`Emulated on page ${second.id}: nothing.`);
  await harness.browser.closePage(second.id);
  harness.browser.select(first.id);
});

test('a place is refused where no site could ask for it', async () => {
  const blank = await harness.browser.newPage();
  const args = { geolocation: { latitude: 1, longitude: 1 } };
  expect(await harness.refusal('emulate', args)).toContain('Call navigate_page to the site first');
  await harness.browser.closePage(blank.id);
});

test.each([
  { networkConditions: 'Slow 9G' },
  { cpuThrottlingRate: 0 },
  { geolocation: { latitude: 91, longitude: 0 } },
  { extraHttpHeaders: { 'a b': 'x' } },
  { extraHttpHeaders: { a: 'x\r\ny: z' } },
  { viewport: { width: 0, height: 1 } },
  { speed: 1 },
])('%j is no setting', async (args) => {
  await expect(harness.run('emulate', args)).rejects.toThrow(Object.keys(args)[0]);
});

test('what a browser is opened with holds for each of its pages, those that pages open too, and can be changed', async () => {
  await harness.browser.emulateFromStart({ colorScheme: 'dark', userAgent: 'Test/2.0' });
  const isDark = '() => [matchMedia("(prefers-color-scheme: dark)").matches, navigator.userAgent]';
  expect(await run(isDark)).toEqual([true, 'Test/2.0']);
  const opened = await harness.text('evaluate_script', { function: '() => void open("/look.html")' });
  const [, popup] = /page (\d+)/i.exec(opened) ?? [];
  await harness.run('select_page', { pageId: Number(popup) });
  expect(await run(isDark)).toEqual([true, 'Test/2.0']);
  await harness.run('emulate', { colorScheme: 'light' });
  expect(await run(isDark)).toEqual([false, 'Test/2.0']);
  await harness.run('new_page', { url: `${pages.url}/look.html` });
  expect(await run(isDark)).toEqual([true, 'Test/2.0']);
});
