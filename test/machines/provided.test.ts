import type { AnyStateMachine, InspectionEvent } from 'xstate';
import {
  browserMachine,
  leaseMachine,
  nodeMachine,
  ownershipMachine,
  serverMachine,
  sessionMachine,
} from '../../machines/index.js';
import { SessionLease } from '../../src/browser/pool/sessionLease.js';
import { createResourceLedger } from '../../src/browser/process/browserConnection.js';
import { supervisorDefaults, createSupervisor } from '../../src/browser/supervisor.js';
import { systemClock } from '../../src/clock.js';
import { MemoryStore } from '../../src/cluster/memoryStore.js';
import { ClusterNode } from '../../src/cluster/node.js';
import { SessionOwnership } from '../../src/cluster/ownership.js';
import { silentLog } from '../../src/log.js';
import { startServer } from '../../src/server/httpServer.js';
import { createSessionLogic, type SessionLogicDeps } from '../../src/session/actor.js';

type Kind = 'actors' | 'actions' | 'delays';
const kinds: readonly Kind[] = ['actors', 'actions', 'delays'];

/** Names for which the chart has a placeholder only: its own actions are `assign`, which carries a type. */
function placeholders(chart: AnyStateMachine): string[] {
  return kinds.flatMap((kind) =>
    Object.entries(chart.implementations[kind])
      .filter(([, value]) => kind !== 'actions' || !(typeof value === 'function' && 'type' in value))
      .map(([name]) => `${kind} ${name}`),
  );
}

function providedNames(chart: AnyStateMachine, machine: AnyStateMachine): string[] {
  return kinds.flatMap((kind) =>
    Object.entries(machine.implementations[kind])
      .filter(([name, value]) => value !== chart.implementations[kind][name])
      .map(([name]) => `${kind} ${name}`),
  );
}

/** Keeps the machine that the first actor of an inspected system runs. */
function machineRecorder() {
  const kept: AnyStateMachine[] = [];
  const inspect = (event: InspectionEvent): void => {
    if (event.type !== '@xstate.actor' || kept.length > 0) return;
    kept.push((event.actorRef as unknown as { logic: AnyStateMachine }).logic);
  };
  return { kept, inspect };
}

describe('every name of a chart has an implementation, and nothing else has', () => {
  test('session', () => {
    expect(placeholders(sessionMachine).length).toBeGreaterThan(10);
    const implementation = {
      delays: { setupTimeout: 1, initializeTimeout: 1, idleTimeout: 1, resumeGrace: 1, drainTimeout: 1 },
    } as SessionLogicDeps;
    expect(providedNames(sessionMachine, createSessionLogic(implementation))).toEqual(placeholders(sessionMachine));
  });

  test('browser', async () => {
    const { kept, inspect } = machineRecorder();
    const browser = createSupervisor({ ...supervisorDefaults, inspect })({
      id: 'b',
      mode: 'launch',
      connect: () => Promise.reject(new Error('not today')),
      observer: { ready: () => undefined, lost: () => undefined, failed: () => undefined },
    });
    await browser.close();
    expect(kept.flatMap((machine) => providedNames(browserMachine, machine))).toEqual(placeholders(browserMachine));
  });

  test('lease', async () => {
    const { kept, inspect } = machineRecorder();
    const lease = new SessionLease({
      request: { sessionId: 's', owner: 'ann', isolation: 'auto' },
      listener: { ready: () => undefined, lost: () => undefined, failed: () => undefined },
      ...{ ledger: createResourceLedger(), clock: systemClock, mode: 'launch', inspect, onReleased: () => undefined },
      acquireShared: () => Promise.reject(new Error('not today')),
      acquireProcess: () => Promise.reject(new Error('not today')),
    });
    await expect(lease.browser()).rejects.toThrow('not today');
    await lease.release();
    expect(kept.flatMap((machine) => providedNames(leaseMachine, machine))).toEqual(placeholders(leaseMachine));
  });

  test('node', async () => {
    const { kept, inspect } = machineRecorder();
    const node = new ClusterNode({
      ...{
        store: new MemoryStore(systemClock),
        id: 'one',
        leaseMs: 30_000,
        clock: systemClock,
        log: silentLog,
        inspect,
      },
      ...{ serveRequest: () => undefined, onSessionLost: () => undefined },
      restoreSession: () => Promise.resolve(false),
      hooks: { onHeartbeat: () => undefined, onLeave: () => Promise.resolve() },
    });
    await node.join();
    expect(node.isReady).toBe(true);
    await node.leave();
    expect(kept.flatMap((machine) => providedNames(nodeMachine, machine))).toEqual(placeholders(nodeMachine));
  });

  test('ownership', async () => {
    const { kept, inspect } = machineRecorder();
    const store = new MemoryStore(systemClock);
    const ownership = new SessionOwnership({
      ...{ store, node: 'one', log: silentLog, isReady: () => true, onSessionLost: () => undefined, inspect },
    });
    const principal = { issuer: 'local', user: 'ann' };
    await ownership.claim({ sessionId: 's', principal, transport: 'sse' }, new AbortController().signal);
    expect(kept.flatMap((machine) => providedNames(ownershipMachine, machine))).toEqual(placeholders(ownershipMachine));
  });

  test('server', async () => {
    const { kept, inspect } = machineRecorder();
    const server = startServer({
      app: (_request, response) => response.end(),
      upgrade: (_request, socket) => socket.destroy(),
      config: { host: '127.0.0.1', port: 0, drainTimeout: 1_000, maxSessions: 1 },
      clock: systemClock,
      inspect,
      drainSessions: () => Promise.resolve(),
      closeBrowsers: () => Promise.resolve(),
    });
    await server.opened;
    await server.drain();
    expect(kept.flatMap((machine) => providedNames(serverMachine, machine))).toEqual(placeholders(serverMachine));
  });
});

describe('a name that was not provided', () => {
  test('fails with that name', () => {
    const { actions, delays } = sessionMachine.implementations as unknown as Record<Kind, Record<string, () => void>>;
    expect(actions['announce']).toThrow(/action "announce" was not provided/);
    expect(delays['idleTimeout']).toThrow(/delay "idleTimeout" was not provided/);
  });
});
