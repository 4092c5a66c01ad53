import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ElicitRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { defineTextTool, defineTool } from '../../src/index.js';
import { send } from '../support/http.js';
import { envelope, messagesOf, StatelessClient } from '../support/statelessClient.js';
import type { TestServer, TestServerOptions } from '../support/testServer.js';
import { serveNode, useClusterNodes } from './clusterNodes.js';

const whose = defineTool({
  name: 'whose',
  group: 'session',
  description: 'Names the session that holds the browser.',
  needs: 'nothing',
  ofSession: true,
  input: z.strictObject({}),
  output: z.object({}),
  annotations: { readOnlyHint: true },
  handler: (_args, { session }) => Promise.resolve({ text: `${session.id} ${session.state}`, structured: {} }),
});

const later = defineTextTool({
  ...{ name: 'later', description: 'Waits until it is stopped.', input: z.strictObject({}), task: { afterMs: 0 } },
  handler: (_args, { signal }) =>
    new Promise<string>((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
});

const asks = defineTool({
  name: 'asks',
  group: 'session',
  description: 'Asks for a name.',
  needs: 'nothing',
  ofSession: true,
  input: z.strictObject({}),
  output: z.object({}),
  annotations: { readOnlyHint: true },
  async handler(_args, { client, progress, session }) {
    progress(1, 2, 'asking');
    const answer = await client.elicit({ message: 'Who?', form: z.object({ name: z.string() }) });
    return { text: `${session.id} ${JSON.stringify(answer)}`, structured: {} };
  },
});

const { kinds, nodes } = useClusterNodes();

const serve = async (
  store: ReturnType<(typeof kinds)[number]['stores']>,
  given: Pick<TestServerOptions, 'observe'> = {},
): Promise<TestServer> => {
  const node = await serveNode(store(), { tools: [whose, later, asks], options: { nodeLease: '3s' }, ...given });
  nodes.push(node);
  return node;
};

test.each(kinds)(
  '[C-NODES] $name: a browser_id is served at every node, and a closed or foreign one is told everywhere alike',
  async ({ stores }) => {
    const store = stores();
    const [here, there] = [await serve(store), await serve(store)];
    const [one, two] = [here, there].map(({ url }) => new StatelessClient(url, '/mcp?userId=anna')) as [
      StatelessClient,
      StatelessClient,
    ];
    const id = await one.open();
    expect(await two.text('whose', { browser_id: id })).toBe(`${id} active`);
    const bert = new StatelessClient(there.url, '/mcp?userId=bert');
    expect((await bert.call('whose', { browser_id: id })).text).toBe(
      (await bert.call('whose', { browser_id: 'A'.repeat(22) })).text,
    );
    // What is no JSON is passed on as it is, and refused alike.
    const broken = [id, 'A'.repeat(22)].map((browser) =>
      send(`${there.url}/mcp`, {
        method: 'POST',
        headers: {
          ...{ 'content-type': 'application/json', 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' },
          'mcp-param-browser': browser,
        },
        body: '{"jsonrpc":',
      }),
    );
    for (const { status, text } of await Promise.all(broken))
      expect([status, text]).toEqual([400, expect.stringContaining('"reason":"parse_error"')]);
    // The header decides to which node a request goes, and the body has to say the same there.
    const hers = await new StatelessClient(here.url, '/mcp?userId=bert').open();
    for (const browser of [hers, 'A'.repeat(22)])
      for (const at of [one, two]) {
        const headers = { 'mcp-param-browser': browser };
        const { status, response } = await at.call('whose', { browser_id: id }, { headers });
        expect([status, response.error?.code, response.id]).toEqual([400, -32020, 1]);
      }
    expect(await two.text('close_browser', { browser_id: id })).toBe('Closed.');
    expect(await two.text('whose', { browser_id: id })).toMatch(/^ERROR This browser is closed \(client-closed\)/);
  },
);

test.each(kinds)(
  '[S11] $name: a node that stops hands its browsers to the next one that is asked',
  async ({ stores }) => {
    const store = stores();
    const attached: string[] = [];
    const observe: TestServerOptions['observe'] = (seen) => {
      if (seen.kind === 'event' && seen.event.type === 'transport.attached') attached.push(seen.actor);
    };
    const [here, there] = [await serve(store), await serve(store, { observe })];
    const id = await new StatelessClient(here.url).open({ isolation: 'process' });
    nodes.splice(nodes.indexOf(here), 1);
    await here.close();
    const client = new StatelessClient(there.url);
    expect(await client.text('whose', { browser_id: id })).toBe(`${id} active`);
    expect(there.orchestrator.registry.peek(id)?.isolation).toBe('process');
    expect(there.orchestrator.registry.peek(id)?.facts()).toMatchObject({
      transport: 'handle',
      protocolVersion: '2026-07-28',
    });
    expect(attached).toEqual([id]);
    expect(await client.text('close_browser', { browser_id: id })).toBe('Closed.');
  },
);

test.each(kinds)(
  '[C-NODES] $name: what happens at one node is told at another, where its tasks are found and stopped',
  async ({ stores }) => {
    const store = stores();
    const [here, there] = [await serve(store), await serve(store)];
    const [one, two] = [new StatelessClient(here.url), new StatelessClient(there.url)];
    const meta = envelope({ clientCapabilities: { extensions: { 'io.modelcontextprotocol/tasks': {} } } });
    const { taskId } = (await one.call('later', {}, { meta })).response.result ?? {};
    const notifications = { resourceSubscriptions: ['docs://a'], taskIds: [taskId] };
    const { head, close } = two.stream('subscriptions/listen', { meta, params: { notifications } });
    const stream = messagesOf(head);
    const next = async (): Promise<unknown> => (await stream.next()).value;
    expect(await next()).toMatchObject({ params: { notifications } });
    expect(await next()).toMatchObject({ params: { taskId, status: 'working' } });
    here.orchestrator.resourceUpdated('docs://a');
    expect(await next()).toMatchObject({ method: 'notifications/resources/updated', params: { uri: 'docs://a' } });
    await two.request('tasks/cancel', { meta, params: { taskId } });
    expect(await next()).toMatchObject({ method: 'notifications/tasks', params: { taskId, status: 'cancelled' } });
    close();
  },
);

test.each(kinds)(
  '[C-NODES] $name: a client of an earlier revision works with a browser of another node, which can ask it',
  async ({ stores }) => {
    const store = stores();
    const [here, there] = [await serve(store), await serve(store)];
    const [mine, foreign] = await Promise.all([
      new StatelessClient(there.url).open(),
      new StatelessClient(there.url, '/mcp?userId=bert').open(),
    ]);
    const client = new Client({ name: 'earlier', version: '1' }, { capabilities: { elicitation: {} } });
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { name: 'Ann' } }));
    await client.connect(new StreamableHTTPClientTransport(new URL('/mcp', here.url)));
    const steps: unknown[] = [];
    const call = async (name: string, id: string): Promise<string> => {
      const params = { name, arguments: { browser_id: id } };
      const { content } = await client.callTool(params, undefined, { onprogress: (step) => void steps.push(step) });
      return (content as { text: string }[]).map(({ text }) => text).join('');
    };
    expect(await call('asks', mine)).toBe(`${mine} {"action":"accept","content":{"name":"Ann"}}`);
    expect(steps).toContainEqual(expect.objectContaining({ message: 'asking' }));
    expect(await call('whose', foreign)).toBe(await call('whose', 'A'.repeat(22)));
    expect(await call('close_browser', mine)).toBe('Closed.');
    expect(there.orchestrator.registry.peek(mine)?.state ?? 'closed').toBe('closed');
    expect(await call('whose', mine)).toMatch(/^This browser is closed \(client-closed\)/);
    await client.close();
  },
);
