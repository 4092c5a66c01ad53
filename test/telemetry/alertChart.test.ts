import { createActor, fromCallback, SimulatedClock } from 'xstate';
import { alertMachine, type CreationWindow } from '../../machines/index.js';
import { CreationCounter } from '../../src/telemetry/creationWindow.js';

const windowOf = (creations: number, failures: number): CreationWindow => ({
  creations,
  failures,
  rate: failures / Math.max(1, creations),
  cause: failures === 0 ? null : 'browser-failed',
});

function start() {
  const clock = new SimulatedClock();
  const notified: string[] = [];
  const machine = alertMachine.provide({
    actors: { slideWindow: fromCallback(() => undefined) },
    actions: { notifyFiring: () => void notified.push('firing'), notifyCleared: () => void notified.push('cleared') },
    delays: { confirmation: 1_000 },
  });
  const actor = createActor(machine, { clock, input: { failureRate: 0.2, minCreations: 5 } }).start();
  const measure = (creations: number, failures: number): unknown => {
    actor.send({ type: 'window.measured', window: windowOf(creations, failures) });
    return actor.getSnapshot().value;
  };
  return { clock, notified, actor, measure };
}

describe('[C-ALARM] the alert chart', () => {
  test('stays ok below the rate, and below the minimum of creations at any rate', () => {
    const { measure } = start();
    expect([measure(10, 1), measure(4, 4), measure(1, 1)]).toEqual(['ok', 'ok', 'ok']);
    expect(measure(5, 1)).toBe('pending');
  });

  test('does not ring when successes come before the confirmation', () => {
    const { clock, notified, measure } = start();
    measure(5, 5);
    clock.increment(999);
    expect(measure(26, 5)).toBe('ok');
    clock.increment(1_000);
    expect(notified).toEqual([]);
  });

  test('rings once and clears once in an episode, whatever is measured in between', () => {
    const { clock, notified, measure } = start();
    measure(5, 5);
    clock.increment(1_000);
    expect(notified).toEqual(['firing']);
    // Fewer than the minimum: people have stopped trying, nothing is mended.
    expect([measure(9, 9), measure(2, 2), measure(20, 4)]).toEqual(['firing', 'firing', 'firing']);
    expect([measure(20, 3), measure(20, 3)]).toEqual(['ok', 'ok']);
    expect(notified).toEqual(['firing', 'cleared']);
    measure(5, 5);
    clock.increment(1_000);
    expect(measure(0, 0)).toBe('ok');
    expect(notified).toEqual(['firing', 'cleared', 'firing', 'cleared']);
  });
});

describe('the window of creations', () => {
  test('forgets what is older than itself, and names the commonest cause', () => {
    const counter = new CreationCounter(60_000);
    counter.add(0, 'setup-timeout');
    counter.add(30_000, 'browser-failed');
    counter.add(30_000, 'browser-failed');
    counter.add(31_000, null);
    expect(counter.measure(59_999)).toEqual({ creations: 4, failures: 3, rate: 0.75, cause: 'browser-failed' });
    expect(counter.measure(60_000)).toMatchObject({ creations: 3, failures: 2 });
    expect(counter.measure(95_000)).toEqual({ creations: 0, failures: 0, rate: 0, cause: null });
  });

  test('forgets what lies ahead when the clock is set back', () => {
    const counter = new CreationCounter(60_000);
    counter.add(1e9, 'browser-failed');
    expect(counter.measure(5e8)).toMatchObject({ creations: 0 });
  });
});
