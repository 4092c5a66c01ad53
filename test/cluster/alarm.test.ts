import type { Store } from '../../src/cluster/store.js';
import { FakePool } from '../support/fakePool.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { receiveWebhooks } from '../support/webhookReceiver.js';
import { serveNode, setUpNodes } from './support.js';

const { kinds, nodes } = setUpNodes();

/** A node whose browsers the test breaks and mends. */
async function startNode(store: Store, alertWebhook: string) {
  const [clock, pool] = [new ManualClock(), new FakePool()];
  const served = await serveNode(store, { clock, pool, options: { alertWebhook } });
  nodes.push(served);
  const connect = async (): Promise<void> => {
    const stream = new RawSse(served.url);
    await stream.when(({ status }) => status !== undefined);
    await stream.hangUp();
  };
  const fail = async (): Promise<void> => {
    pool.hold();
    const stream = new RawSse(served.url);
    await pool.whenWaiting();
    pool.fail('browser_failed', 'Chrome is broken.');
    await stream.whenClosed();
    pool.open();
  };
  /** Resolves when the alarm is so; the node may have to look for itself. */
  const whenIs = async (state: string): Promise<void> => {
    for (;;) {
      const { alerts } = (await send(`${served.url}/health`)).json as { alerts: { creationFailureRate: string } };
      if (alerts.creationFailureRate === state) return;
    }
  };
  return { clock, connect, fail, whenIs };
}

/** A twelfth of the window, after which a node looks for itself, and what has to pass before the alarm rings. */
const [partMs, confirmationMs] = [5_000, 15_000];

test.each(kinds)(
  '[C-SHARED][C-ALARM] an episode is told of once over $name, and the next one anew',
  async ({ stores }) => {
    const store = stores()();
    await store.open();
    const { episodes } = store.server;
    expect(await episodes.end(1)).toBe(false);
    while (!(await episodes.begin(60_000)));
    expect([await episodes.begin(60_000), await episodes.begin(60_000)]).toEqual([false, false]);
    await episodes.goOn(60_000);
    expect([await episodes.end(50), await episodes.end(50)]).toEqual([true, false]);
    await episodes.goOn(60_000);
    while (!(await episodes.begin(60_000)));
    expect(await episodes.end(1)).toBe(true);
    await store.close();
  },
);

test.each(kinds)(
  '[C-SHARED][C-ALARM] a creation counts for as long as the window is, over $name',
  async ({ stores }) => {
    const store = stores()();
    await store.open();
    const { count } = store.server.episodes;
    await count(3_600_000, 'no-window-is-this-long');
    expect((await count(3_600_000, '')).get('no-window-is-this-long')).toBe(1);
    while ((await count(240)).size > 0);
    await store.close();
  },
);

test.each(kinds)(
  '[C-SHARED][C-ALARM][C-WEBHOOK] the alarm sees the creations of all nodes over $name, and one of them tells of it',
  async ({ stores }) => {
    const open = stores();
    const receiver = await receiveWebhooks();
    const [one, other] = [await startNode(open(), receiver.url), await startNode(open(), receiver.url)];
    for (let n = 0; n < 3; n += 1) await one.fail();
    for (let n = 0; n < 2; n += 1) await other.fail();
    await other.whenIs('pending');
    one.clock.advance(partMs);
    await one.whenIs('pending');
    for (const { clock, whenIs } of [one, other]) {
      clock.advance(confirmationMs);
      await whenIs('firing');
    }
    await receiver.whenReceived(1);
    for (let n = 0; n < 21; n += 1) await (n % 2 === 0 ? one : other).connect();
    await one.whenIs('ok');
    other.clock.advance(partMs);
    await other.whenIs('ok');
    await receiver.whenReceived(2);
    await Promise.all(nodes.splice(0).map((node) => node.close()));
    const told = receiver.received.map(({ json: { type, data } }) => [type, data['failures'], data['creations']]);
    expect(told).toEqual([
      ['alert.firing', 5, 5],
      ['alert.cleared', 5, 26],
    ]);
    await receiver.close();
  },
);
