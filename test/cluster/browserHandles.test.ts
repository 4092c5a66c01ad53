import { z } from 'zod';
import { defineTool } from '../../src/index.js';
import { StatelessClient } from '../support/statelessClient.js';
import type { TestServer } from '../support/testServer.js';
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

const { kinds, nodes } = useClusterNodes();

const serve = async (store: ReturnType<(typeof kinds)[number]['stores']>): Promise<TestServer> => {
  const node = await serveNode(store(), { tools: [whose], options: { nodeLease: '3s' } });
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
    expect(await two.text('close_browser', { browser_id: id })).toBe('Closed.');
    expect(await two.text('whose', { browser_id: id })).toMatch(/^ERROR This browser is closed \(client-closed\)/);
  },
);

test.each(kinds)(
  '[S11] $name: a node that stops hands its browsers to the next one that is asked',
  async ({ stores }) => {
    const store = stores();
    const [here, there] = [await serve(store), await serve(store)];
    const id = await new StatelessClient(here.url).open();
    nodes.splice(nodes.indexOf(here), 1);
    await here.close();
    const client = new StatelessClient(there.url);
    expect(await client.text('whose', { browser_id: id })).toBe(`${id} active`);
    expect(there.orchestrator.registry.peek(id)?.facts()).toMatchObject({
      transport: 'handle',
      protocolVersion: '2026-07-28',
    });
    expect(await client.text('close_browser', { browser_id: id })).toBe('Closed.');
  },
);
