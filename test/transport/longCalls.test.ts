import { once } from 'node:events';
import { request, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { nextTurn } from '../support/gate.js';
import { call, initialize, initialized, ping } from '../support/messages.js';
import { postJson, send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const revisions = ['2025-03-26', '2025-06-18', '2025-11-25'];
const json = { accept: 'application/json' };

/** A server on a clock of its own, whose tools the test ends. */
async function serve(): Promise<{ served: TestServer; tools: TestTools; clock: ManualClock }> {
  const [tools, clock] = [new TestTools(), new ManualClock()];
  return { served: await startTestServer({ tools: tools.all, clock }), tools, clock };
}

const holdWith = (id: string, progressToken: unknown) => ({
  ...ping(id),
  method: 'tools/call',
  params: { name: 'hold', arguments: null, _meta: { progressToken } },
});

/** Lets time pass until `event` comes. */
async function advanceUntil(clock: ManualClock, event: Promise<unknown>): Promise<void> {
  const state = { isOver: false };
  const end = (): void => void (state.isOver = true);
  event.then(end, end);
  while (!state.isOver) {
    clock.advance(1_000);
    await nextTurn();
  }
}

/** Posts a message and resolves with the response, whose body is unread. */
async function postOpen(url: string, message: unknown, headers: OutgoingHttpHeaders): Promise<IncomingMessage> {
  const outgoing = request(url, { method: 'POST', agent: false, headers });
  outgoing.setHeader('content-type', 'application/json');
  outgoing.end(JSON.stringify(message));
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

test.each(revisions)(
  '[C-HTTP] %s: every stream sends a byte at once, before there is anything to say',
  async (version) => {
    const { served, tools } = await serve();
    const client = await new RawMcp(served.url, { version }).initialize();
    const listening = await client.listen();
    const asked = await client.sendRequest(call('a', 'hold'));
    for (const stream of [listening, asked]) await stream.when(({ text }) => text.length > 0);
    expect(asked.messages).toEqual([]);
    tools.releaseCalls();
    expect(await client.answer('a')).toMatchObject({ result: { structuredContent: { value: 'held' } } });
    await client.disconnect();
    await served.close();
  },
);

test('a long call with a token tells every ten seconds that it is running; one without has comments only', async () => {
  const { served, tools, clock } = await serve();
  const client = await new RawMcp(served.url).initialize();
  const told = await client.sendRequest(holdWith('told', 0));
  const silent = await client.sendRequest(holdWith('silent', null));
  await tools.whenHeld(2);
  tools.held[0]?.context.progress(1, 3, 'step 1');
  for (const seconds of [10, 20, 30]) {
    clock.advance(10_000);
    await told.when(({ text }) => text.includes(`hold is running for ${seconds} s`));
  }
  tools.held[0]?.context.progress(2, 3, 'step 2');
  await told.when(({ text }) => text.includes('step 2'));
  const sent = told.messages.map((message) => ('params' in message ? message.params : undefined));
  const values = sent.map((params) => Number(params?.['progress']));
  expect(values).toEqual(values.toSorted((one, other) => one - other));
  expect(new Set(values).size).toBe(5);
  expect(sent[1]).toMatchObject({ progressToken: 0, total: 3 });
  await silent.when(({ comments }) => comments.some((text) => text.includes('keep-alive')));
  expect(silent.messages).toEqual([]);
  tools.releaseCalls();
  await Promise.all([client.answer('told'), client.answer('silent')]);
  await client.delete();
  await served.close();
  expect(clock.pending).toBe(0);
});

test('a long call that is answered as JSON keeps its connection with blanks before the text', async () => {
  const { served, tools, clock } = await serve();
  const opened = await postJson(`${served.url}/mcp`, initialize(1), json);
  const session = { ...json, 'mcp-session-id': String(opened.headers['mcp-session-id']) };
  await postJson(`${served.url}/mcp`, initialized, session);
  const asked = postOpen(`${served.url}/mcp`, call('a', 'hold'), session);
  await tools.whenHeld();
  const turns = advanceUntil(clock, asked);
  const response = await asked;
  await turns;
  expect([response.statusCode, response.headers['content-type']]).toEqual([200, 'application/json']);
  const [first] = (await once(response, 'data')) as [Buffer];
  expect(first.toString()).toMatch(/^ +$/);
  tools.releaseCalls();
  const rest: Buffer[] = [];
  for await (const chunk of response) rest.push(chunk as Buffer);
  const text = Buffer.concat([first, ...rest]).toString();
  expect(text).toMatch(/^ +\{/);
  expect(JSON.parse(text)).toMatchObject({ id: 'a', result: { structuredContent: { value: 'held' } } });
  await send(`${served.url}/mcp`, { method: 'DELETE', headers: session });
  await served.close();
});

describe('a call whose client closed the connection', () => {
  const aborted = (tools: TestTools): Promise<unknown> => {
    const { signal } = tools.held[0]?.context ?? {};
    return signal === undefined || signal.aborted ? Promise.resolve() : once(signal, 'abort');
  };

  test.each(['2025-03-26', '2025-06-18'])('of %s is stopped: there is nothing to resume it with', async (version) => {
    const { served, tools } = await serve();
    const client = await new RawMcp(served.url, { version }).initialize();
    const asked = await client.sendRequest(call('a', 'hold'));
    await tools.whenHeld();
    await asked.disconnect();
    await aborted(tools);
    expect(await (await client.sendRequest(ping('b'))).when(({ messages }) => messages.length > 0)).toBeDefined();
    tools.releaseCalls();
    await client.delete();
    await served.close();
  });

  test('and wanted JSON is stopped', async () => {
    const { served, tools } = await serve();
    const client = await new RawMcp(served.url).initialize();
    const asked = new RawSse(served.url, {
      path: '/mcp',
      body: JSON.stringify(call('a', 'hold')),
      headers: { ...client.headers, ...json },
    });
    await tools.whenHeld();
    await asked.disconnect();
    await aborted(tools);
    tools.releaseCalls();
    await client.delete();
    await served.close();
  });

  test('of a revision with an event to resume from goes on, and its answer waits', async () => {
    const { served, tools } = await serve();
    const client = await new RawMcp(served.url, { version: '2025-11-25' }).initialize();
    const asked = await client.sendRequest(call('a', 'hold'));
    await tools.whenHeld();
    const [primed] = (await asked.when(({ events }) => events.length > 0)).events;
    await asked.disconnect();
    await client.post(initialized);
    expect(tools.held[0]?.context.signal.aborted).toBe(false);
    tools.releaseCalls();
    await client.listen(primed?.id);
    expect(await client.answer('a')).toMatchObject({ result: { structuredContent: { value: 'held' } } });
    await client.delete();
    await served.close();
  });
});
