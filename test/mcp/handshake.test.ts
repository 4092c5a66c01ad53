import { systemClock } from '../../src/clock.js';
import type { RequestId } from '../../src/mcp/protocol.js';
import { StdioTransport } from '../../src/transport/stdio.js';
import { ManualClock } from '../support/manualClock.js';
import { call, initialize, initialized, ping } from '../support/messages.js';
import { RawSse } from '../support/rawSse.js';
import { streamPair } from '../support/rawStdio.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

interface Client {
  send(message: object): unknown;
  answer(id: RequestId): Promise<object>;
  disconnect(): unknown;
}

async function openSse({ url }: TestServer): Promise<Client> {
  const stream = await new RawSse(url).whenAnnounced();
  return {
    send: (message) => stream.post(message),
    answer: (id) => stream.answer(id),
    disconnect: () => stream.disconnect(),
  };
}

const openWebSocket = ({ url }: TestServer): Promise<Client> => new RawWebSocket(url).whenAnnounced();

function openStdio({ orchestrator }: TestServer): Promise<Client> {
  const { input, output, client } = streamPair();
  orchestrator.connect(new StdioTransport(input, output, { clock: systemClock, bodyLimit: 10_000 }));
  return Promise.resolve({
    send: (message: object) => client.send(message),
    answer: (id: RequestId) => client.answer(id),
    disconnect: () => client.closeInput(),
  });
}

const transports = [
  ['sse', openSse],
  ['websocket', openWebSocket],
  ['stdio', openStdio],
] as const;

/** A client of its own server that is connected and has not initialized. */
async function connect(open: (served: TestServer) => Promise<Client>, given: TestServerOptions = {}) {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all, ...given });
  const client = await open(served);
  const [session] = served.orchestrator.registry.list();
  if (session === undefined) throw new Error('There is no session.');
  const ask = async (message: { readonly id: RequestId; readonly method: string; readonly params?: object }) => {
    await client.send(message);
    return client.answer(message.id);
  };
  const close = async (): Promise<void> => {
    await client.disconnect();
    await session.ended;
    await served.close();
  };
  return { client, served, session, tools, ask, close };
}

const refusal = (reason: string) => ({ error: { code: -32600, data: { reason } } });

test.each(transports)(
  '[C-HANDSHAKE] %s: before initialize only ping is answered, and initialize works afterwards',
  async (_, open) => {
    const { session, ask, close, client } = await connect(open);
    expect(await ask(ping('p'))).toMatchObject({ id: 'p', result: {} });
    for (const method of ['tools/list', 'resources/list', 'logging/setLevel'])
      expect(await ask({ ...ping(method), method })).toMatchObject({ id: method, ...refusal('not_initialized') });
    expect(await ask(call('c', 'echo', { value: 'x' }))).toMatchObject({ id: 'c', ...refusal('not_initialized') });
    await client.send(initialized);
    expect(session.facts()).toMatchObject({ state: 'connected', toolCalls: 0, protocolVersion: null });
    expect(await ask(initialize('i', '2025-06-18'))).toMatchObject({ result: { protocolVersion: '2025-06-18' } });
    expect(session.facts()).toMatchObject({ state: 'active', client: { name: 'raw' } });
    // A client that leaves notifications/initialized out is served too.
    expect(await ask(call('d', 'echo', { value: 'x' }))).toMatchObject({
      result: { structuredContent: { value: 'x' } },
    });
    await close();
  },
);

test.each(transports)(
  '[C-HANDSHAKE] %s: a probe of a later revision is told that there is no such method',
  async (_, open) => {
    const { ask, close } = await connect(open);
    const probe = { ...ping('probe'), method: 'server/discover', params: { _meta: {} } };
    expect(await ask(probe)).toMatchObject({ id: 'probe', error: { code: -32601 } });
    expect(await ask(initialize('i'))).toMatchObject({ result: { protocolVersion: '2025-11-25' } });
    await close();
  },
);

test.each(transports)('[C-HANDSHAKE] %s: a second initialize is refused and changes nothing', async (_, open) => {
  const { session, ask, close } = await connect(open);
  await ask(initialize('first', '2025-06-18'));
  const before = session.server.snapshot();
  const second = initialize('second', '2024-11-05');
  Object.assign(second.params, { clientInfo: { name: 'other', version: '2' }, capabilities: { sampling: {} } });
  expect(await ask(second)).toMatchObject({ id: 'second', ...refusal('already_initialized') });
  expect(session.server.snapshot()).toEqual(before);
  expect(session.state).toBe('active');
  expect(await ask(call('c', 'echo', { value: 'x' }))).toMatchObject({ result: { structuredContent: { value: 'x' } } });
  await close();
});

test.each([transports[0], transports[1]])(
  '[C-HANDSHAKE] %s: a client that only pings is closed when its time to initialize is over',
  async (_, open) => {
    const clock = new ManualClock();
    const { session, ask, served } = await connect(open, { clock, options: { initializeTimeout: 10_000 } });
    clock.advance(9_999);
    await ask(ping('p'));
    expect(session.state).toBe('connected');
    clock.advance(1);
    await session.ended;
    expect(session.end.closedBecause).toBe('initialize-timeout');
    await served.close();
  },
);
