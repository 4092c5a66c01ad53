import { createOrchestrator, type Orchestrator } from '../../src/server/orchestrator.js';
import { chromium } from '../support/chromium.js';
import { call } from '../support/messages.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';

let orchestrator: Orchestrator;
let url: string;
beforeAll(async () => {
  orchestrator = await createOrchestrator({ options: { port: 0, prewarm: 0, executablePath: chromium } });
  ({ url } = await orchestrator.listen());
});
afterAll(() => orchestrator.close());

const waitForever = call('waits', 'wait_for', { text: ['never'], timeout: 100_000 });
const calculate = call('next', 'evaluate_script', { function: '() => 6 * 7' });

test('a call whose client may come back gives the page to the next one, and its answer says so', async () => {
  const client = await new RawMcp(url).initialize();
  await (await client.sendRequest(call('opens', 'list_pages'))).whenClosed();
  const asked = await client.sendRequest(waitForever);
  const [primed] = (await asked.when(({ events }) => events.length > 0)).events;
  await asked.disconnect();
  await client.sendRequest(calculate);
  expect(JSON.stringify(await client.answer('next'))).toContain('42');
  await client.listen(primed?.id);
  const answer = await client.answer('waits');
  expect(answer).toMatchObject({ result: { isError: true } });
  expect(JSON.stringify(answer)).toContain('another call needed the page');
  await client.delete();
});

test('a call whose client came back keeps the page, and a client of an older revision cannot come back', async () => {
  const client = await new RawMcp(url).initialize();
  const asked = await client.sendRequest(waitForever);
  const [primed] = (await asked.when(({ events }) => events.length > 0)).events;
  await asked.disconnect();
  await client.listen(primed?.id);
  await client.sendRequest(calculate);
  await client.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'waits' } });
  expect(JSON.stringify(await client.answer('next'))).toContain('42');
  expect(client.messages.some((message) => 'id' in message && message.id === 'waits')).toBe(false);
  await client.delete();

  const older = await new RawMcp(url, { version: '2025-06-18' }).initialize();
  const lost = new RawSse(url, { path: '/mcp', body: JSON.stringify(waitForever), headers: older.headers });
  await lost.when(({ text }) => text.length > 0);
  await lost.disconnect();
  await older.sendRequest(calculate);
  expect(JSON.stringify(await older.answer('next'))).toContain('42');
  await older.delete();
});
