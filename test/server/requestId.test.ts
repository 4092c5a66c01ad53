import type { LogFields, Log } from '../../src/log.js';
import { silentLog } from '../../src/log.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { postJson, send } from '../support/http.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

const lines: [message: string, fields: LogFields | undefined][] = [];
const take = (message: string, fields?: LogFields): void => void lines.push([message, fields]);
const log: Log = { ...silentLog, error: take, info: take, debug: take };
const pool = new FakeBrowserPool();
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

let served: TestServer;
beforeAll(async () => {
  served = await startTestServer({ log, pool });
});
beforeEach(() => lines.splice(0));
afterAll(() => served.close());

test('[C-REQUEST-ID] an answer carries the id that its request brought, and so do the refusal and its line', async () => {
  const reply = await send(`${served.url}/nothing`, { headers: { 'x-request-id': 'ticket-4711' } });
  expect(reply.headers['x-request-id']).toBe('ticket-4711');
  expect(reply.json).toMatchObject({ error: { data: { reason: 'not_found', requestId: 'ticket-4711' } } });
  expect(lines).toContainEqual(['refused', expect.objectContaining({ reason: 'not_found', request: 'ticket-4711' })]);
});

test.each([
  ['none', undefined],
  ['an empty one', ''],
  ['one with a line in it', 'a%0Ab c'],
  ['one that is too long', 'x'.repeat(129)],
  ['markup', '<script>'],
])('[C-REQUEST-ID] a request with %s gets an id of the server', async (_name, given) => {
  const reply = await send(`${served.url}/health`, { headers: given === undefined ? {} : { 'x-request-id': given } });
  expect(reply.headers['x-request-id']).toMatch(uuid);
});

test('[C-REQUEST-ID] a stream carries it, and a set-up that fails names it in its refusal', async () => {
  const headers = { 'x-request-id': 'connect-1' };
  const stream = await new RawSse(served.url, { headers }).whenAnnounced();
  expect(stream.headers['x-request-id']).toBe('connect-1');
  await stream.disconnect();
  pool.holdLeases();
  const failing = new RawSse(served.url, { headers: { 'x-request-id': 'connect-2' } });
  await pool.whenWaiting();
  pool.failLeases('browser_failed', 'Chrome is broken.');
  await failing.whenClosed();
  pool.releaseLeases();
  expect(JSON.parse(failing.text)).toMatchObject({ error: { data: { requestId: 'connect-2' } } });
  const said = { reason: 'browser_failed', status: 502, transport: 'sse', request: 'connect-2' };
  expect(lines).toContainEqual(['refused', said]);
});

test('[C-REQUEST-ID] an unknown session has one body for all: there the header alone tells', async () => {
  const path = `${served.url}/message?sessionId=${'A'.repeat(22)}`;
  const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
  const replies = await Promise.all(['one', 'two'].map((id) => postJson(path, ping, { 'x-request-id': id })));
  expect(replies[0]?.text).toBe(replies[1]?.text);
  expect(replies.map(({ headers }) => headers['x-request-id'])).toEqual(['one', 'two']);
});

test('a settled request is a line at debug, with what the client made up cut short', async () => {
  const stream = await new RawSse(served.url).whenAnnounced();
  const long = 'm'.repeat(1_000);
  await stream.call('i'.repeat(1_000), long);
  const session = stream.sessionId.slice(0, 8);
  const line = { session, id: 'i'.repeat(64), method: 'm'.repeat(64), outcome: 'failed', ms: expect.any(Number) };
  expect(lines).toContainEqual(['request settled', expect.objectContaining(line)]);
  expect(JSON.stringify(lines)).not.toContain(stream.sessionId);
  await stream.disconnect();
});

test('a defect names the request in its line', async () => {
  const { registry } = served.orchestrator;
  const { find } = registry;
  registry.find = () => {
    throw new Error('boom');
  };
  await send(`${served.url}/api/sessions/x`, { method: 'DELETE', headers: { 'x-request-id': 'broken-1' } });
  registry.find = find;
  expect(lines).toContainEqual(['request failed', expect.objectContaining({ request: 'broken-1', error: 'boom' })]);
});
