import { send, type Reply } from '../support/http.js';
import { initialize } from '../support/messages.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

const clients = 1_000;

/** Opens a stream and posts `initialize` in the very tick in which the endpoint bytes are read. */
function race(url: string, path = '/sse', version = '2025-11-25'): { stream: RawSse; posted: Promise<Reply> } {
  let settle: (reply: Promise<Reply>) => void;
  const posted = new Promise<Reply>((resolve) => (settle = resolve));
  const stream = new RawSse(url, { path, onEndpoint: (open) => settle(open.post(initialize('first', version))) });
  return { stream, posted };
}

test(`[S1][S3] regression: of ${clients} clients that post in the tick of the endpoint event none hears "not found"`, async () => {
  // A busy machine may take longer than the timeout's default to read what all of them post.
  const served = await startTestServer({ options: { initializeTimeout: '10m' } });
  served.pool.holdLeases();
  const racers = Array.from({ length: clients }, () => race(served.url));
  await served.pool.whenWaiting(clients);
  // All at once: every session becomes ready, is announced and posted to in the same few turns.
  served.pool.releaseLeases();
  const replies = await Promise.all(racers.map(({ posted }) => posted));
  expect(new Set(replies.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(['202 Accepted']));

  const answers = await Promise.all(racers.map(({ stream }) => stream.answer('first')));
  for (const answer of answers) {
    expect(answer).toMatchObject({ id: 'first', result: { protocolVersion: '2025-11-25' } });
  }
  expect(new Set(racers.map(({ stream }) => stream.sessionId)).size).toBe(clients);
  for (const { stream } of racers) expect(stream.events).toHaveLength(2);

  const sessions = served.orchestrator.registry.list();
  await Promise.all(racers.map(({ stream }) => stream.disconnect()));
  await Promise.all(sessions.map(({ ended }) => ended));
  expect((await send(`${served.url}/health`)).json).toMatchObject({
    sessions: { total: 0, active: 0, byState: {}, byUser: {} },
    performance: { totalConnections: clients, totalErrors: 0 },
  });
  await served.close();
});

test('[S1] sessions that initialise at the same time each get the version and the name of their own', async () => {
  const served = await startTestServer();
  const versions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];
  const racers = Array.from({ length: 40 }, (_, index) => {
    const version = versions[index % 4] ?? '';
    return { version, ...race(served.url, `/sse?userId=user-${index}`, version) };
  });
  for (const { stream, version } of racers) {
    expect(await stream.answer('first')).toMatchObject({ result: { protocolVersion: version } });
  }
  const listed = served.orchestrator.registry.list();
  racers.forEach(({ stream, version }, index) => {
    const session = listed.find(({ id }) => id === stream.sessionId);
    expect([session?.user, session?.server.protocolVersion]).toEqual([`user-${index}`, version]);
  });
  await Promise.all(racers.map(({ stream }) => stream.disconnect()));
  await served.close();
});

test('[C-ISOLATION] what one client negotiates and sets does not touch its neighbour', async () => {
  const served = await startTestServer();
  const [old, recent] = [race(served.url, '/sse', '2024-11-05').stream, race(served.url, '/sse', '2025-06-18').stream];
  await Promise.all([old.answer('first'), recent.answer('first')]);
  await Promise.all([
    old.call(1, 'logging/setLevel', { level: 'error' }),
    recent.call(1, 'logging/setLevel', { level: 'debug' }),
  ]);
  const facts = (stream: RawSse) => {
    const session = served.orchestrator.registry.list().find(({ id }) => id === stream.sessionId);
    return { version: session?.server.protocolVersion, level: session?.server.logLevel };
  };
  expect(facts(old)).toEqual({ version: '2024-11-05', level: 'error' });
  expect(facts(recent)).toEqual({ version: '2025-06-18', level: 'debug' });
  await Promise.all([old.disconnect(), recent.disconnect()]);
  await served.close();
});

test('[S4][C-ISOLATION] ten parallel calls on each of two sessions are answered once, each with its own payload', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const streams = [new RawSse(served.url), new RawSse(served.url)];
  await Promise.all(streams.map((stream) => stream.whenInitialized()));
  const value = (stream: RawSse, id: number): string => `${stream.sessionId} ${id}`;
  const ids = Array.from({ length: 10 }, (_, index) => index);
  const replies = await Promise.all(
    streams.flatMap((stream) =>
      ids.map((id) => {
        const params = { name: 'echo', arguments: { value: value(stream, id) } };
        return stream.post({ jsonrpc: '2.0', id, method: 'tools/call', params });
      }),
    ),
  );
  expect(replies.map(({ status }) => status)).toEqual(Array(20).fill(202));
  for (const stream of streams) {
    await Promise.all(ids.map((id) => stream.answer(id)));
    for (const id of ids) {
      expect(stream.answersTo(id)).toMatchObject([{ result: { structuredContent: { value: value(stream, id) } } }]);
    }
    expect(stream.messages).toHaveLength(10);
  }
  await Promise.all(streams.map((stream) => stream.disconnect()));
  await served.close();
});
