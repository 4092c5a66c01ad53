import { createActor, fromCallback, fromPromise, SimulatedClock, waitFor } from 'xstate';
import { browserMachine, serverMachine, sessionMachine } from '../../machines/index.js';

type Id = { id: string };
const never = <Input>() => fromPromise<void, Input>(() => new Promise<void>(() => undefined));
const immediate = fromPromise<void, Id>(() => Promise.resolve());
const ignore = (): void => undefined;
const settled = { id: 1, method: 'initialize', tool: null, outcome: 'ok', durationMs: 0 } as const;

const sessionDelays = {
  setupTimeout: 1_000,
  initializeTimeout: 2_000,
  idleTimeout: 3_000,
  resumeGrace: 4_000,
  drainTimeout: 5_000,
};

function startSession(setup: typeof immediate, resumable = false) {
  const clock = new SimulatedClock();
  const machine = sessionMachine.provide({
    actors: { browserLease: fromCallback(ignore), registerTools: setup, checkBrowser: immediate, claim: immediate },
    actions: { announce: ignore, deliver: ignore, terminate: ignore },
    delays: sessionDelays,
  });
  const input = { id: 'a', issuer: 'local', user: 'alice', lease: 'lazy', resumable, queueLimit: 0 } as const;
  return { clock, actor: createActor(machine, { clock, input }).start() };
}

async function connect(resumable = false) {
  const session = startSession(immediate, resumable);
  session.actor.send({ type: 'transport.attached' });
  await waitFor(session.actor, (snapshot) => snapshot.matches('connected'));
  return session;
}

describe('time in the session chart', () => {
  test('a setup that takes longer than `setupTimeout` closes the session (S8)', () => {
    const { clock, actor } = startSession(never<Id>());
    clock.increment(sessionDelays.setupTimeout - 1);
    expect(actor.getSnapshot().status).toBe('active');
    clock.increment(1);
    expect(actor.getSnapshot().output).toMatchObject({ closedBecause: 'setup-timeout' });
  });

  test('a warm session waits for its client without a bound', async () => {
    const { clock, actor } = startSession(immediate);
    await waitFor(actor, (snapshot) => snapshot.matches('tools-registered'));
    clock.increment(1e9);
    expect(actor.getSnapshot().value).toEqual({ 'tools-registered': 'waiting' });
    actor.stop();
  });

  test('a client that sends nothing is closed after `initializeTimeout`', async () => {
    const { clock, actor } = await connect();
    clock.increment(sessionDelays.initializeTimeout - 1);
    expect(actor.getSnapshot().status).toBe('active');
    clock.increment(1);
    expect(actor.getSnapshot().output).toMatchObject({ closedBecause: 'initialize-timeout' });
  });

  test.each(['request', 'notification', 'response'] as const)(
    'a client that sends a %s, but no initialize, is closed after `initializeTimeout` all the same',
    async (kind) => {
      const { clock, actor } = await connect();
      clock.increment(sessionDelays.initializeTimeout - 1);
      actor.send({ type: 'message.received', kind });
      expect(actor.getSnapshot().value).toBe('connected');
      clock.increment(1);
      expect(actor.getSnapshot().output).toMatchObject({ closedBecause: 'initialize-timeout' });
    },
  );

  test('an idle session is closed after `idleTimeout`, counted from the last message', async () => {
    const { clock, actor } = await connect();
    actor.send({ type: 'message.received', kind: 'initialize' });
    actor.send({ type: 'request.settled', request: settled });
    clock.increment(sessionDelays.idleTimeout - 1);
    actor.send({ type: 'message.received', kind: 'notification' });
    clock.increment(sessionDelays.idleTimeout - 1);
    expect(actor.getSnapshot().value).toEqual({ active: { serving: 'idle' } });
    clock.increment(1);
    expect(actor.getSnapshot().output).toMatchObject({ closedBecause: 'idle-timeout' });
  });

  test('a session with a request in flight is never idle', async () => {
    const { clock, actor } = await connect();
    actor.send({ type: 'message.received', kind: 'initialize' });
    clock.increment(1e9);
    expect(actor.getSnapshot().value).toEqual({ active: { serving: 'busy' } });
    actor.stop();
  });

  test('a lost stream is waited for as long as `resumeGrace`', async () => {
    const { clock, actor } = await connect(true);
    actor.send({ type: 'message.received', kind: 'initialize' });
    actor.send({ type: 'transport.detached', because: 'client-closed' });
    clock.increment(sessionDelays.resumeGrace - 1);
    expect(actor.getSnapshot().value).toEqual({ active: 'detached' });
    clock.increment(1);
    expect(actor.getSnapshot().output).toMatchObject({ closedBecause: 'client-closed' });
  });

  test('a drain does not wait for an answer longer than `drainTimeout`', async () => {
    const { clock, actor } = await connect();
    actor.send({ type: 'message.received', kind: 'initialize' });
    actor.send({ type: 'session.drain' });
    clock.increment(sessionDelays.drainTimeout - 1);
    expect(actor.getSnapshot().value).toEqual({ active: 'draining' });
    clock.increment(1);
    expect(actor.getSnapshot().output).toMatchObject({ closedBecause: 'server-draining' });
  });
});

describe('time in the browser chart', () => {
  const failure = { reason: 'browser_failed', message: 'killed' };

  function startBrowser() {
    const clock = new SimulatedClock();
    const machine = browserMachine.provide({
      actors: { connection: fromCallback(ignore), heartbeat: fromCallback(ignore) },
      delays: { connectTimeout: 1_000, backoff: ({ context }) => 100 * 2 ** context.attempts },
    });
    const input = { id: 'b', mode: 'launch', maxAttempts: 3 } as const;
    return { clock, actor: createActor(machine, { clock, input }).start() };
  }

  test('a browser that does not answer within `connectTimeout` has failed, and says so', () => {
    const { clock, actor } = startBrowser();
    clock.increment(999);
    expect(actor.getSnapshot().value).toEqual({ open: 'connecting' });
    clock.increment(1);
    expect(actor.getSnapshot().value).toBe('failed');
    expect(actor.getSnapshot().context.failure?.reason).toBe('browser_failed');
    actor.stop();
  });

  test('a lost browser is tried again after a pause that grows with each try', () => {
    const { clock, actor } = startBrowser();
    actor.send({ type: 'connection.opened', version: 'Chrome/156' });
    actor.send({ type: 'connection.lost', failure });
    for (const pause of [100, 200, 400]) {
      clock.increment(pause - 1);
      expect(actor.getSnapshot().value).toBe('lost');
      clock.increment(1);
      expect(actor.getSnapshot().value).toEqual({ open: 'connecting' });
      actor.send({ type: 'connection.failed', failure });
    }
    expect(actor.getSnapshot().value).toBe('failed');
    actor.stop();
  });
});

describe('time in the server chart', () => {
  test('sessions and browsers that do not end are left behind, each after its own bound', () => {
    const clock = new SimulatedClock();
    const machine = serverMachine.provide({
      actors: { listener: fromCallback(ignore), drainSessions: never(), closeBrowsers: never() },
      actions: { stopAccepting: ignore },
      delays: { drainTimeout: 1_000, closeTimeout: 2_000 },
    });
    const actor = createActor(machine, { clock }).start();
    actor.send({ type: 'server.drain' });
    clock.increment(999);
    expect(actor.getSnapshot().value).toEqual({ draining: 'sessions' });
    clock.increment(1);
    expect(actor.getSnapshot().value).toEqual({ draining: 'browsers' });
    clock.increment(2_000);
    expect(actor.getSnapshot().status).toBe('done');
  });
});
