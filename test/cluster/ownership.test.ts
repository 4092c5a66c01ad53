import { systemClock } from '../../src/clock.js';
import type { SessionDirectory } from '../../src/cluster/clusterStore.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { ClusterNode } from '../../src/cluster/node.js';
import { SessionOwnership } from '../../src/cluster/ownership.js';
import { silentLog } from '../../src/log.js';
import { Gate, nextTurn } from '../support/gate.js';
import { ManualClock } from '../support/manualClock.js';
import { withOverrides } from './storeOverrides.js';

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

test('[S5][S11] a session that is lost while it is being restored does not stay at the node that restored it', async () => {
  const store = new MemoryStore(systemClock);
  const restoring = new Gate();
  const sessions = new Set<string>();
  const completed = new Gate();
  const completeTakeover: SessionDirectory['completeTakeover'] = async (term) => {
    const outcome = await store.directory.completeTakeover(term);
    completed.open();
    return outcome;
  };
  const node = new ClusterNode({
    ...{ store: withOverrides(store, { directory: { completeTakeover } }), id: 'one', leaseMs: 30_000 },
    ...{ clock: new ManualClock(), log: silentLog, serveRequest: () => undefined },
    onSessionLost: (id) => sessions.delete(id),
    restoreSession: async (id) => {
      await restoring.pass();
      sessions.add(id);
      return true;
    },
    hooks: { onHeartbeat: () => undefined, onLeave: () => Promise.resolve() },
  });
  await node.join();
  const principal = { issuer: 'local', user: 'ann' };
  await store.directory.claim({ sessionId: 's', principal, node: node.name, transport: 'streamable-http' });
  await store.snapshots.put({ sessionId: 's', epoch: 1 }, '{}');
  await store.nodes.wake(node.name, 's');
  await restoring.whenReached();
  // The node stood still, another one took over, and this one notices before it goes on.
  await store.directory.takeOver({ sessionId: 's', epoch: 2 }, 'other');
  await node.ownership.renewAll();
  restoring.open();
  await completed.pass();
  await nextTurn();
  expect(node.ownership.termOf('s')).toBeUndefined();
  expect([...sessions]).toEqual([]);
  await node.leave();
});

test('[S11] a node that is woken while the answer to its claim is under way does not take the session over from itself', async () => {
  const store = new MemoryStore(systemClock);
  const [claimed, searched] = [new Gate(), new Gate()];
  const directory: Partial<SessionDirectory> = {
    claim: async (entry) => {
      const epoch = await store.directory.claim(entry);
      await claimed.pass();
      return epoch;
    },
    find: async (sessionId, caller) => {
      const found = await store.directory.find(sessionId, caller);
      searched.open();
      return found;
    },
  };
  const node = new ClusterNode({
    ...{ store: withOverrides(store, { directory }), id: 'one', leaseMs: 30_000 },
    ...{ clock: new ManualClock(), log: silentLog, serveRequest: () => undefined, onSessionLost: () => undefined },
    restoreSession: () => Promise.resolve(false),
    hooks: { onHeartbeat: () => undefined, onLeave: () => Promise.resolve() },
  });
  await node.join();
  const claim = { sessionId: 's', principal: { issuer: 'local', user: 'ann' }, transport: 'sse' };
  const claiming = node.ownership.claim(claim, new AbortController().signal);
  await claimed.whenReached();
  await store.nodes.wake(node.name, 's');
  await searched.pass();
  await nextTurn();
  claimed.open();
  await claiming;
  expect(node.ownership.termOf('s')).toEqual({ sessionId: 's', epoch: 1 });
  expect(await store.directory.find('s', 'anyone')).toMatchObject({ kind: 'owned', epoch: 1 });
  await node.leave();
});
