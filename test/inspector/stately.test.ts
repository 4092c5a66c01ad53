import { once } from 'node:events';
import { createWebSocketReceiver } from '@statelyai/inspect';
import { createMachine } from 'xstate';
import WebSocket from 'ws';
import { machines } from '../../machines/index.js';
import { createOrchestrator } from '../../src/server/orchestrator.js';
import { createStately, type StatelyBridge } from '../../src/inspector/stately.js';
import { send } from '../support/http.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { connectClient, startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const definitions = new Map(machines.map(({ name, machine }) => [name as string, JSON.stringify(machine.config)]));

let stately: StatelyBridge;
let served: TestServer;
let port: number;

beforeEach(async () => {
  stately = createStately({ port: 0, definitions });
  port = await stately.listen();
  served = await startTestServer({ tools: new TestTools().all, observe: stately.onObservation });
});

afterEach(async () => {
  await served.close();
  await stately.close();
});

/** Everything that Stately's own receiver hands on. */
class Received {
  readonly messages: Record<string, unknown>[] = [];
  #look: () => void = () => undefined;

  constructor(receiver: ReturnType<typeof createWebSocketReceiver>) {
    receiver.subscribe((message) => {
      this.messages.push({ ...message });
      this.#look();
    });
  }

  async when(fits: (message: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.messages.find(fits);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => (this.#look = resolve));
    }
  }
}

const valueOf = (message: Record<string, unknown>): string =>
  JSON.stringify((message['snapshot'] as { value?: unknown } | undefined)?.value);

test("[C-INSPECTOR] Stately's own receiver is shown each actor with its chart, its events and its states to the end", async () => {
  const received = new Received(createWebSocketReceiver({ server: `ws://127.0.0.1:${port}` }));
  await received.when(({ type, sessionId }) => type === '@xstate.actor' && sessionId === 'server');
  const client = await connectClient(served.url, '/sse?userId=anna');
  await client.callTool({ name: 'echo', arguments: { value: 'a-secret' } });
  const { definition, sessionId } = await received.when(
    ({ type, name }) => type === '@xstate.actor' && String(name).startsWith('session '),
  );
  const chart = createMachine(JSON.parse(String(definition)) as Parameters<typeof createMachine>[0]);
  expect(Object.keys(chart.states)).toEqual(['created', 'tools-registered', 'connected', 'active', 'closed']);
  await received.when((message) => valueOf(message) === '{"active":{"serving":"busy"}}');
  await received.when(({ type, event }) => type === '@xstate.event' && JSON.stringify(event).includes('"tool":"echo"'));
  await client.close();
  const end = await received.when((message) => message['sessionId'] === sessionId && valueOf(message) === '"closed"');
  expect(end).toMatchObject({ snapshot: { status: 'done', context: { closedBecause: 'client-closed' } } });
  const text = JSON.stringify(received.messages);
  for (const secret of ['a-secret', 'anna', 'local']) expect(text).not.toContain(`"${secret}"`);
});

test('[C-INSPECTOR] a receiver that comes late is told of the actors that live, and of no others', async () => {
  const gone = await connectClient(served.url);
  await gone.close();
  const client = await connectClient(served.url);
  const [session] = served.orchestrator.registry.list();
  const received = new Received(createWebSocketReceiver({ server: `ws://127.0.0.1:${port}` }));
  await received.when(({ sessionId }) => sessionId === session?.id.slice(0, 8));
  const actors = received.messages.filter(({ type }) => type === '@xstate.actor').map(({ sessionId }) => sessionId);
  expect(actors).toEqual(['creation-failure-rate', 'server', session?.id.slice(0, 8)]);
  await client.close();
});

test.each([{ origin: 'https://evil.example' }, { host: 'evil.example' }])(
  '[C-INSPECTOR] a foreign page gets nothing: %p',
  async (headers) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toMatch(/40[13]/);
    expect((await send(`http://127.0.0.1:${port}/`, { headers })).status).toBe(403);
  },
);

test('[S10] a receiver that talks is not listened to, and one that shouts is let go', async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`);
  await once(socket, 'open');
  socket.send('{"garbage');
  socket.send('x'.repeat(5_000));
  await once(socket, 'close');
  expect((await send(`http://127.0.0.1:${port}/`)).status).toBe(200);
});

test('[C-CONFIG] --inspect-stately opens and closes the port with the server; one that is taken is named', async () => {
  const options = { inspectStately: port };
  const blocked = await createOrchestrator({
    options: { port: 0, ...options },
    pool: new FakeBrowserPool(),
    tools: [],
  });
  await expect(blocked.listen()).rejects.toThrow(/--inspect-stately: cannot listen on 127\.0\.0\.1:\d+/);
  await blocked.close();
  await stately.close();
  const other = await startTestServer({ options });
  expect((await send(`http://127.0.0.1:${port}/`)).text).toContain('https://stately.ai/inspect');
  await other.close();
  await expect(send(`http://127.0.0.1:${port}/`)).rejects.toThrow(/ECONNREFUSED/);
});
