import { ManualClock } from '../support/manualClock.js';
import { RawMcp } from '../support/rawMcp.js';
import { RawSse } from '../support/rawSse.js';
import { RawWebSocket } from '../support/rawWebSocket.js';
import { bearer, serveGuarded } from './support/guardedServer.js';

const ping = { jsonrpc: '2.0', id: 'ping', method: 'ping' };

test('[C-USERS] a token that expires ends the streams that it opened, and no others', async () => {
  const clock = new ManualClock();
  const guarded = await serveGuarded({ clock });
  const [lasting, brief] = [await guarded.issueToken('anna'), await guarded.issueToken('anna', { expiresIn: '10s' })];
  const open = async ({ token }: typeof lasting) => ({
    sse: await new RawSse(guarded.url, { headers: bearer(token) }).whenAnnounced(),
    socket: await new RawWebSocket(guarded.url, { headers: bearer(token) }).whenAnnounced(),
  });
  const [kept, ended] = [await open(lasting), await open(brief)];
  const mine = await new RawMcp(guarded.url, { headers: bearer(lasting.token) }).initialize();
  const other = new RawMcp(guarded.url, { headers: bearer(brief.token) });
  other.sessionId = mine.sessionId;
  const listening = await other.listen();
  clock.advance(9_999);
  expect(await ended.socket.call(1, 'ping')).toMatchObject({ result: {} });
  clock.advance(1);
  await Promise.all([ended.sse.whenClosed(), ended.socket.closed, listening.whenClosed()]);
  expect((await ended.sse.post(ping, bearer(brief.token))).status).toBe(401);
  expect(await kept.socket.call(2, 'ping')).toMatchObject({ result: {} });
  expect(kept.sse.isClosed).toBe(false);
  const again = await mine.listen();
  expect(again.isClosed).toBe(false);
  await mine.disconnect();
  await guarded.close();
});

test('a token that outlives the longest timer of Node ends nothing early', async () => {
  const clock = new ManualClock();
  const guarded = await serveGuarded({ clock });
  const { token } = await guarded.issueToken('anna', { expiresIn: '8760h' });
  const sse = await new RawSse(guarded.url, { headers: bearer(token) }).whenAnnounced();
  const set = recordDelays(clock);
  const second = await new RawSse(guarded.url, { headers: bearer(token) }).whenAnnounced();
  expect(Math.max(...set)).toBe(2 ** 31 - 1);
  expect([sse.isClosed, second.isClosed]).toEqual([false, false]);
  await guarded.close();
});

/** The delays of all timers that are set from here on. */
function recordDelays(clock: ManualClock): number[] {
  const delays: number[] = [];
  const set = clock.setTimeout.bind(clock);
  clock.setTimeout = (callback, ms) => {
    delays.push(ms);
    return set(callback, ms);
  };
  return delays;
}
