import { jest } from '@jest/globals';
import { Connection, type Browser } from 'puppeteer-core';
import { openSessionPage, type SessionPage } from '../../src/browser/page/sessionPage.js';
import { launchChromium, waitUntilFound } from './support/collectedPage.js';

/** What puppeteer's declarations keep to themselves: every command that goes. */
interface RecordedTransport {
  _rawSend(callbacks: unknown, method: string, ...rest: unknown[]): Promise<unknown>;
}

const lines = 5_000;
const value = '{ id: i, nested: { list: [1, 2, 3, i], deeper: { text: "deep" } } }';
const flood = (who: string) => `for (let i = 1; i <= ${lines}; i++) console.log('${who}', i, ${value});`;

const wire = Connection.prototype as unknown as RecordedTransport;
const sent = jest.spyOn(wire, '_rawSend');

let browser: Browser;
let opened: SessionPage;
beforeAll(async () => {
  browser = await launchChromium({ pipe: true });
  opened = await openSessionPage({ id: 1, page: await browser.newPage() });
});
afterAll(async () => {
  await opened.dispose();
  await browser.close();
  jest.restoreAllMocks();
});

beforeEach(() => {
  sent.mockClear();
});

/** The text of the last line, as soon as it is there. */
const lastOf = (who: string): Promise<string> =>
  waitUntilFound(
    () => opened.console.read().entries.find((entry) => entry.value.text.startsWith(`${who} ${lines} `))?.value.text,
  );

test.each([
  ['page', flood('page')],
  ['worker', `void new Worker(URL.createObjectURL(new Blob([${JSON.stringify(flood('worker'))}])))`],
])('[S10] a flood of what a %s logs costs fewer commands than a twentieth of its lines', async (who, expression) => {
  await opened.cdp.send('Runtime.evaluate', { expression });
  expect(await lastOf(who)).toContain(`id: ${lines}`);
  expect(sent.mock.calls.length).toBeLessThan(lines / 20);
  expect(opened.console.read()).toMatchObject({ dropped: expect.any(Number), entries: { length: 2_000 } });
});
