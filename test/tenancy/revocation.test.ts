import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { OpenResponses } from '../../src/transport/openResponses.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { TestTools } from '../support/testTools.js';
import { bearer, serveGuarded } from './support/guardedServer.js';

const hold = (id: string) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'hold' } });
const ping = { jsonrpc: '2.0', id: 'ping', method: 'ping' };
const json = { accept: 'application/json, text/event-stream;q=0.5' };

test.each(['its revocation', 'the removal of its user'])(
  '[C-USERS] %s ends every stream that a token opened of a session, whoever opened that',
  async (how) => {
    const tools = new TestTools();
    const guarded = await serveGuarded({ tools: tools.all });
    const [first, second] = [await guarded.issueToken('anna'), await guarded.issueToken('anna')];
    const mine = await new RawMcp(guarded.url, { headers: bearer(first.token) }).initialize();
    const other = new RawMcp(guarded.url, { headers: bearer(second.token) });
    other.sessionId = mine.sessionId;
    const kept = await mine.sendRequest(hold('kept'));
    const [asked, whole] = [await other.sendRequest(hold('asked')), other.post(hold('whole'), json)];
    const done = await mine.sendRequest(ping);
    await done.whenClosed();
    await tools.whenHeld(3);
    const resumed = await other.listen(asked.events[0]?.id);
    const listening = await other.listen();
    const [session] = guarded.served.orchestrator.registry.list();
    const path = how === 'its revocation' ? `/api/users/anna/tokens/${second.id}` : '/api/users/anna';
    expect((await guarded.sendAsOperator('DELETE', path)).status).toBe(204);
    await expect(whole).rejects.toThrow();
    await Promise.all([asked, resumed, listening].map((stream) => stream.whenClosed()));
    if (how === 'its revocation') {
      expect([session?.state, kept.isClosed]).toEqual(['active', false]);
      tools.releaseCalls();
      expect(await mine.answer('kept')).toMatchObject({ result: {} });
    }
    tools.releaseCalls();
    await mine.disconnect();
    await guarded.close();
  },
);

test('[C-USERS] a session and a socket that another token of the user talks to end with the token that opened them, and only with that', async () => {
  const guarded = await serveGuarded();
  const [first, second] = [await guarded.issueToken('anna'), await guarded.issueToken('anna')];
  const stream = await new RawSse(guarded.url, { headers: bearer(first.token) }).whenAnnounced();
  const socket = await new RawWebSocket(guarded.url, { headers: bearer(first.token) }).whenAnnounced();
  expect((await stream.post(ping, bearer(second.token))).status).toBe(202);
  expect((await guarded.sendAsOperator('DELETE', `/api/users/anna/tokens/${second.id}`)).status).toBe(204);
  expect((await stream.post(ping, bearer(second.token))).status).toBe(401);
  expect(await socket.call(1, 'ping')).toMatchObject({ result: {} });
  expect(stream.isClosed).toBe(false);
  expect((await guarded.sendAsOperator('DELETE', `/api/users/anna/tokens/${first.id}`)).status).toBe(204);
  await stream.whenClosed();
  expect(await socket.closed).toMatchObject({ code: 4000 });
  await guarded.close();
});

test('[C-USERS] a stream that is opened as its token is being revoked is refused', () => {
  const answers = new OpenResponses();
  const open = (credentialId: string): void =>
    answers.track(
      { issuer: 'local', user: 'anna', credentialId },
      new ServerResponse(new IncomingMessage(new Socket())),
    );
  open('second');
  answers.closeForToken('first');
  expect(() => open('first')).toThrow('This token is not valid');
  open('second');
});
