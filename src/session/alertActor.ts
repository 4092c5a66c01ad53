import { createActor, fromCallback, type InspectionEvent } from 'xstate';
import { alertMachine } from '../../machines/index.js';
import type { AlertEvent, CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { EpisodeStore } from '../cluster/serverStore.js';
import { CreationCounter } from './creationWindow.js';
import { SharedCreations } from './sharedCreations.js';
import { topLevel, type CreationOutcome, type Fold } from './observer.js';

/** Of the window: long enough that one bad moment is over, short enough to ring well within it. */
const confirmationShare = 0.25;

/** The outcomes that say how well this server opens sessions. */
const telling: ReadonlySet<CreationOutcome> = new Set(['announced', 'failed']);

export interface AlarmOptions {
  readonly failureRate: number;
  readonly minCreations: number;
  readonly windowMs: number;
  readonly clock: Clock;
  /** Where many nodes count together. */
  readonly store?: EpisodeStore | undefined;
  inspect(event: InspectionEvent): void;
  /** Once at the beginning of an episode. Must not throw. */
  ring(window: CreationWindow): void;
  /** Once at its end. Must not throw. */
  clear(window: CreationWindow): void;
}

export interface Alarm {
  /** Listens to `creation`. */
  readonly fold: Fold;
  state(): string;
  /** Ends it as it is: an alarm that rings is not cleared by that. */
  close(): void;
}

/** Runs the alert chart over the creations that its fold hears of. Owned and closed by the orchestrator. */
export function startAlarm(options: AlarmOptions): Alarm {
  const { failureRate, minCreations, windowMs, clock, inspect, store } = options;
  const changed = (): void => actor.send(measured());
  const isRinging = (): boolean => topLevel(actor.getSnapshot().value) === 'firing';
  const own = new CreationCounter(windowMs);
  const all = store && new SharedCreations({ store, windowMs, clock, changed, isRinging });
  const counter = all ?? own;
  const measured = (): AlertEvent => ({ type: 'window.measured', window: counter.measure(clock.now()) });
  const actor = createActor(
    alertMachine.provide({
      actors: { slideWindow: slideWindow(clock, counter.partMs, measured) },
      actions: {
        ring: ({ context }) => options.ring(context.window),
        // On the way out the context still holds the measurement before this one.
        clear: ({ event }) => options.clear(event.window),
      },
      delays: { confirmation: windowMs * confirmationShare },
    }),
    { id: 'creation-failure-rate', clock, inspect, input: { failureRate, minCreations } },
  );
  actor.start();
  return {
    fold: (observation) => {
      // Neither a failure of ours nor a sign that all is well.
      if (observation.kind !== 'creation' || !telling.has(observation.outcome)) return;
      counter.add(observation.at, observation.cause);
      // The others are asked first.
      if (all === undefined) changed();
    },
    state: () => topLevel(actor.getSnapshot().value),
    close: () => {
      all?.close();
      actor.stop();
    },
  };
}

function slideWindow(clock: Clock, everyMs: number, measured: () => AlertEvent) {
  return fromCallback<{ type: 'none' }, Record<never, never>>(({ sendBack }) => {
    let timer: unknown;
    const step = (): void => {
      // Armed first: the measurement may end the state that this belongs to.
      timer = clock.setTimeout(step, everyMs);
      sendBack(measured());
    };
    timer = clock.setTimeout(step, everyMs);
    return () => clock.clearTimeout(timer);
  });
}
