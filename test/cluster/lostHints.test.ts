import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { RawSse } from '../support/rawSse.js';
import { postJson } from '../support/http.js';
import { serveNode } from './support.js';

test('[C-NODES] hints that are lost cost time, not the message', async () => {
  const store = new MemoryStore(systemClock);
  const { listen } = store.nodes;
  let lost = 0;
  // All are lost but those by which one who waits asks again.
  store.nodes.listen = (node, onHint) => {
    let heard = 0;
    return listen(node, (hint) => {
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
  await stream.hangUp();
  await Promise.all([one.close(), other.close()]);
});
