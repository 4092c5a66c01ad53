import { z } from 'zod';
import { defineTextTool } from '../../src/index.js';
import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { ManualClock } from '../support/manualClock.js';
import { envelope, StatelessClient, type Answer } from '../support/statelessClient.js';
import { serveNode } from '../cluster/clusterNodes.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

let runs = 0;
const name = z.object({ name: z.string() });
const survey = defineTextTool({
  name: 'survey',
  description: 'Asks for two names, one after the other.',
  input: z.strictObject({ greeting: z.string() }),
  async handler({ greeting }, { client }) {
    runs += 1;
    const first = await client.elicit({ message: 'First?', form: name });
    const second = await client.elicit({ message: 'Second?', form: name }, { key: 'second' });
    return `${greeting} ${JSON.stringify([first, second])}`;
  },
});

const meta = envelope({ clientCapabilities: { elicitation: {} } });
const accepted = (text: string) => ({ action: 'accept', content: { name: text } });

let served: TestServer;
let client: StatelessClient;
const clock = new ManualClock();
beforeAll(async () => {
  served = await startTestServer({ tools: [survey], clock });
  client = new StatelessClient(served.url);
});
afterAll(() => served.close());

const ask = (given: object = {}, { greeting = 'Hi', at = client } = {}): Promise<Answer> =>
  at.call('survey', { greeting }, { meta, params: { name: 'survey', arguments: { greeting }, ...given } });

const stateOf = ({ response }: Answer) => response.result?.['requestState'];

test('a tool asks in rounds: the questions are the result, and the answers bring it further', async () => {
  const one = await ask();
  expect(one.response.result).toEqual({
    resultType: 'input_required',
    inputRequests: {
      elicitation_1: { method: 'elicitation/create', params: expect.objectContaining({ message: 'First?' }) },
    },
    requestState: expect.any(String),
    _meta: expect.any(Object),
  });
  const two = await ask({ inputResponses: { elicitation_1: accepted('a'), more: {} }, requestState: stateOf(one) });
  expect(two.response.result).toMatchObject({
    resultType: 'input_required',
    inputRequests: { second: { params: { message: 'Second?' } } },
  });
  const three = await ask({ inputResponses: { second: accepted('b') }, requestState: stateOf(two) });
  expect(three.response.result).toMatchObject({
    resultType: 'complete',
    content: [{ text: `Hi ${JSON.stringify([accepted('a'), accepted('b')])}` }],
  });
});

test('a state that was changed, used, given for another request or to somebody else, or has expired is refused before the tool runs', async () => {
  const state = String(stateOf(await ask()));
  const before = runs;
  const refused = async (requestState: unknown, options = {}): Promise<void> => {
    const { status, response } = await ask({ requestState }, options);
    expect([status, response.error?.code, response.error?.data?.['reason']]).toEqual([400, -32602, 'invalid_input']);
  };
  const [body = '', signature = ''] = state.split('.');
  const forged = Buffer.from(Buffer.from(body, 'base64url').toString().replace('{}', '{"x":{}}')).toString('base64url');
  for (const changed of [`${forged}.${signature}`, `${body}.`, `${state}x`, `${state}.${signature}`, '', '.', 7])
    await refused(changed);
  await refused(state, { greeting: 'Bye' });
  await refused(state, { at: new StatelessClient(served.url, '/mcp?userId=anna') });
  expect(runs).toBe(before);
  await ask({ requestState: state, inputResponses: { elicitation_1: accepted('a') } });
  await refused(state);
  const late = stateOf(await ask());
  clock.advance(600_001);
  await refused(late);
  for (const inputResponses of [null, [], { elicitation_1: 5 }]) {
    expect((await ask({ inputResponses })).response.error?.code).toBe(-32602);
  }
});

test('a client that cannot answer is told what the request needs', async () => {
  const { status, response } = await client.call('survey', { greeting: 'Hi' });
  expect([status, response.error]).toMatchObject([
    400,
    { code: -32021, data: { requiredCapabilities: { elicitation: { form: {} } } } },
  ]);
});

test('another node goes on with a state, and no second one does', async () => {
  const store = new MemoryStore(systemClock);
  const nodes = [await serveNode(store, { tools: [survey] }), await serveNode(store, { tools: [survey] })];
  const [here, there] = nodes.map(({ url }) => new StatelessClient(url));
  const requestState = stateOf(await ask({}, { at: here ?? client }));
  const given = { requestState, inputResponses: { elicitation_1: accepted('a') } };
  expect((await ask(given, { at: there ?? client })).response.result).toMatchObject({ resultType: 'input_required' });
  expect((await ask(given, { at: here ?? client })).response.error?.data).toMatchObject({ reason: 'invalid_input' });
  await Promise.all(nodes.map((node) => node.close()));
});
