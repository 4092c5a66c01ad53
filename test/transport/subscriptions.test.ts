import { z } from 'zod';
import { defineTextTool, defineTool } from '../../src/index.js';
import { messagesOf, StatelessClient } from '../support/statelessClient.js';
import { startTestServer, type TestServer } from '../support/testServer.js';

const store = defineTool({
  name: 'store',
  group: 'session',
  description: 'Stores a big result.',
  needs: 'nothing',
  ofSession: true,
  input: z.strictObject({}),
  output: z.object({}),
  annotations: { readOnlyHint: true },
  async handler(_args, { resources }) {
    return {
      text: 'stored',
      structured: {},
      resources: [await resources.add({ name: 'a', mimeType: 'text/plain', data: 'a' })],
    };
  },
});
const plain = defineTextTool({ name: 'plain', description: 'Answers', input: z.strictObject({}), handler: () => 'x' });

let served: TestServer;
beforeEach(async () => {
  served = await startTestServer({ tools: [store, plain] });
});

const listen = (client: StatelessClient, notifications: unknown, id = 'mine') =>
  client.stream('subscriptions/listen', { id, params: { notifications } });

const tagged = { _meta: { 'io.modelcontextprotocol/subscriptionId': 'mine' } };

test('a stream begins with what it will carry, carries that alone with its id, and ends with a result', async () => {
  const anna = new StatelessClient(served.url, '/mcp?userId=anna');
  const bert = new StatelessClient(served.url, '/mcp?userId=bert');
  const { head } = listen(anna, {
    toolsListChanged: true,
    resourcesListChanged: true,
    resourceSubscriptions: ['docs://a'],
  });
  const stream = messagesOf(head);
  const next = async (): Promise<unknown> => (await stream.next()).value;
  expect(await next()).toEqual({
    jsonrpc: '2.0',
    method: 'notifications/subscriptions/acknowledged',
    params: { notifications: { resourcesListChanged: true, resourceSubscriptions: ['docs://a'] }, ...tagged },
  });
  const [hers, his] = [await anna.open(), await bert.open()];
  await bert.text('store', { browser_id: his });
  served.orchestrator.resourceUpdated('docs://b');
  served.orchestrator.resourceUpdated('docs://a');
  expect(await next()).toMatchObject({
    method: 'notifications/resources/updated',
    params: { uri: 'docs://a', ...tagged },
  });
  expect((await anna.call('store', { browser_id: hers })).notices).toEqual([]);
  expect(await next()).toMatchObject({ method: 'notifications/resources/list_changed', params: tagged });
  await Promise.all([
    anna.text('close_browser', { browser_id: hers }),
    bert.text('close_browser', { browser_id: his }),
  ]);
  const closing = served.close();
  expect(await next()).toMatchObject({ id: 'mine', result: { resultType: 'complete', ...tagged } });
  expect((await stream.next()).done).toBe(true);
  await closing;
});

test('a wish that cannot be read is refused, and one that nothing can fulfil ends at once', async () => {
  const client = new StatelessClient(served.url);
  for (const notifications of [undefined, [], { resourceSubscriptions: 'docs://a' }]) {
    const { status, response } = await client.request('subscriptions/listen', { params: { notifications } });
    expect([status, response.error?.code]).toEqual([400, -32602]);
  }
  const { notices, response } = await client.request('subscriptions/listen', { params: { notifications: {} } });
  expect(notices).toMatchObject([
    { method: 'notifications/subscriptions/acknowledged', params: { notifications: {} } },
  ]);
  expect(response).toMatchObject({ id: 1, result: { resultType: 'complete' } });
  await served.close();
});
