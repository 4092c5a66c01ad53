import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import {
  CreateMessageRequestSchema,
  ElicitationCompleteNotificationSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  type ClientCapabilities,
} from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { askingTools } from './askingTools.js';

const everything: ClientCapabilities = {
  sampling: { tools: {} },
  elicitation: { form: {}, url: {} },
  roots: {},
};

let served: TestServer;
let clock: ManualClock;
const clients: Client[] = [];
beforeEach(async () => {
  clock = new ManualClock();
  served = await startTestServer({ tools: askingTools, clock });
});
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await served.close();
  expect(clock.pending).toBe(0);
});

const transports = {
  '/sse': (url: URL) => new SSEClientTransport(url),
  '/mcp': (url: URL) => new StreamableHTTPClientTransport(url),
};

async function connect(path: keyof typeof transports = '/sse', capabilities = everything): Promise<Client> {
  const client = new Client({ name: 'test', version: '1' }, { capabilities });
  clients.push(client);
  await client.connect(transports[path](new URL(path, served.url)));
  return client;
}

async function call(client: Client, name: string, args: Record<string, unknown> = {}) {
  const { content, isError } = await client.callTool({ name, arguments: args });
  const [block] = z.array(z.object({ text: z.string() })).parse(content);
  return { text: block?.text ?? '', isError: isError ?? false };
}

describe.each(['/sse', '/mcp'] as const)('over %s', (door) => {
  test("[C-ASK] a tool asks the client's model, and gets what it said", async () => {
    const client = await connect(door);
    client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
      const asked = params.messages[0]?.content;
      return { role: 'assistant', model: 'm', content: { type: 'text', text: `${JSON.stringify(asked)}!` } };
    });
    const { text } = await call(client, 'sample', { prompt: 'hello' });
    expect(JSON.parse(text)).toEqual({
      role: 'assistant',
      model: 'm',
      content: [{ type: 'text', text: '{"type":"text","text":"hello"}!' }],
    });
  });

  test('[C-ASK] a form is shown with its defaults, and what is accepted fits it', async () => {
    const client = await connect(door);
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      expect(params).toMatchObject({
        message: 'Which?',
        requestedSchema: {
          type: 'object',
          properties: { copies: { type: 'integer', default: 1 } },
          required: ['name'],
        },
      });
      return { action: 'accept', content: { name: 'n', kind: 'b' } };
    });
    const { text } = await call(client, 'fill_in');
    expect(JSON.parse(text)).toEqual({ action: 'accept', content: { name: 'n', copies: 1, kind: 'b' } });
  });

  test('[C-ASK] an address is opened, and its end is told', async () => {
    const client = await connect(door);
    const completed = new Promise((resolve) =>
      client.setNotificationHandler(ElicitationCompleteNotificationSchema, ({ params }) =>
        resolve(params.elicitationId),
      ),
    );
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      expect(params).toMatchObject({ mode: 'url', url: 'https://example.com/login', elicitationId: 'e-1' });
      return { action: 'accept' };
    });
    expect(await call(client, 'visit')).toMatchObject({ text: 'accept' });
    expect(await completed).toBe('e-1');
  });

  test('[C-ASK] the folders of the client are those that it has now', async () => {
    const client = await connect(door);
    let count = 0;
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: `file:///${(count += 1)}` }] }));
    expect((await call(client, 'roots')).text).toBe('[{"uri":"file:///1"}]');
    expect((await call(client, 'roots')).text).toBe('[{"uri":"file:///2"}]');
  });

  test('[C-ISOLATION] two sessions that ask at once get the answers of their own clients', async () => {
    const both = await Promise.all([connect(door), connect(door)]);
    for (const [index, client] of both.entries()) {
      client.setRequestHandler(ListRootsRequestSchema, async () => {
        await nextTurn();
        return { roots: [{ uri: `file:///${index}` }] };
      });
    }
    const calls = both.flatMap((client) => [call(client, 'roots'), call(client, 'roots')]);
    const texts = (await Promise.all(calls)).map(({ text }) => text);
    expect(texts).toEqual([0, 0, 1, 1].map((index) => `[{"uri":"file:///${index}"}]`));
  });

  test('a log line of a call comes before its answer, at the level that the client asked for', async () => {
    const client = await connect(door);
    const seen: unknown[] = [];
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void seen.push(params.data));
    await call(client, 'say', { text: 'heard' });
    await client.setLoggingLevel('error');
    await call(client, 'say', { text: 'not wanted' });
    expect(seen).toEqual(['heard']);
  });
});

test.each([
  ['sample', { prompt: 'x' }, 'sampling'],
  ['sample_with_tools', {}, 'sampling'],
  ['fill_in', {}, 'elicitation'],
  ['visit', {}, 'elicitation.url'],
  ['roots', {}, 'roots'],
])(
  '[C-ASK] %s is not asked of a client that declared nothing: the tool fails and says why',
  async (name, args, what) => {
    const client = await connect('/sse', {});
    const { text, isError } = await call(client, name, args);
    expect(isError).toBe(true);
    expect(text).toContain(`(${what})`);
    expect(text).toContain('did not declare');
  },
);

test('a client that samples without tools is not given any; one with forms alone gets no address', async () => {
  const client = await connect('/sse', { sampling: {}, elicitation: {} });
  expect((await call(client, 'sample_with_tools')).text).toContain('sampling.tools');
  expect((await call(client, 'visit')).text).toContain('elicitation.url');
});

