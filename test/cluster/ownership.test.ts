import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { SessionOwnership } from '../../src/cluster/ownership.js';
import { silentLog } from '../../src/log.js';

test('[S11] what is left of a lost session closes nothing when the node has it again', async () => {
  const store = new MemoryStore(systemClock);
  const lost: string[] = [];
  const options = {
    store,
    node: 'one',
    log: silentLog,
    isReady: () => true,
    onSessionLost: (id: string) => lost.push(id),
  };
  const tenures = new SessionOwnership(options);
  const principal = { issuer: 'local', user: 'ann' };
  await tenures.claim({ sessionId: 's', principal, transport: 'streamable-http' }, new AbortController().signal);
  let end = (): void => undefined;
  tenures.releaseWhenEnded('s', new Promise((resolve) => (end = () => resolve('node-lost'))));
  // Another node has it for a while, and is gone.
  await store.directory.takeOver({ sessionId: 's', epoch: 1 }, 'other');
  await store.directory.takeOver({ sessionId: 's', epoch: 2 }, 'one');
  tenures.acquire({ sessionId: 's', epoch: 3 });
  expect(lost).toEqual(['s']);
  end();
  await tenures.whenReleased();
  expect(await store.directory.find('s', 'anyone')).toMatchObject({ epoch: 3 });
  expect(tenures.termOf('s')).toEqual({ sessionId: 's', epoch: 3 });
});
