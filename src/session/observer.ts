import { isMachineSnapshot, type InspectedMicrostepEvent, type InspectionEvent } from 'xstate';
import type { Clock } from '../clock.js';

/** One fact from the inspection stream. Logs, metrics and the inspector are folds over these and hold no other hook. */
export type Observation =
  | {
      readonly kind: 'transition';
      /** Which chart: session, browser or server. */
      readonly machine: string;
      readonly actor: string;
      readonly from: string;
      readonly to: string;
      /** The type of the event that caused it. */
      readonly cause: string;
      readonly at: number;
      /** Time spent in `from`. */
      readonly durationMs: number;
      readonly event: { readonly type: string };
      /** The actor's context after it. */
      readonly context: unknown;
    }
  | {
      readonly kind: 'event';
      readonly machine: string;
      readonly actor: string;
      readonly state: string;
      readonly event: { readonly type: string };
    }
  /** An event that the state neither handles nor names as a no-op (S9). */
  | {
      readonly kind: 'unexpected';
      readonly machine: string;
      readonly actor: string;
      readonly state: string;
      readonly cause: string;
    };

export type Fold = (observation: Observation) => void;

interface Track {
  readonly machine: string;
  state: string;
  since: number;
}

/**
 * Turns XState's inspection events into observations. One for the process; actors are followed by their id from their
 * first snapshot to the last. Only actors whose ids `follows` accepts count: children are details of their parents.
 */
export function createObserver(clock: Clock, folds: readonly Fold[]) {
  const tracks = new WeakMap<object, Track>();
  const tell: Fold = (observation) => {
    for (const fold of folds) fold(observation);
  };
  return (event: InspectionEvent): void => {
    if (event.actorRef.sessionId !== event.rootId) return;
    const actor = idOf(event.actorRef);
    const track = tracks.get(event.actorRef);
    if (track && event.type === '@xstate.microstep' && isUnexpected(event)) {
      tell({ kind: 'unexpected', machine: track.machine, actor, state: track.state, cause: event.event.type });
    } else if (event.type === '@xstate.snapshot' || event.type === '@xstate.microstep') {
      // A state that is left in the step that enters it is seen in the microstep only.
      const snapshot = event.snapshot;
      if (!isMachineSnapshot(snapshot)) return;
      const to = topLevel(snapshot.value);
      const from = track?.state ?? '';
      if (from === to) return;
      const at = clock.now();
      const machine = snapshot.machine.id;
      tracks.set(event.actorRef, { machine, state: to, since: at });
      const durationMs = track ? at - track.since : 0;
      const { event: causing } = event;
      const context: unknown = snapshot.context;
      tell({
        kind: 'transition',
        machine,
        actor,
        from,
        to,
        cause: causing.type,
        at,
        durationMs,
        event: causing,
        context,
      });
    } else if (track && event.type === '@xstate.event') {
      tell({ kind: 'event', machine: track.machine, actor, state: track.state, event: event.event });
    }
  };
}

/** XState tells of its own (`xstate.done.state.…`) whether or not a chart listens; only our events are closed unions. */
function isUnexpected({ event, _transitions }: InspectedMicrostepEvent): boolean {
  return _transitions.length === 0 && !event.type.startsWith('xstate.');
}

/** The top-level state of a snapshot's value. */
export function topLevel(value: unknown): string {
  return typeof value === 'object' && value !== null ? (Object.keys(value)[0] ?? '') : String(value);
}

function idOf(actorRef: { readonly sessionId: string }): string {
  return 'id' in actorRef ? String(actorRef.id) : actorRef.sessionId;
}
