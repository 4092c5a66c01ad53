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
      /** The actor's state value and context after it. */
      readonly value: unknown;
      readonly context: unknown;
    }
  /** An event was dealt with inside one top-level state: a sub-state or the context may have changed. */
  | {
      readonly kind: 'step';
      readonly machine: string;
      readonly actor: string;
      readonly cause: string;
      readonly at: number;
      readonly value: unknown;
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
    if (event.type === '@xstate.snapshot') {
      const snapshot = event.snapshot;
      if (!isMachineSnapshot(snapshot)) return;
      const value: unknown = snapshot.value;
      const to = topLevel(value);
      const from = track?.state ?? '';
      const at = clock.now();
      const machine = snapshot.machine.id;
      const context: unknown = snapshot.context;
      if (from === to) {
        tell({ kind: 'step', machine, actor, cause: event.event.type, at, value, context });
        return;
      }
      tracks.set(event.actorRef, { machine, state: to, since: at });
      const durationMs = track ? at - track.since : 0;
      const { event: causing } = event;
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
        value,
        context,
      });
    } else if (track && event.type === '@xstate.event') {
      tell({ kind: 'event', machine: track.machine, actor, state: track.state, event: event.event });
    } else if (track && event.type === '@xstate.microstep' && isUnexpected(event)) {
      tell({ kind: 'unexpected', machine: track.machine, actor, state: track.state, cause: event.event.type });
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
