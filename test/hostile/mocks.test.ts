import { EventEmitter, once } from 'node:events';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { Credentials } from '../../src/browser/policy/credentials.js';
import { NetworkMocks, type MockRule } from '../../src/browser/collectors/requestMocks.js';

/** A protocol session that emits the name of each command that it is sent about a request. */
function startSession(): { session: CDPSession; sent: EventEmitter } {
  const sent = new EventEmitter();
  const send = (method: string): Promise<void> => {
    sent.emit(method);
    return Promise.resolve();
  };
  return { session: { send } as unknown as CDPSession, sent };
}

const paused = (url: string): Protocol.Fetch.RequestPausedEvent =>
  ({ requestId: '1', request: { url, method: 'GET', headers: {} } }) as Protocol.Fetch.RequestPausedEvent;

async function commandFor(rules: readonly MockRule[], url: string): Promise<string> {
  const { session, sent } = startSession();
  const mocks = new NetworkMocks(
    () => [session],
    () => undefined,
    new Credentials(),
  );
  for (const rule of rules) await mocks.add(rule);
  const answers = ['Fetch.continueRequest', 'Fetch.fulfillRequest', 'Fetch.failRequest'];
  const answered = Promise.race(answers.map(async (name) => (await once(sent, name), name)));
  mocks.handlers(session)['Fetch.requestPaused']?.(paused(url));
  return answered;
}

test('a request whose answer cannot be made goes on', async () => {
  const headers = { 'not a name': 'value' };
  expect(await commandFor([{ url: '*', status: 200, headers }], 'https://example.com/')).toBe('Fetch.continueRequest');
});

test('a hundred rules with hostile patterns let a request go on, and the one that fits answers it', async () => {
  const url = `https://example.com/${'a'.repeat(40)}!`;
  const hostile = Array.from({ length: 100 }, (_, index) => ({ url: `/(a+)+${index}$/`, status: 200 }));
  const stars = { url: `*${'a*'.repeat(14)}b`, status: 200 };
  expect(await commandFor([...hostile, stars], url)).toBe('Fetch.continueRequest');
  expect(await commandFor([{ url: '*!', abort: 'Failed' }, ...hostile, stars], url)).toBe('Fetch.failRequest');
});
