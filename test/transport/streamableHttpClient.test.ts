import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { LoggingMessageNotificationSchema } from '@modelcontextprotocol/sdk/types.js';
import { RawMcp } from '../support/rawMcp.js';
import { startTestServer, type TestServer, type TestServerOptions } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';
import { openTcpProxy, type TcpProxy } from '../support/tcpProxy.js';

interface ClientFixture {
  readonly served: TestServer;
  readonly tools: TestTools;
  readonly client: Client;
  readonly transport: StreamableHTTPClientTransport;
  readonly wire: TcpProxy;
  /** Requests that the client made so far. */
  requests(): number;
}

async function withClient(given: TestServerOptions, run: (given: ClientFixture) => Promise<void>): Promise<void> {
  const tools = new TestTools();
  const served = await startTestServer({ tools: tools.all, ...given });
  const wire = await openTcpProxy(served.url);
  let requests = 0;
  const client = new Client({ name: 'official', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL('/mcp', wire.url), {
    fetch: (...request) => {
      requests += 1;
      return fetch(...request);
    },
    reconnectionOptions: {
      initialReconnectionDelay: 1,
      maxReconnectionDelay: 1,
      reconnectionDelayGrowFactor: 1,
      maxRetries: 3,
    },
  });
  await client.connect(transport);
  await run({ served, tools, client, transport, wire, requests: () => requests });
  await client.close();
  await wire.close();
  tools.releaseCalls();
  await served.close();
}

test('[C-HTTP] the official client lists, calls, and leaves', () =>
  withClient({}, async ({ client, transport, served }) => {
    await expect(client.ping()).resolves.toEqual({});
    expect((await client.listTools()).tools.map(({ name }) => name)).toContain('echo');
    const answer = await client.callTool({ name: 'echo', arguments: { value: 'hello' } });
    expect(answer).toMatchObject({ structuredContent: { value: 'hello' } });
    expect(await served.orchestrator.health()).toMatchObject({ sessions: { total: 1, active: 1 } });
    const [session] = served.orchestrator.registry.list();
    await transport.terminateSession();
    await session?.ended;
    expect(session?.actor.getSnapshot().context.closedBecause).toBe('client-closed');
  }));

test('[C-HTTP] the official client gets progress in order, and cancels', () =>
  withClient({}, async ({ client, tools }) => {
    const steps: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => void steps.push(progress);
    await client.callTool({ name: 'count', arguments: {} }, undefined, { onprogress });
    expect(steps).toEqual([1, 2, 3]);
    const cancel = new AbortController();
    const cancelled = expect(
      client.callTool({ name: 'hold', arguments: {} }, undefined, { signal: cancel.signal }),
    ).rejects.toThrow();
    await tools.whenHeld();
    const aborted = new Promise((resolve) => tools.held[0]?.context.signal.addEventListener('abort', resolve));
    cancel.abort('enough');
    await Promise.all([cancelled, aborted]);
  }));

test('[C-RESUME] the official client whose wire is cut gets its answer and every notification all the same', () =>
  withClient({}, async ({ client, tools, wire, served }) => {
    const heard: unknown[] = [];
    let [tokens, look] = [0, (): void => undefined];
    const until = (holds: () => boolean) =>
      new Promise<void>((resolve) => {
        look = () => {
          if (holds()) resolve();
        };
        look();
      });
    client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
      heard.push(params.data);
      look();
    });
    const [session] = served.orchestrator.registry.list();
    const onresumptiontoken = (): void => {
      tokens += 1;
      look();
    };
    const answer = client.callTool({ name: 'hold', arguments: { value: 'kept' } }, undefined, { onresumptiontoken });
    await tools.whenHeld();
    for (let n = 0; n <= 20; n += 1) {
      session?.server.log('info', n);
      // Both of its streams are there again, and each has an event to come back to.
      await until(() => heard.length > n && tokens > n);
      wire.dropConnections();
    }
    tools.releaseCalls();
    expect(await answer).toMatchObject({ structuredContent: { value: 'kept' } });
    expect(heard).toEqual(Array.from({ length: 21 }, (_, n) => n));
  }));

test('[C-HTTP] an official client whose call was cancelled or failed does not come back for more', () =>
  withClient({}, async ({ client, served, requests }) => {
    await expect(client.request({ method: 'nothing/here' }, LoggingMessageNotificationSchema)).rejects.toThrow();
    await client.ping();
    const before = requests();
    // A stream that ends without a result is asked for once more: 204 ends that.
    for (let n = 0; n < 5; n += 1) await client.ping();
    expect(requests() - before).toBeLessThanOrEqual(6);
    expect(served.orchestrator.registry.list()).toHaveLength(1);
  }));

test('[S1] of 100 clients that open at once each is announced when it is ready, with what it asked for', async () => {
  const count = 100;
  const served = await startTestServer({ tools: new TestTools().all });
  served.pool.holdLeases();
  const versions = ['2025-11-25', '2025-06-18', '2025-03-26'];
  const clients = Array.from({ length: count }, (_, index) => {
    const path = `/mcp?userId=user-${index}`;
    return new RawMcp(served.url, { path, version: versions[index % 3] ?? '' });
  });
  const openings = clients.map((client) => client.sendInitialize());
  await served.pool.whenWaiting(count);
  expect(openings.every(({ status }) => status === undefined)).toBe(true);
  served.pool.releaseLeases();
  await Promise.all(openings.map((opening) => opening.whenClosed()));
  const ids = openings.map(({ headers }) => String(headers['mcp-session-id']));
  expect(new Set(ids).size).toBe(count);
  const replies = await Promise.all(
    clients.map((client, index) => {
      client.sessionId = ids[index] ?? '';
      return client.sendRequest({
        jsonrpc: '2.0',
        id: 1,
        method: 'tools/call',
        params: { name: 'echo', arguments: { value: `${index}` } },
      });
    }),
  );
  await Promise.all(replies.map((reply) => reply.whenClosed()));
  expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]));
  for (const [index, client] of clients.entries()) {
    expect(client.messages).toMatchObject([
      { result: { protocolVersion: client.version } },
      { result: { structuredContent: { value: `${index}` } } },
    ]);
  }
  await served.close();
});
