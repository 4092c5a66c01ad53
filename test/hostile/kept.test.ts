import type { CDPSession, Page } from 'puppeteer-core';
import { KeptBytes, RingBuffer, type KeptPart } from '../../src/browser/collectors/ringBuffer.js';
import { BreakpointList } from '../../src/browser/debugger/breakpoints.js';
import { Emulation } from '../../src/browser/page/pageEmulation.js';
import { InitScripts } from '../../src/browser/page/initScripts.js';
import { Credentials } from '../../src/browser/policy/credentials.js';
import { ResponseMemory } from '../../src/mcp/responseMemory.js';

const mebibyte = 1024 ** 2;
const limit = 32 * mebibyte;
/** Of the limit for recordings, and what may come between two comparisons. */
const mostRecorded = limit * (3 / 4) + limit / 64;

const ringOf = (kept: KeptPart): RingBuffer<string> =>
  new RingBuffer({ maxEntries: 2_000, maxBytes: 4 * mebibyte, sizeOf: (text) => text.length, kept });

test('[S10] the recordings of fifty pages take no more than --session-memory allows, and a flood costs its own page first', () => {
  const kept = new KeptBytes(limit);
  const quiet = ringOf(kept.open());
  for (let line = 0; line < 100; line += 1) quiet.push('a line of a quiet page');
  const pages = Array.from({ length: 50 }, () => kept.open());
  const rings = pages.map(ringOf);
  let most = 0;
  for (let round = 0; round < 200; round += 1)
    for (const ring of rings) {
      ring.push('x'.repeat(16_384));
      most = Math.max(most, kept.bytes);
    }
  expect(most).toBeLessThanOrEqual(mostRecorded);
  expect(quiet.size).toBe(100);
  const [flooded] = rings;
  const { entries, dropped } = flooded?.read() ?? { entries: [], dropped: 0 };
  expect(entries.length).toBeGreaterThan(0);
  expect(dropped).toBe(200 - entries.length);
  for (const page of pages) page.close();
  expect(kept.bytes).toBe(100 * 22);
});

const large = 'x'.repeat(5 * mebibyte);
const cdp = { send: () => Promise.resolve({}) } as unknown as CDPSession;
const page = {
  evaluateOnNewDocument: () => Promise.resolve({ identifier: '1' }),
  removeScriptToEvaluateOnNewDocument: () => Promise.resolve(),
  setExtraHTTPHeaders: () => Promise.resolve(),
  setUserAgent: () => Promise.resolve(),
} as unknown as Page;

test.each([
  ['init scripts', (kept: KeptPart, at: number) => new InitScripts(page, cdp, kept).add(`/*${at}*/ "${large}"`)],
  ['headers', (kept: KeptPart) => new Emulation(page, cdp, kept).apply({ extraHttpHeaders: { 'x-large': large } })],
  ['user agents', (kept: KeptPart) => new Emulation(page, cdp, kept).apply({ userAgent: large })],
])('[S10] %s of many pages are bounded together, and the answer says what frees some', async (_what, keep) => {
  const kept = new KeptBytes(limit);
  await keep(kept.open(), 1);
  await expect(keep(kept.open(), 2)).rejects.toThrow(
    /would take \d+ bytes; the maximum is \d+, half of --session-memory/,
  );
  expect(kept.bytes).toBeLessThan(limit / 2);
});

test('[S10] credentials and breakpoints are bounded too, and those that are removed make room', async () => {
  const part = new KeptBytes(limit).open();
  const [credentials, breakpoints] = [new Credentials(part), new BreakpointList(part)];
  await credentials.set('https://a.test', { username: 'anna', password: large });
  await expect(credentials.set('https://b.test', { username: 'anna', password: large })).rejects.toThrow(
    '--session-memory',
  );
  await credentials.set('https://a.test', undefined);
  await credentials.set('https://b.test', { username: 'anna', password: large });
  const trigger = { on: 'request', url: large } as const;
  expect(() => breakpoints.add({ trigger, condition: large } as Parameters<BreakpointList['add']>[0])).toThrow(
    '--session-memory',
  );
});

test('[S10] unread answers and what is kept of the browser are one number, below one limit', () => {
  const kept = new KeptBytes(1_000);
  const memory = new ResponseMemory(1_000).open('anna');
  memory.countKept(() => kept.bytes);
  const ring = ringOf(kept.open());
  for (let each = 0; each < 100; each += 1) ring.push('x'.repeat(100));
  expect(kept.bytes).toBeLessThanOrEqual(750);
  const release = memory.hold(200);
  expect(memory.keptBytes).toBe(200 + kept.bytes);
  expect(memory.fits(300)).toBe(false);
  expect(() => memory.reserve(300)).toThrow(/200, and \d+ are kept of the pages/);
  release();
  expect(memory.fits(3_000)).toBe(true);
});
