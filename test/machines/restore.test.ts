import { parseSnapshot } from '../../src/session/persistence.js';
import { createActor, fromCallback, fromPromise, SimulatedClock, waitFor, type Snapshot } from 'xstate';
import { sessionMachine } from '../../machines/index.js';

const input = { id: 'a', issuer: 'local', user: 'alice', lease: 'eager', resumable: true, queueLimit: 0 } as const;
const ignore = (): void => undefined;

/** A session chart whose doings are written down, and whose claim can be made to wait. */
function recorded(claim: () => Promise<void> = () => Promise.resolve()) {
  const doings: string[] = [];
  const clock = new SimulatedClock();
  const machine = sessionMachine.provide({
    actors: {
      browserLease: fromCallback(({ sendBack }) => {
        doings.push('leased');
        sendBack({ type: 'browser.leased' });
        return () => void doings.push('released');
      }),
      registerTools: fromPromise<void, { id: string }>(() => Promise.resolve()),
      checkBrowser: fromPromise<void, { id: string }>(() => Promise.resolve()),
      claim: fromPromise<void, { id: string }>(() => {
        doings.push('claimed');
        return claim();
      }),
    },
    actions: {
      announce: () => void doings.push('announced'),
      deliver: () => void doings.push('delivered'),
      terminate: () => void doings.push('terminated'),
    },
    delays: { setupTimeout: 1e3, initializeTimeout: 1e3, idleTimeout: 1e3, resumeGrace: 1e3, drainTimeout: 1e3 },
  });
  return { doings, clock, machine };
}

describe('a session that is restored from its stored state', () => {
  test('is in the same state with the same context, leases again and does not announce again (S2)', async () => {
    const first = recorded();
    const before = createActor(first.machine, { input, clock: first.clock }).start();
    before.send({ type: 'transport.attached' });
    await waitFor(before, (snapshot) => snapshot.matches('connected'));
    before.send({ type: 'message.received', kind: 'initialize' });
    const stored: unknown = JSON.parse(JSON.stringify(before.getPersistedSnapshot()));
    before.stop();

    const second = recorded();
    const after = createActor(second.machine, {
      snapshot: stored as Snapshot<unknown>,
      input,
      clock: second.clock,
    }).start();
    expect(after.getSnapshot().value).toEqual({ active: { serving: 'busy' } });
    expect(after.getSnapshot().context).toEqual(before.getSnapshot().context);
    after.send({ type: 'message.received', kind: 'request' });
    after.send({ type: 'session.close', because: 'operator-closed' });
    expect(second.doings).toEqual(['leased', 'delivered', 'terminated', 'released']);
    expect(after.getSnapshot().output).toEqual({ closedBecause: 'operator-closed', failure: null });
  });

  test('claims again if it was stored while the claim was running, and is announced then (S1)', async () => {
    const first = recorded(() => new Promise(ignore));
    const before = createActor(first.machine, { input, clock: first.clock }).start();
    before.send({ type: 'transport.attached' });
    await waitFor(before, (snapshot) => snapshot.matches({ 'tools-registered': 'claiming' }));
    const stored: unknown = JSON.parse(JSON.stringify(before.getPersistedSnapshot()));
    before.stop();
    expect(first.doings).toEqual(['leased', 'claimed', 'released']);

    const second = recorded();
    const after = createActor(second.machine, {
      snapshot: stored as Snapshot<unknown>,
      input,
      clock: second.clock,
    }).start();
    await waitFor(after, ({ value }) => value === 'connected');
    expect(second.doings).toEqual(['leased', 'claimed', 'announced']);
    after.stop();
  });
});

test('a snapshot of a newer version is left to a node that can read it', () => {
  const stored = JSON.stringify({ version: 2, actor: 'in another form' });
  expect(() => parseSnapshot(stored)).toThrow('another node continues it');
});
