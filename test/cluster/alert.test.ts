import type { ClusterStore } from '../../src/cluster/clusterStore.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { send } from '../support/http.js';
import { ManualClock } from '../support/manualClock.js';
import { RawSse } from '../support/rawSse.js';
import { receiveWebhooks } from '../support/webhookReceiver.js';
import { serveNode, useClusterNodes } from './clusterNodes.js';

const { kinds, nodes } = useClusterNodes();

/** A node whose browsers the test breaks and mends. */
async function startNode(store: ClusterStore, alertWebhook: string) {
  const [clock, pool] = [new ManualClock(), new FakeBrowserPool()];
  const served = await serveNode(store, { clock, pool, options: { alertWebhook } });
  nodes.push(served);
  const connect = async (): Promise<void> => {
    const stream = new RawSse(served.url);
    await stream.when(({ status }) => status !== undefined);
    await stream.disconnect();
  };
  const fail = async (): Promise<void> => {
    pool.holdLeases();
    const stream = new RawSse(served.url);
    await pool.whenWaiting();
    pool.failLeases('browser_failed', 'Chrome is broken.');
    await stream.whenClosed();
    pool.releaseLeases();
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
    const { alertEpisodes } = store.server;
    expect(await alertEpisodes.tryEnd(1)).toBe(false);
    while (!(await alertEpisodes.tryBegin(60_000)));
    expect([await alertEpisodes.tryBegin(60_000), await alertEpisodes.tryBegin(60_000)]).toEqual([false, false]);
    await alertEpisodes.extend(60_000);
    expect([await alertEpisodes.tryEnd(50), await alertEpisodes.tryEnd(50)]).toEqual([true, false]);
    await alertEpisodes.extend(60_000);
    while (!(await alertEpisodes.tryBegin(60_000)));
    expect(await alertEpisodes.tryEnd(1)).toBe(true);
    await store.close();
  },
);

test.each(kinds)(
  '[C-SHARED][C-ALARM] a creation counts for as long as the window is, over $name',
  async ({ stores }) => {
    const store = stores()();
    await store.open();
    const { countCreations } = store.server.alertEpisodes;
    await countCreations(3_600_000, 'no-window-is-this-long');
    expect((await countCreations(3_600_000, '')).get('no-window-is-this-long')).toBe(1);
    while ((await countCreations(240)).size > 0);
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
