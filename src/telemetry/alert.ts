import { createActor, fromCallback, type InspectionEvent } from 'xstate';
import { alertMachine } from '../../machines/index.js';
import type { AlertEvent, CreationWindow } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { AlertEpisodeStore } from '../cluster/clusterStore.js';
import { CreationCounter, SharedCreationCounter } from './creationWindow.js';
import { topLevelState, type CreationOutcome, type ObservationHandler } from './observer.js';

/** Of the window: long enough that one bad moment is over, short enough to ring well within it. */
const confirmationFraction = 0.25;

/** The outcomes that say how well this server opens sessions. */
const countedOutcomes: ReadonlySet<CreationOutcome> = new Set(['announced', 'failed']);

export interface AlertOptions {
  readonly failureRate: number;
  readonly minCreations: number;
  readonly windowMs: number;
  readonly clock: Clock;
  /** Where many nodes count together. */
  readonly store?: AlertEpisodeStore | undefined;
  inspect(event: InspectionEvent): void;
  /** Once at the beginning of an episode. Must not throw. */
  onFiring(window: CreationWindow): void;
  /** Once at its end. Must not throw. */
  onCleared(window: CreationWindow): void;
}

export interface Alert {
  /** Listens to `creation`. */
  readonly onObservation: ObservationHandler;
  state(): string;
  /** Ends it as it is: an alarm that rings is not cleared by that. */
  close(): void;
}

/** Runs the alert chart over the creations that its fold hears of. Owned and closed by the orchestrator. */
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
        // On the way out the context still holds the measurement before this one.
        notifyCleared: ({ event }) => options.onCleared(event.window),
      },
      delays: { confirmation: windowMs * confirmationFraction },
    }),
    { id: 'creation-failure-rate', clock, inspect, input: { failureRate, minCreations } },
  );
  actor.start();
  return {
    onObservation: (observation) => {
      // Neither a failure of ours nor a sign that all is well.
      if (observation.kind !== 'creation' || !countedOutcomes.has(observation.outcome)) return;
      counter.add(observation.at, observation.cause);
      // The others are asked first.
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
      // Armed first: the measurement may end the state that this belongs to.
      timer = clock.setTimeout(step, everyMs);
      sendBack(measurement());
    };
    timer = clock.setTimeout(step, everyMs);
    return () => clock.clearTimeout(timer);
  });
}
