import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { RawSse } from '../support/rawSse.js';
import { nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { postJson } from '../support/http.js';
import { serveNode } from './clusterNodes.js';

test('[C-NODES] a message through another node costs three round trips to the store', async () => {
  const store = new MemoryStore(systemClock);
  const trips: string[] = [];
  const { enqueue, take } = store.inbox;
  const { put } = store.replies;
  store.inbox.enqueue = (...given) => {
    trips.push('offer');
    return enqueue(...given);
  };
  store.inbox.take = (...given) => {
    trips.push('take');
    return take(...given);
  };
  store.replies.put = (...given) => {
    trips.push('put');
    return put(...given);
  };
  store.replies.take = () => Promise.reject(new Error('The answer comes with its hint.'));
  // Who waits does not look for itself, however slow the machine is.
  const [one, other] = [await serveNode(store), await serveNode(store, { clock: new ManualClock() })];
  const stream = await new RawSse(one.url).whenAnnounced();
  const url = new URL(stream.endpoint ?? '', other.url).href;
  expect((await postJson(url, { jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(202);
  expect(trips.slice(0, 3)).toEqual(['offer', 'take', 'put']);
  // What follows says that the connection is over: nobody waits for it.
  expect(trips.slice(3).filter((trip) => trip !== 'put')).toEqual([]);
  await stream.disconnect();
  await Promise.all([one.close(), other.close()]);
});

test('[S10] what the store has lost, as it may in a failover, is answered with node_lost, not with silence', async () => {
  const store = new MemoryStore(systemClock);
  store.inbox.take = () => Promise.resolve([]);
  const clock = new ManualClock();
  const [one, other] = [await serveNode(store), await serveNode(store, { clock })];
  const stream = await new RawSse(one.url).whenAnnounced();
  const url = new URL(stream.endpoint ?? '', other.url).href;
  const told = { isAnswered: false };
  const posting = postJson(url, { jsonrpc: '2.0', id: 1, method: 'ping' }).finally(() => (told.isAnswered = true));
  while (!told.isAnswered) {
    clock.advance(2_000);
    await nextTurn();
  }
  const { status, json } = await posting;
  expect([status, json]).toMatchObject([502, { id: 1, error: { data: { reason: 'node_lost' } } }]);
  await stream.disconnect();
  await Promise.all([one.close(), other.close()]);
});

test('[C-NODES] hints that are lost cost time, not the message', async () => {
  const store = new MemoryStore(systemClock);
  const { subscribe } = store.nodes;
  let lost = 0;
  // All are lost but those by which one who waits asks again.
  store.nodes.subscribe = (node, onHint) => {
    let heard = 0;
    return subscribe(node, (hint) => {
      heard += 1;
      if (hint.kind === 'reply' || heard % 2 === 1) lost += 1;
      else onHint(hint);
    });
  };
  const [one, other] = [await serveNode(store), await serveNode(store)];
  const stream = await new RawSse(one.url).whenAnnounced();
  const url = new URL(stream.endpoint ?? '', other.url).href;
  for (const id of [1, 2, 3]) {
    expect((await postJson(url, { jsonrpc: '2.0', id, method: 'ping' })).status).toBe(202);
  }
  expect(lost).toBeGreaterThan(5);
  expect(stream.messages.map((message) => ('id' in message ? message.id : undefined))).toEqual([1, 2, 3]);
  await stream.disconnect();
  await Promise.all([one.close(), other.close()]);
});
