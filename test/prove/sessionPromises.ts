import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';
import type { SessionContext } from '../../machines/index.js';
import type { Move } from './explore.js';
import type { SessionBounds, SessionState } from './sessionWorld.js';

/** The chart before an event, and the processes around it. */
export interface Before {
  readonly snapshot: AnyMachineSnapshot;
  readonly origin: SessionState;
  readonly event: AnyEventObject;
}

export const stateOf = ({ value }: AnyMachineSnapshot): string =>
  typeof value === 'string' ? value : (Object.keys(value as object)[0] ?? '');

/** Whether the server lets it happen. */
export function isServed(snapshot: AnyMachineSnapshot, { client }: SessionState, { name }: Move<unknown>): boolean {
  // A warm session is given away where it waits or before; while its browser is replaced, it is not.
  if (client === 'none' && name === 'transport.attached') return !snapshot.matches({ 'tools-registered': 'leasing' });
  // A client that is away is attached by whatever it sends; one that is here cannot be attached again.
  if (name === 'transport.attached') return client === 'away';
  return client === 'here' || !/^(message\.received|transport\.detached) /.test(name);
}

/** The state of an active session: serving, detached or draining. */
function phaseOf(snapshot: AnyMachineSnapshot): string {
  const state = stateOf(snapshot);
  if (state !== 'active') return state;
  const inner: unknown = (snapshot.value as Record<string, unknown>)['active'];
  return typeof inner === 'string' ? inner : 'serving';
}

export const isEarly = (snapshot: AnyMachineSnapshot): boolean =>
  ['created', 'tools-registered'].includes(stateOf(snapshot));

export const requestsIn = (queue: readonly string[]): number =>
  queue.filter((kind) => kind === 'initialize' || kind === 'request').length;

const timeouts: Readonly<Record<string, string>> = {
  setupTimeout: 'setup-timeout',
  initializeTimeout: 'initialize-timeout',
  idleTimeout: 'idle-timeout',
  resumeGrace: 'client-closed',
  drainTimeout: 'server-draining',
};

/** Why an event that always comes from outside must end the session. */
const closings: Readonly<Record<string, (phase: string, before: Before) => string | null>> = {
  'session.close': (_, { event }) => String(event['because']),
  'browser.failed': (_, { snapshot }) => (isEarly(snapshot) ? 'browser-failed' : 'browser-lost'),
  // A warm session whose browser is lost is worth nothing; one that a client waits for gets another browser.
  'browser.lost': (phase, { origin }) => (phase === 'tools-registered' && origin.client === 'none' ? 'stale' : null),
  'transport.detached': (phase, { snapshot, event }) => {
    const { resumable } = snapshot.context as SessionContext;
    if (phase === 'detached' || (phase === 'serving' && resumable)) return null;
    return phase === 'draining' ? 'server-draining' : String(event['because']);
  },
  'session.drain': (phase, { origin }) => {
    const finishes = phase === 'draining' || (phase === 'serving' && origin.working > 0);
    return finishes ? null : 'server-draining';
  },
  'request.settled': (phase, { origin }) => (phase === 'draining' && origin.working <= 1 ? 'server-draining' : null),
};

/** Why the event must end the session; null if it must not. */
export function closeOf(before: Before): string | null {
  const { snapshot, origin, event } = before;
  const phase = phaseOf(snapshot);
  const closing = closings[event.type];
  if (closing !== undefined) return closing(phase, before);
  if (event.type.startsWith('xstate.error.actor')) {
    if (phase === 'created') return 'setup-failed';
    return isWaitingFor(origin, 'claim') ? 'claim-refused' : null;
  }
  const [, delay = ''] = /^xstate\.after\.(\w+)\./.exec(event.type) ?? [];
  return timeouts[delay] ?? null;
}

const isWaitingFor = ({ actors }: SessionState, actor: string): boolean =>
  actors.some((each) => each.startsWith(`${actor} `));

/** What holds of each state. */
export function foreseen(snapshot: AnyMachineSnapshot, state: SessionState, bounds: SessionBounds): string[] {
  const context = snapshot.context as SessionContext;
  const promises = snapshot.status === 'active' ? openPromises(snapshot, context, state, bounds) : endPromises(state);
  const where = JSON.stringify(snapshot.value);
  return Object.entries(promises).flatMap(([promise, holds]) => (holds ? [] : [`${promise}, in ${where}`]));
}

function endPromises(state: SessionState): Record<string, boolean> {
  return {
    'S5: what was opened is closed': state.actors.length === 0 && state.timers.length === 0 && state.acquiring === 0,
    'S7: the channel is ended': state.ended === 1,
    'S4: nothing waits for an answer': state.queue.length === 0 && state.working === 0,
  };
}

const browserFacts = { none: ['leasing', 'deferred'], up: ['ready'], down: ['lost'], failed: [] as string[] };

function openPromises(
  snapshot: AnyMachineSnapshot,
  context: SessionContext,
  state: SessionState,
  bounds: SessionBounds,
): Record<string, boolean> {
  const { queue, working, client, browser, acquiring, announced } = state;
  const early = isEarly(snapshot);
  const phase = phaseOf(snapshot);
  const isActive = stateOf(snapshot) === 'active';
  const isIdle = state.timers.some((timer) => timer.includes('idleTimeout'));
  return {
    'S1, S2: announced if and only if a client may know it': announced === (early ? 0 : 1),
    'S3: the tags are those of the state':
      snapshot.hasTag('early') === early &&
      snapshot.hasTag('open') === ['connected', 'serving', 'detached'].includes(phase) &&
      snapshot.hasTag('draining') === (phase === 'draining'),
    'S3, S4: what was accepted is delivered': early || queue.length === 0,
    'S10: early messages are counted, and bounded': context.held === queue.length && context.held <= bounds.queueLimit,
    'S4: requests in flight are counted': context.inFlight === working + requestsIn(queue),
    'S3: active is entered by initialize, or without one by a client that sends none':
      early || isActive === (context.handshake === (bounds.hasHandle ? 'none' : 'begun')),
    'S2: whether a client is attached is known': phase === 'draining' || context.attached === (client === 'here'),
    'S1: the state of the browser is known': browserFacts[browser].includes(context.browser),
    'S1: a lost browser is replaced before the announcement':
      !early || context.browser !== 'lost' || acquiring > 0 || client === 'none',
    'S5: the lease is held until the end': state.actors.includes('browserLease'),
    'S3: idle is who has no request in flight': isIdle === (phase === 'serving' && working === 0),
    'S2: a client that is here is served, one that is away is waited for':
      !isActive || phase === 'draining' || (phase === 'serving') === (client === 'here'),
  };
}
