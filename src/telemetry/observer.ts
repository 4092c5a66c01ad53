import { isMachineSnapshot, type InspectedMicrostepEvent, type InspectionEvent } from 'xstate';
import type { SessionEvent, SettledRequest } from '../../machines/events.js';
import type { Clock } from '../clock.js';
import type { Reason } from '../errors/errors.js';

/**
 * One observed fact. Logs, metrics, traces, the alert and the inspector are handlers of observations and have no other hook.
 * Most come from XState's inspection; `creation` is derived, and a `refusal` is published by the route that answers with
 * it, since no actor gets an event for it.
 */
export type Observation =
  | {
      readonly kind: 'transition';
      /** Which chart: the id that it has in `machines/`. */
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
  /** An event was handled within one top-level state: a sub-state or the context may have changed. */
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
      readonly at: number;
      readonly event: { readonly type: string };
    }
  /** An event that the state neither handles nor names as a no-op (S9). */
  | {
      readonly kind: 'unexpected';
      readonly machine: string;
      readonly actor: string;
      readonly state: string;
      readonly cause: string;
    }
  /** The creation of a session settled. Once for each session that a client requested. */
  | {
      readonly kind: 'creation';
      readonly actor: string;
      /**
       * `abandoned`: the client left before the announcement. `cancelled`: the operator or a drain ended it. `refused`: the
       * client caused it (its token, its own browser, its arguments), or a limit is reached. `failed`: every other cause;
       * only these are failures of this server.
       */
      readonly outcome: 'announced' | 'failed' | 'abandoned' | 'cancelled' | 'refused';
      /** Why the session ended, as `CloseReason`; null if it was announced. */
      readonly cause: string | null;
      readonly at: number;
      /** From the request of the client. */
      readonly durationMs: number;
    }
  /** A request without a session was answered or cancelled. One that a session served is an event of that session. */
  | {
      readonly kind: 'request';
      readonly at: number;
      readonly request: SettledRequest;
      readonly user: { readonly issuer: string; readonly user: string };
      readonly client: { readonly name: string; readonly version: string } | null;
      readonly transport: RequestTransport;
    }
  /** A request was answered with an entry of the error catalogue. */
  | {
      readonly kind: 'refusal';
      readonly reason: Reason;
      readonly status: number;
      readonly message: string;
      readonly transport: RequestTransport;
      readonly requestId: string;
    };

export type CreationOutcome = Extract<Observation, { kind: 'creation' }>['outcome'];

/** The transport of a request, or `http` for every other route. */
export type RequestTransport = 'sse' | 'streamable-http' | 'websocket' | 'http';

export type ObservationHandler = (observation: Observation) => void;

/** Calls the handlers in order. What a handler publishes reaches all of them before the next handler runs. */
export function fanOut(handlers: readonly ObservationHandler[]): ObservationHandler {
  return (observation) => {
    for (const handler of handlers) handler(observation);
  };
}

/** The settled request, if the observation is one. */
export function settledRequest(observation: Observation): SettledRequest | undefined {
  if (observation.kind === 'request') return observation.request;
  if (observation.kind !== 'event' || observation.machine !== 'session') return undefined;
  // Inspection loses the type of an event: a session has only these events and XState's own.
  const event = observation.event as SessionEvent;
  return event.type === 'request.settled' ? event.request : undefined;
}

interface TrackedActor {
  readonly machine: string;
  state: string;
  since: number;
}

/**
 * Turns XState's inspection events into observations. One per server; actors are tracked from their first snapshot to the
 * last. Only root actors are observed: children are details of their parents.
 */
export function createObserver(clock: Clock, handlers: readonly ObservationHandler[]) {
  const tracks = new WeakMap<object, TrackedActor>();
  const publish = fanOut(handlers);
  return (event: InspectionEvent): void => {
    if (!isObserved(event)) return;
    const actor = actorIdOf(event.actorRef);
    const track = tracks.get(event.actorRef);
    if (track && event.type === '@xstate.microstep' && isUnexpected(event)) {
      publish({ kind: 'unexpected', machine: track.machine, actor, state: track.state, cause: event.event.type });
    } else if (event.type === '@xstate.snapshot' || event.type === '@xstate.microstep') {
      // A state that is left in the step that enters it appears in the microstep only.
      const snapshot = event.snapshot;
      if (!isMachineSnapshot(snapshot)) return;
      const value: unknown = snapshot.value;
      const to = topLevelState(value);
      const from = track?.state ?? '';
      const at = clock.now();
      const machine = snapshot.machine.id;
      const context: unknown = snapshot.context;
      if (from === to) {
        if (event.type === '@xstate.snapshot')
          publish({ kind: 'step', machine, actor, cause: event.event.type, at, value, context });
        return;
      }
      tracks.set(event.actorRef, { machine, state: to, since: at });
      const durationMs = track ? at - track.since : 0;
      const { event: causing } = event;
      publish({
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
      publish({
        kind: 'event',
        machine: track.machine,
        actor,
        state: track.state,
        at: clock.now(),
        event: event.event,
      });
    }
  };
}

/** Actions and the creation of actors are not observed; neither are children. */
const isObserved = ({ type, actorRef, rootId }: InspectionEvent): boolean =>
  type !== '@xstate.action' && type !== '@xstate.actor' && actorRef.sessionId === rootId;

/** XState emits its own events (`xstate.done.state.…`) whether or not a chart handles them. */
function isUnexpected({ event, _transitions }: InspectedMicrostepEvent): boolean {
  return _transitions.length === 0 && !event.type.startsWith('xstate.');
}

/** The top-level state of a snapshot's value. */
export function topLevelState(value: unknown): string {
  return typeof value === 'object' && value !== null ? (Object.keys(value)[0] ?? '') : String(value);
}

function actorIdOf(actorRef: { readonly sessionId: string }): string {
  return 'id' in actorRef ? String(actorRef.id) : actorRef.sessionId;
}

/** Whether each session has an actor of this chart beside its own, under the same id or its beginning. */
export const isOfSession = (machine: string): boolean => machine === 'ownership' || machine === 'lease';

/** The observations of one actor; the others are of creations and requests. */
export type ActorObservation = Exclude<Observation, { kind: 'creation' | 'request' | 'refusal' }>;

export function isActorObservation(observation: Observation): observation is ActorObservation {
  return 'actor' in observation && observation.kind !== 'creation';
}
