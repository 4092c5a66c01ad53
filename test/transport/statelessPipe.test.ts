import { StdioTransport } from '../../src/transport/stdio.js';
import { ManualClock } from '../support/manualClock.js';
import { initialize } from '../support/messages.js';
import { streamPair } from '../support/rawStdio.js';
import { envelope } from '../support/statelessClient.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const request = (id: string, method: string, params: object = {}) => ({
  ...{ jsonrpc: '2.0', id, method },
  params: { ...params, _meta: envelope() },
});

test('[C-STDIO] server/discover first, then either revision: both are served over one pipe', async () => {
  const clock = new ManualClock();
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all, clock });
  const { input, output, client } = streamPair();
  const session = served.orchestrator.connect(new StdioTransport(input, output, { clock, bodyLimit: 10_000 }));
  const call = (id: string, name: string, args: object = {}) => {
    client.send(request(id, 'tools/call', { name, arguments: args }));
    return client.answer(id);
  };

  client.send(request('probe', 'server/discover'));
  expect(await client.answer('probe')).toMatchObject({ result: { supportedVersions: ['2026-07-28'] } });
  // No initialize has to follow: the connection stays.
  clock.advance(60_000);
  expect(session.state).toBe('active');
  expect(await call('echo', 'echo', { value: 'x' })).toMatchObject({ result: { resultType: 'complete' } });

  const opened = await call('open', 'open_browser');
  const [, browserId = ''] = /browser_id: ([\w-]{22})/.exec(JSON.stringify(opened['result'])) ?? [];
  expect(served.orchestrator.registry.peek(browserId)?.facts()).toMatchObject({ transport: 'handle', user: 'local' });
  expect(await call('close', 'close_browser', { browser_id: browserId })).toMatchObject({
    result: { content: [{ text: 'Closed.' }] },
  });

  client.send(request('none', 'ping'));
  expect(await client.answer('none')).toMatchObject({ error: { code: -32601 } });
  client.send({ ...request('half', 'tools/list'), params: { _meta: { ...envelope({ clientCapabilities: 1 }) } } });
  expect(await client.answer('half')).toMatchObject({ error: { code: -32602, data: { reason: 'invalid_envelope' } } });

  client.send(request('held', 'tools/call', { name: 'hold' }));
  await tools.whenHeld();
  const stopped = new Promise((resolve) => tools.held[0]?.context.signal.addEventListener('abort', resolve));
  client.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'held' } });
  await stopped;

  const notifications = { resourceSubscriptions: ['docs://a'] };
  client.send(request('listening', 'subscriptions/listen', { notifications }));
  const heard = (method: string) => client.first((message) => message['method'] === method);
  expect(await heard('notifications/subscriptions/acknowledged')).toMatchObject({ params: { notifications } });
  served.orchestrator.resourceUpdated('docs://a');
  expect(await heard('notifications/resources/updated')).toMatchObject({ params: { uri: 'docs://a' } });
  client.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'listening' } });
  client.send(request('again', 'subscriptions/listen', { notifications: {} }));
  expect(await client.answer('again')).toMatchObject({ result: { resultType: 'complete' } });

  client.send(initialize('earlier'));
  expect(await client.answer('earlier')).toMatchObject({ result: { protocolVersion: expect.any(String) } });
  client.send({ jsonrpc: '2.0', id: 'list', method: 'tools/list' });
  expect(await client.answer('list')).toMatchObject({ result: { tools: expect.any(Array) } });
  client.closeInput();
  await session.ended;
  expect(client.values).not.toContainEqual(expect.objectContaining({ id: 'held' }));
  tools.releaseCalls();
  await served.close();
});

test('[S3][S4][C-STDIO] while its session drains, a request of either revision is refused, and ends no other', async () => {
  const [clock, tools] = [new ManualClock(), new TestTools()];
  const served = await startTestServer({ tools: tools.all, clock });
  const { input, output, client } = streamPair();
  const session = served.orchestrator.connect(new StdioTransport(input, output, { clock, bodyLimit: 10_000 }));
  client.send(initialize('first'));
  await client.answer('first');
  client.send({ jsonrpc: '2.0', id: 'held', method: 'tools/call', params: { name: 'hold', arguments: {} } });
  await tools.whenHeld();
  void served.orchestrator.registry.drain();
  client.send(request('late', 'tools/list'));
  client.send({ jsonrpc: '2.0', id: 'earlier', method: 'tools/list' });
  for (const id of ['late', 'earlier'])
    expect(await client.answer(id)).toMatchObject({ error: { data: { reason: 'draining' } } });
  tools.releaseCalls();
  expect(await client.answer('held')).toHaveProperty('result');
  await session.ended;
  await served.close();
});
