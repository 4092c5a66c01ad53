import { createActor, fromCallback, type InspectionEvent } from 'xstate';
import { alertMachine } from '../../machines/index.js';
import type { AlertEvent, CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';
import { CreationCounter, SharedCreationCounter } from './creationWindow.js';
import { topLevelState, type CreationOutcome, type ObservationHandler } from './observer.js';

/** Of the window: long enough to outlast one bad moment, short enough to fire well within the window. */
const confirmationFraction = 0.25;

/** Outcomes that count towards the failure rate. */
const countedOutcomes: ReadonlySet<CreationOutcome> = new Set(['announced', 'failed']);

export interface AlertOptions {
  readonly failureRate: number;
  readonly minCreations: number;
  readonly windowMs: number;
  readonly clock: Clock;
  /** Shared counts of all nodes; absent with one node. */
  readonly store?: AlertEpisodeStore | undefined;
  inspect(event: InspectionEvent): void;
  /** Called once when the alert starts firing. Must not throw. */
  onFiring(window: CreationWindow): void;
  /** Called once when it clears. Must not throw. */
  onCleared(window: CreationWindow): void;
}

export interface Alert {
  /** Handles `creation`. */
  readonly onObservation: ObservationHandler;
  state(): string;
  /** Stops without clearing a firing alert. */
  close(): void;
}

/**
 * Runs the alert chart over the observed creations. Owned and closed by the observability.
 *
 *     creation -> counter -> window.measured -> ok -> pending -> firing: onFiring -> ok: onCleared
 */
export function startAlert(options: AlertOptions): Alert {
  const { failureRate, minCreations, windowMs, clock, inspect, store } = options;
  const sendMeasurement = (): void => actor.send(measurement());
  const isFiring = (): boolean => topLevelState(actor.getSnapshot().value) === 'firing';
  const localCounter = new CreationCounter(windowMs);
  const sharedCounter =
    store && new SharedCreationCounter({ store, windowMs, clock, onMeasured: sendMeasurement, isFiring });
  const counter = sharedCounter ?? localCounter;
  const measurement = (): AlertEvent => ({ type: 'window.measured', window: counter.measure(clock.now()) });
  const actor = createActor(
    alertMachine.provide({
      actors: { slideWindow: slideWindow(clock, counter.bucketMs, measurement) },
      actions: {
        notifyFiring: ({ context }) => options.onFiring(context.window),
        // On exit the context still has the previous measurement: the event has the new one.
        notifyCleared: ({ event }) => options.onCleared(event.window),
      },
      delays: { confirmation: windowMs * confirmationFraction },
    }),
    { id: 'creation-failure-rate', clock, inspect, input: { failureRate, minCreations } },
  );
  actor.start();
  return {
    onObservation: (observation) => {
      // Other outcomes say nothing about this server.
      if (observation.kind !== 'creation' || !countedOutcomes.has(observation.outcome)) return;
      counter.add(observation.at, observation.cause);
      // The shared counter publishes its own measurement.
      if (sharedCounter === undefined) sendMeasurement();
    },
    state: () => topLevelState(actor.getSnapshot().value),
    close: () => {
      sharedCounter?.close();
      actor.stop();
    },
  };
}

function slideWindow(clock: Clock, everyMs: number, measurement: () => AlertEvent) {
  return fromCallback<{ type: 'none' }, Record<never, never>>(({ sendBack }) => {
    let timer: unknown;
    const step = (): void => {
      // Scheduled first: the measurement may leave the state, which clears the timer.
      timer = clock.setTimeout(step, everyMs);
      sendBack(measurement());
    };
    timer = clock.setTimeout(step, everyMs);
    return () => clock.clearTimeout(timer);
  });
}
