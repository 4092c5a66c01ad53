import { Gate, nextTurn } from '../support/gate.js';
import { postJson, type Reply } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { initialize } from '../support/messages.js';
import { RawSse } from '../support/rawSse.js';
import { startTestServer } from '../support/testServer.js';
import { TestTools } from '../support/testTools.js';

/** A server with one session whose set-up waits, and that holds early messages. */
async function serveEarly(queueLimit = 3) {
  const clock = new ManualClock();
  const registering = new Gate();
  const served = await startTestServer({
    clock,
    tools: new TestTools().all,
    options: { onEarlyMessage: 'queue', queueLimit },
    onSession: () => registering.pass(),
  });
  const stream = new RawSse(served.url);
  await registering.whenReached();
  const [session] = served.orchestrator.registry.list();
  if (!session) throw new Error('No session was opened.');
  /** Posts and waits until the session holds it. */
  const hold = async (message: object): Promise<{ reply: Promise<Reply> }> => {
    const { held } = session.actor.getSnapshot().context;
    const reply = post(message);
    while (session.actor.getSnapshot().context.held === held) await nextTurn();
    return { reply };
  };
  const post = (message: object) =>
    postJson(`${served.url}/message?sessionId=${session.id}`, { jsonrpc: '2.0', ...message });
  const echo = (id: number) => ({ id, method: 'tools/call', params: { name: 'echo', arguments: { value: `${id}` } } });
  return { clock, registering, served, stream, session, hold, post, echo };
}

test('[S3][S4] early messages are held, and delivered in order once the client is told', async () => {
  const { registering, served, stream, session, hold, echo } = await serveEarly(4);
  const held = [await hold(initialize(0)), await hold(echo(1)), await hold(echo(2)), await hold(echo(3))];
  let answered = 0;
  for (const { reply } of held) void reply.then(() => (answered += 1));
  await nextTurn();
  expect([answered, stream.text]).toEqual([0, '']);
  registering.open();
  const statuses = await Promise.all(held.map(async ({ reply }) => (await reply).status));
  expect(statuses).toEqual([202, 202, 202, 202]);
  await stream.answer(3);
  expect(stream.events[0]?.event).toBe('endpoint');
  expect(stream.messages).toMatchObject([
    { id: 0 },
    ...[1, 2, 3].map((id) => ({ id, result: { structuredContent: { value: `${id}` } } })),
  ]);
  expect(session.state).toBe('active');
  await stream.disconnect();
  await served.close();
});

test('[S10] past the limit, in number or in bytes, an early message is refused, and so is an id that waits already', async () => {
  const { registering, served, stream, hold, post, echo } = await serveEarly(2);
  const reasonOf = async (message: object) => (await post(message)).json;
  const first = await hold(echo(1));
  expect(await reasonOf(echo(1))).toMatchObject({ id: 1, error: { data: { reason: 'invalid_message' } } });
  const large = { id: 2, method: 'ping', params: { text: 'x'.repeat(4 * 1024 ** 2 - 100) } };
  expect(await reasonOf(large)).toMatchObject({ id: 2, error: { data: { reason: 'queue_full' } } });
  const second = await hold(echo(3));
  const full = await post(echo(4));
  expect([full.status, full.headers['retry-after'], full.json]).toMatchObject([
    429,
    '1',
    { id: 4, error: { code: -32013, data: { reason: 'queue_full', limit: '--queue-limit 2' } } },
  ]);
  registering.open();
  expect([(await first.reply).status, (await second.reply).status]).toEqual([202, 202]);
  await stream.answer(3);
  expect(stream.answersTo(4)).toEqual([]);
  await stream.disconnect();
  await served.close();
});

test.each([
  ['a set-up that fails', 500, { reason: 'setup_failed' }],
  ['a set-up that takes too long', 504, { reason: 'setup_timeout' }],
  ['a client that leaves', 404, { reason: 'closed', closedBecause: 'client-closed' }],
  ['an operator who closes it', 404, { reason: 'closed', closedBecause: 'operator-closed' }],
  ['a server that drains', 503, { reason: 'draining' }],
])('[S3][S8] %s answers every message that was held with the cause', async (how, status, data) => {
  const { clock, registering, served, stream, session, hold, echo } = await serveEarly();
  const held = [await hold(echo(1)), await hold({ method: 'notifications/initialized' })];
  if (how.includes('fails')) registering.fail(new Error('The embedder said no.'));
  else if (how.includes('long')) clock.advance(30_000);
  else if (how.includes('leaves')) await stream.disconnect();
  else if (how.includes('operator')) session.close('operator-closed');
  else void served.orchestrator.registry.drain();
  const replies = await Promise.all(held.map(({ reply }) => reply));
  expect(replies.map((reply) => [reply.status, reply.json])).toMatchObject([
    [status, { id: 1, error: { data } }],
    [status, { id: null, error: { data } }],
  ]);
  registering.open();
  await session.ended;
  await served.close();
  expect(clock.pending).toBe(0);
});

test('[S3] that a session is closed is known for ten minutes, and no longer', async () => {
  const clock = new ManualClock();
  const served = await startTestServer({ clock });
  const stream = await new RawSse(served.url).whenAnnounced();
  const [session] = served.orchestrator.registry.list();
  await stream.disconnect();
  await session?.ended;
  const ask = () => stream.post({ jsonrpc: '2.0', id: 1, method: 'ping' });
  clock.advance(599_999);
  expect((await ask()).json).toMatchObject({ error: { data: { reason: 'closed', closedBecause: 'client-closed' } } });
  clock.advance(2);
  expect((await ask()).json).toMatchObject({ error: { data: { reason: 'unknown' } } });
  await served.close();
});
