import type { JSONRPCMessage, RequestId } from '../../src/mcp/protocol.js';
import type { TransportKind } from '../../src/session/channel.js';
import { nextTurn } from '../support/gate.js';
import { send } from '../support/http.js';
import { call, ping } from '../support/messages.js';
import { startTestServer, type TestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { recordingLog } from '../tenancy/support/guardedServer.js';

/** One client of a transport, as the suite drives it. It sees what really came over the wire. */
export interface ContractClient {
  /** Resolves when the client was told its session and may call; rejects with what it heard instead ({@link RefusedError}). */
  readonly ready: Promise<unknown>;
  /** How often it was told a session id. */
  readonly announcements: number;
  /** Every byte of what the server said so far, in order. */
  readonly text: string;
  /** Every message that came, in order, over whichever stream. */
  readonly messages: readonly JSONRPCMessage[];
  /** Sends a message; resolves when it has left, whatever becomes of it. */
  send(message: object): Promise<void>;
  /** Resolves with the answer to the request `id`. */
  answer(id: RequestId): Promise<JSONRPCMessage>;
  /** Sends what the server must refuse, as it is; resolves with the JSON-RPC error, whichever way it comes. */
  refusal(body: string): Promise<unknown>;
  /** Takes leave as the transport's clients do. */
  disconnect(): Promise<void>;
  /** Vanishes without a word. */
  dropConnection(): Promise<void>;
  /** Resolves when the server has ended it. */
  ended(): Promise<void>;
  /** Stops reading, so that the server's bytes pile up. */
  pause(): void;
}

/** What a client that is not let in hears. */
export class RefusedError extends Error {
  readonly body: unknown;

  constructor(body: unknown) {
    super(JSON.stringify(body));
    this.body = body;
  }
}

export interface TransportUnderTest {
  readonly kind: TransportKind;
  /** What becomes of a client that does not read: its session ends, or its stream alone. */
  readonly slowClient: 'session' | 'stream';
  /** What becomes of the session of a client that vanishes. */
  readonly sessionAfterDrop: 'closed' | 'idle';
  /** Whether messages that are too large, or no JSON, are refused with an error that the client can read. */
  readonly refusesGarbage: boolean;
  open(url: string): ContractClient;
}

const reasonOf = (reason: string) => ({ error: { data: { reason } } });

/** What every transport promises, whatever carries it. Call it once in the test file of each. */
export function describeTransport(transport: TransportUnderTest): void {
  describe(`the contract of a transport: ${transport.kind}`, () => {
    let tools: TestTools;
    let served: TestServer;
    let log: string[];
    const open = () => transport.open(served.url);
    const ready = async (): Promise<ContractClient> => {
      const client = open();
      await client.ready;
      return client;
    };
    beforeEach(async () => {
      tools = new TestTools();
      log = [];
      served = await startTestServer({ tools: tools.all, log: recordingLog(log), options: { bodyLimit: '64kb' } });
    });
    afterEach(() => {
      tools.releaseCalls();
      return served.close();
    });

    test('[S1][S2] a client hears nothing before its session is ready, and then its id exactly once', async () => {
      served.pool.holdLeases();
      const client = open();
      await served.pool.whenWaiting();
      await send(`${served.url}/health`);
      expect([client.announcements, client.text]).toEqual([0, '']);
      served.pool.releaseLeases();
      await client.ready;
      expect(client.announcements).toBe(1);
      await client.disconnect();
    });

    test('[S8] a client whose session cannot be set up hears the cause, and nothing is left', async () => {
      served.pool.holdLeases();
      const client = open();
      const refused = expect(client.ready).rejects.toMatchObject({ body: reasonOf('browser_unreachable') });
      await served.pool.whenWaiting();
      served.pool.failLeases('browser_unreachable', 'Nothing answers at port 9222.');
      await refused;
      expect(client.announcements).toBe(0);
      await client.dropConnection();
      expect(served.orchestrator.registry.list()).toEqual([]);
    });

    test('[S5] a client that vanishes before it is ready leaves nothing behind, also what opens late', async () => {
      served.pool.holdLeases();
      const client = open();
      client.ready.catch(() => undefined);
      await served.pool.whenWaiting();
      const [session] = served.orchestrator.registry.list();
      await client.dropConnection();
      await session?.ended;
      served.pool.releaseLeases();
      await nextTurn();
      expect([served.pool.opened.length, served.pool.closed.length]).toEqual([1, 1]);
    });

    test('[S4] fifty requests are each answered once, with their own answers', async () => {
      const client = await ready();
      const ids = Array.from({ length: 50 }, (_, index) => index);
      await Promise.all(ids.map((id) => client.send(call(id, 'echo', { value: `value ${id}` }))));
      for (const id of ids) {
        expect(await client.answer(id)).toMatchObject({ result: { structuredContent: { value: `value ${id}` } } });
      }
      const answered = client.messages.map((message) => ('id' in message ? message.id : null));
      expect(answered.filter((id) => typeof id === 'number').toSorted((a, b) => a - b)).toEqual(ids);
      await client.disconnect();
    });

    test('[S4] progress comes in order, before the answer', async () => {
      const client = await ready();
      const params = { name: 'count', arguments: {}, _meta: { progressToken: 'token' } };
      await client.send({ jsonrpc: '2.0', id: 'counting', method: 'tools/call', params });
      await client.answer('counting');
      const kinds = client.messages.map((message) =>
        'method' in message ? message.params?.['progress'] : 'id' in message ? message.id : null,
      );
      expect(kinds.slice(-4)).toEqual([1, 2, 3, 'counting']);
      await client.disconnect();
    });

    test('[S4] a long call holds up neither ping nor its own cancellation, and a cancelled one is not answered', async () => {
      const client = await ready();
      await client.send(call('long', 'hold'));
      await tools.whenHeld();
      await client.send(ping('meanwhile'));
      expect(await client.answer('meanwhile')).toMatchObject({ result: {} });
      const aborted = new Promise((resolve) => tools.held[0]?.context.signal.addEventListener('abort', resolve));
      await client.send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'long' } });
      await aborted;
      await client.send(ping('afterwards'));
      await client.answer('afterwards');
      expect(client.messages.filter((message) => 'id' in message && message.id === 'long')).toEqual([]);
      await client.disconnect();
    });

    test('[C-ISOLATION] two clients with the same request ids get nothing of each other', async () => {
      const clients = [await ready(), await ready()];
      const ids = Array.from({ length: 20 }, (_, index) => index);
      await Promise.all(
        clients.flatMap((client, who) => ids.map((id) => client.send(call(id, 'echo', { value: `${who} ${id}` })))),
      );
      for (const [who, client] of clients.entries()) {
        for (const id of ids) {
          expect(await client.answer(id)).toMatchObject({ result: { structuredContent: { value: `${who} ${id}` } } });
        }
        expect(client.text).not.toContain(`"${1 - who} `);
      }
      await Promise.all(clients.map((client) => client.disconnect()));
    });

    test('[S5] a client that takes leave ends its session and what runs in it', async () => {
      const client = await ready();
      const [session] = served.orchestrator.registry.list();
      await client.send(call(1, 'hold'));
      await tools.whenHeld();
      await client.disconnect();
      await session?.ended;
      expect(tools.held[0]?.context.signal.aborted).toBe(true);
      expect(session?.actor.getSnapshot().context.closedBecause).toBe('client-closed');
    });

    test('[S5] of a client that vanishes nothing stays that the transport says ends', async () => {
      const client = await ready();
      const [session] = served.orchestrator.registry.list();
      await client.dropConnection();
      if (transport.sessionAfterDrop === 'closed') await session?.ended;
      else expect(session?.state).toBe('active');
    });

    test('[S7] a session that the operator closes answers what is in flight, ends its client, and is silent after', async () => {
      const client = await ready();
      const [session] = served.orchestrator.registry.list();
      await client.send(call('running', 'hold'));
      await tools.whenHeld();
      await send(`${served.url}/api/sessions/${session?.id}`, { method: 'DELETE' });
      await client.ended();
      expect(await client.answer('running')).toMatchObject(reasonOf('closed'));
      const { text } = client;
      tools.releaseCalls();
      await nextTurn();
      expect(client.text).toBe(text);
    });

    test('[C-DRAIN] a server that ends finishes what is in flight, then ends its clients', async () => {
      const client = await ready();
      await client.send(call('running', 'hold'));
      await tools.whenHeld();
      const closed = served.orchestrator.close();
      tools.releaseCalls();
      expect(await client.answer('running')).toMatchObject({ result: { structuredContent: { value: 'held' } } });
      await Promise.all([closed, client.ended()]);
    });

    test('[S10] a client that does not read is given up; its neighbour does not notice', async () => {
      const [slow, other] = [await ready(), await ready()];
      const session = served.orchestrator.registry.list()[0];
      slow.pause();
      for (let id = 0; id < 30 && session?.state !== 'closed'; id += 1) {
        // A client that does not read may find its messages not taken either.
        void slow.send(call(id, 'large', { bytes: 2_000_000 })).catch(() => undefined);
        await send(`${served.url}/health`);
      }
      await other.send(ping('other'));
      expect(await other.answer('other')).toMatchObject({ result: {} });
      if (transport.slowClient === 'session') {
        await session?.ended;
        const error = expect.stringMatching(/^The client does not read: \d+ bytes/);
        const fields = { transport: transport.kind, session: session?.id.slice(0, 8), error };
        expect(log.map((line) => JSON.parse(line) as unknown)).toContainEqual(['transport failed', fields]);
      }
      await Promise.all([slow.dropConnection(), other.disconnect()]);
    });

    if (!transport.refusesGarbage) return;

    test.each([
      ['a huge message', 'too_large', JSON.stringify({ ...ping(1), params: { filler: 'x'.repeat(70_000) } })],
      ['half a message', 'parse_error', '{"jsonrpc":'],
      ['an empty message', 'invalid_message', '{"jsonrpc":"2.0"}'],
      ['an empty list', 'invalid_message', '[]'],
      ['a string', 'invalid_message', '"ping"'],
    ])('%s is refused as %s, and the session goes on', async (_name, reason, body) => {
      const client = await ready();
      expect(await client.refusal(body)).toMatchObject(reasonOf(reason));
      await client.send(ping('afterwards'));
      expect(await client.answer('afterwards')).toMatchObject({ result: {} });
      await client.disconnect();
    });
  });
}