test('[C-ASK] a refusal, nonsense, and a form with wrong values are failures of the tool that say so', async () => {
  const client = await connect();
  client.setRequestHandler(CreateMessageRequestSchema, () => Promise.reject(new Error('User rejected it')));
  const refused = await call(client, 'sample', { prompt: 'x' });
  expect(refused).toMatchObject({ isError: true, text: expect.stringContaining('User rejected it') });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept', content: { name: 'n', kind: 'c' } }));
  expect((await call(client, 'fill_in')).text).toContain('The client returned a form with wrong values');
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' }));
  expect((await call(client, 'fill_in')).text).toBe('{"action":"decline"}');
});

describe('on the wire', () => {
  let stream: RawSse;
  beforeEach(async () => {
    stream = await new RawSse(served.url).whenAnnounced();
    await stream.call('init', 'initialize', {
      protocolVersion: '2025-11-25',
      capabilities: { roots: {}, elicitation: {} },
    });
  });
  afterEach(() => stream.disconnect());

  const asked = () => stream.messages.filter((message) => 'method' in message && message.method === 'roots/list');

  /** Calls `roots` and resolves with the id of the request that comes back. */
  async function ask(id: string): Promise<number> {
    const before = asked().length;
    await stream.post({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'roots' } });
    await stream.when(() => asked().length > before);
    const request = asked().at(-1);
    return request && 'id' in request ? Number(request.id) : Number.NaN;
  }

  const cancellations = () =>
    stream.messages.filter((message) => 'method' in message && message.method === 'notifications/cancelled');

  test('[C-ASK] the first answer counts; a second one, one to nothing and one that is none are ignored', async () => {
    const id = await ask('call');
    for (const stray of [id + 1, String(id), 0, '__proto__']) {
      await stream.post({ jsonrpc: '2.0', id: stray, result: { roots: [{ uri: 'file:///stray' }] } });
    }
    await stream.post({ jsonrpc: '2.0', id, result: { roots: [{ uri: 'file:///first' }] } });
    await stream.post({ jsonrpc: '2.0', id, result: { roots: [{ uri: 'file:///second' }] } });
    expect(JSON.stringify(await stream.answer('call'))).toContain('file:///first');
    expect(stream.answersTo('call')).toHaveLength(1);
    const next = await ask('nonsense');
    await stream.post({ jsonrpc: '2.0', id: next, result: { roots: 7 } });
    expect(JSON.stringify(await stream.answer('nonsense'))).toContain('is invalid');
  });

  test('[C-ASK] a form that comes back with wrong values, or without any, is not taken', async () => {
    for (const [index, content] of [{ name: 7 }, { name: 'n', kind: 'c' }, undefined].entries()) {
      await stream.post({ jsonrpc: '2.0', id: `call${index}`, method: 'tools/call', params: { name: 'fill_in' } });
      const forms = () => stream.messages.filter((one) => 'method' in one && one.method === 'elicitation/create');
      await stream.when(() => forms().length > index);
      const form = forms()[index];
      const id = form && 'id' in form ? form.id : '';
      await stream.post({ jsonrpc: '2.0', id, result: { action: 'accept', ...(content && { content }) } });
      const answer = await stream.answer(`call${index}`);
      expect(answer).toMatchObject({ result: { isError: true } });
      expect(JSON.stringify(answer)).toContain('The client returned a form with wrong values');
    }
  });

  test('[C-ASK] a client that does not answer in time is told that it need not any more', async () => {
    const id = await ask('call');
    clock.advance(4_999);
    expect(stream.answersTo('call')).toEqual([]);
    clock.advance(1);
    expect(JSON.stringify(await stream.answer('call'))).toContain('did not answer roots/list within 5 s');
    expect(cancellations()).toMatchObject([{ params: { requestId: id } }]);
    await stream.post({ jsonrpc: '2.0', id, result: { roots: [] } });
    await stream.call('ping', 'ping');
    expect(stream.answersTo('call')).toHaveLength(1);
  });

  test('[C-ASK] a client that cancels the call need not answer what the call asked', async () => {
    const id = await ask('call');
    await stream.post({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'call' } });
    await stream.when(() => cancellations().length > 0);
    expect(cancellations()).toMatchObject([{ params: { requestId: id } }]);
    await stream.call('ping', 'ping');
    expect(stream.answersTo('call')).toEqual([]);
  });

  test('[S7] the end of the session rejects what waits, and says nothing about it', async () => {
    await ask('call');
    served.orchestrator.registry.list()[0]?.close('operator-closed');
    await stream.whenClosed();
    expect(cancellations()).toEqual([]);
    expect(stream.answersTo('call')).toMatchObject([{ error: { data: { reason: 'closed' } } }]);
  });

  test('[S10] more than 64 questions do not wait at once', async () => {
    await stream.post({ jsonrpc: '2.0', id: 'many', method: 'tools/call', params: { name: 'many' } });
    await stream.when(() => asked().length === 64);
    for (const request of asked()) {
      await stream.post({ jsonrpc: '2.0', id: 'id' in request ? request.id : '', result: { roots: [] } });
    }
    const answer = JSON.stringify(await stream.answer('many'));
    expect(answer).toContain('64 are waiting for a response');
  });
});
