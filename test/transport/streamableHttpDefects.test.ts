import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StreamableHTTPServerTransport, type EventStore } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { MemoryEventLog, type EventLog, type Replay, type StreamAddress } from '../../src/cluster/eventLog.js';
import type { JSONRPCMessage } from '../../src/mcp/protocol.js';
import { Gate, nextTurn } from '../support/gate.js';
import { RawMcp } from '../support/rawMcp.js';
import type { RawSse } from '../support/rawSse.js';
import { startTestServer } from '../support/testServer.js';

/**
 * Two scripts that a log on a network meets every day, against the SDK's transport and against ours. The first half shows
 * why ours is not the SDK's; when it fails because the SDK has mended them, it can go.
 */
const notice = (data: string): JSONRPCMessage => ({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data },
});

const noticesOf = (stream: RawSse): unknown[] =>
  stream.messages.map((message) => ('method' in message ? message.params?.['data'] : null));

/** Doors in the way of each access, in the order of the accesses: `append` by content, `read` for replays. */
class TestEndpoints {
  readonly #doors = new Map<string, Gate>();

  of(name: string): Gate {
    const door = this.#doors.get(name) ?? new Gate('open');
    this.#doors.set(name, door);
    return door;
  }

  shut(name: string): Gate {
    const door = new Gate();
    this.#doors.set(name, door);
    return door;
  }
}

/** An event store as the SDK's examples have it, on a network whose latency the test decides. */
class SlowStore implements EventStore {
  readonly events: { id: string; streamId: string; message: JSONRPCMessage }[] = [];
  readonly doors = new TestEndpoints();

  async storeEvent(streamId: string, message: JSONRPCMessage): Promise<string> {
    const id = `${streamId}_${this.events.length}`;
    this.events.push({ id, streamId, message });
    await this.doors.of(JSON.stringify(message)).pass();
    return id;
  }

  async replayEventsAfter(
    lastEventId: string,
    { send }: { send: (eventId: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const last = this.events.findIndex(({ id }) => id === lastEventId);
    const missed = this.events.slice(last + 1);
    for (const { id, message } of missed) await send(id, message);
    await this.doors.of('read').pass();
    return this.events[last]?.streamId ?? '';
  }
}

/** The same latency in the way of our log. */
class SlowLog extends MemoryEventLog implements EventLog {
  readonly doors = new TestEndpoints();

  override async append(stream: StreamAddress, data: string): Promise<string> {
    const id = await super.append(stream, data);
    await this.doors.of(data).pass();
    return id;
  }

  override async replayAfter(stream: StreamAddress, eventId: string | null): Promise<Replay> {
    const replay = await super.replayAfter(stream, eventId);
    await this.doors.of('read').pass();
    return replay;
  }
}

interface ServerUnderTest {
  readonly client: RawMcp;
  readonly doors: TestEndpoints;
  say(message: JSONRPCMessage): void;
  close(): Promise<void>;
}

async function sdk(): Promise<ServerUnderTest> {
  const store = new SlowStore();
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: randomUUID, eventStore: store });
  transport.onmessage = (message) => {
    if ('id' in message && 'method' in message) {
      void transport.send({ jsonrpc: '2.0', id: message.id, result: {} });
    }
  };
  await transport.start();
  const http = createServer((request, response) => void transport.handleRequest(request, response));
  await once(http.listen(0, '127.0.0.1'), 'listening');
  const client = await new RawMcp(`http://127.0.0.1:${(http.address() as AddressInfo).port}`).initialize();
  return {
    client,
    doors: store.doors,
    say: (message) => void transport.send(message),
    close: async () => {
      await client.disconnect();
      await transport.close();
      http.closeAllConnections();
      await once(http.close(), 'close');
    },
  };
}

async function ours(): Promise<ServerUnderTest> {
  const log = new SlowLog();
  const served = await startTestServer({ eventLog: log });
  const client = await new RawMcp(served.url).initialize();
  const { channel } = served.orchestrator.registry.find(client.sessionId, 'anyone');
  return {
    client,
    doors: log.doors,
    say: (message) => channel.deliver(message),
    close: async () => {
      await client.disconnect();
      await served.close();
      expect(log.size).toBe(0);
    },
  };
}

/** A and B are sent, the client has A and comes back for the rest; C is sent while it is being replayed, then D. */
async function resumeWhileSending({ client, doors, say, close }: ServerUnderTest): Promise<unknown[]> {
  const first = await client.listen();
  say(notice('A'));
  await first.when((stream) => noticesOf(stream).includes('A'));
  const cursor = first.events.at(-1)?.id ?? '';
  await first.disconnect();
  await nextTurn();
  say(notice('B'));
  const reading = doors.shut('read');
  const resuming = client.listen(cursor);
  await reading.whenReached();
  say(notice('C'));
  await nextTurn();
  reading.open();
  const second = await resuming;
  say(notice('D'));
  await second.when((stream) => noticesOf(stream).includes('D'));
  const got = noticesOf(second);
  await close();
  return got;
}

/** Three messages, of which the log takes longest for the first. */
async function sendWithLatency({ client, doors, say, close }: ServerUnderTest): Promise<unknown[]> {
  const stream = await client.listen();
  const names = ['1', '2', '3'];
  const gates = names.map((name) => doors.shut(JSON.stringify(notice(name))));
  for (const name of names) say(notice(name));
  for (const gate of gates.toReversed()) {
    await nextTurn();
    gate.open();
    await nextTurn();
  }
  await stream.when((open) => noticesOf(open).length === 3);
  const got = noticesOf(stream);
  await close();
  return got;
}

test("what is stored while a stream is replayed is lost by the SDK's transport", async () => {
  expect(await resumeWhileSending(await sdk())).toEqual(['B', 'D']);
});

test('[C-RESUME][S4] what is sent while a stream is replayed follows the replay', async () => {
  expect(await resumeWhileSending(await ours())).toEqual(['B', 'C', 'D']);
});

test("messages overtake each other in the SDK's transport when its store takes longer for one than for the next", async () => {
  expect(await sendWithLatency(await sdk())).toEqual(['3', '2', '1']);
});

test('[C-RESUME][S4] messages leave in the order in which they were sent, however long the log takes for each', async () => {
  expect(await sendWithLatency(await ours())).toEqual(['1', '2', '3']);
});
