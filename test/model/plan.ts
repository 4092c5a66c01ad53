import {
  fromCallback,
  fromPromise,
  initialTransition,
  transition,
  type AnyEventObject,
  type AnyStateMachine,
  type AnyStateNode,
  type AnyTransitionDefinition,
  type SnapshotFrom,
} from 'xstate';
import { getAdjacencyMap, getShortestPaths } from 'xstate/graph';
import { sessionMachine, type Failure, type SessionContext } from '../../machines/index.js';

/** Below the keep-alive of a stream, so that advancing the clock by one of these makes exactly one timer fire. */
export const delays = { setupTimeout: 1_000, initializeTimeout: 2_000, idleTimeout: 3_000, drainTimeout: 4_000 };

export const browserFailure: Failure = { reason: 'browser_unreachable', message: 'Nothing answers at port 9222.' };
export const toolsError = new Error('The embedder said no.');
export const claimError = new Error('The directory cannot be reached.');

const pendingForever = fromPromise<void, { id: string }>(() => new Promise(() => undefined));

/** The session chart with implementations that do nothing: what it decides is all that is asked of it. */
export const chart = sessionMachine.provide({
  actors: {
    browserLease: fromCallback(() => undefined),
    registerTools: pendingForever,
    checkBrowser: pendingForever,
    claim: pendingForever,
  },
  actions: { announce: () => undefined, deliver: () => undefined, terminate: () => undefined },
  delays: { ...delays, resumeGrace: 0 },
});

export type ChartSnapshot = SnapshotFrom<typeof chart>;
export type Lease = SessionContext['lease'];
export type Setup = SessionContext['setup'];

/** One thing that can happen to a session in the world, as the chart's event. */
export type Move = AnyEventObject;

/** How the client of a session reaches it: over a connection that it opens with, or by its handle alone. */
export type Reached = 'over a connection' | 'by its handle';

export const inputOf = (lease: Lease, queueLimit: number, setup?: Setup, reached: Reached = 'over a connection') => ({
  id: 'session',
  issuer: 'local',
  user: 'anna',
  lease,
  resumable: reached === 'by its handle',
  queueLimit,
  ...(reached === 'by its handle' && { handshake: 'none' as const }),
  ...(setup && { setup }),
});

/** How far the clock has to go for a move that is a delay of the chart. */
export function delayOf(type: string): number {
  const delay = Object.entries(delays).find(([name]) => type.startsWith(`xstate.after.${name}.`));
  if (!delay) throw new Error(`No way to make ${type} happen.`);
  return delay[1];
}

/** What a test can see of a snapshot: the chart's and the server's must be the same after each step. */
export function comparable({ value, context }: ChartSnapshot) {
  const { attached, browser, held, handshake, inFlight, closedBecause, failure } = context;
  return { value, attached, browser, held, handshake, inFlight, closedBecause, failure };
}

const afterOf = (delay: keyof typeof delays, state: string): Move => ({
  type: `xstate.after.${delay}.session.${state}`,
});

const outcomesOf = (state: string, error: Error): Move[] => {
  const id = chart.getStateNodeById(`session.${state}`).invoke[0]?.id;
  return [
    { type: `xstate.done.actor.${id}`, output: undefined, actorId: id },
    { type: `xstate.error.actor.${id}`, error, actorId: id },
  ];
};

const requestSettled = { id: 1, method: 'tools/call', tool: 'hold', outcome: 'ok', durationMs: 0 };

/**
 * Requests that the server answers in the same turn: each `initialize`, and before it whatever else. Calls that it serves
 * wait for the test.
 */
function answeredAtOnce(before: ChartSnapshot, move: Move, after: ChartSnapshot): number {
  if (after.status !== 'active' || after.hasTag('early')) return 0;
  if (before.hasTag('early') || after.matches('connected')) return after.context.inFlight;
  return move['kind'] === 'initialize' && after.matches({ active: 'serving' }) ? 1 : 0;
}

/** What the chart hears of when a move is made: the move, and the answers that follow at once. */
export function take(
  before: ChartSnapshot,
  move: Move,
): { readonly moves: readonly Move[]; readonly after: ChartSnapshot } {
  const moves = [move];
  // The type lacks XState's own events.
  let [after] = transition(chart, before, move as never);
  for (let left = answeredAtOnce(before, move, after); left > 0; left -= 1) {
    moves.push({ type: 'request.settled', request: requestSettled });
    [after] = transition(chart, after, moves.at(-1) as never);
  }
  return { moves, after };
}

/** The chart as the server makes it go: a traversal of it never sees a request that waits for nothing. */
const served: typeof chart = Object.assign(Object.create(chart) as typeof chart, {
  transition: (before: ChartSnapshot, move: Move) => take(before, move).after,
});

const clientLeaves = { because: 'client-closed' } as const;

/** What the client of a session can do: over SSE, or with a handle, behind which there is no connection to lose. */
function clientMovesIn({ context: { handshake, inFlight } }: ChartSnapshot): Move[] {
  const hasHandle = handshake === 'none';
  const requests = hasHandle ? ['request'] : ['request', 'initialize'];
  const kinds = [...(hasHandle ? [] : ['notification', 'response']), ...(inFlight < 2 ? requests : [])];
  return [
    ...kinds.map((kind) => ({ type: 'message.received', kind })),
    { type: hasHandle ? 'session.close' : 'transport.detached', ...clientLeaves },
  ];
}

/** Everything that the world can do to a session in this state. */
export function movesIn(snapshot: ChartSnapshot): Move[] {
  if (snapshot.status !== 'active') return [];
  const { browser, inFlight } = snapshot.context;
  return [
    ...clientMovesIn(snapshot),
    { type: 'session.close', because: 'operator-closed' },
    { type: 'session.drain' },
    ...(inFlight > 0 && !snapshot.hasTag('early') ? [{ type: 'request.settled', request: requestSettled }] : []),
    ...(browser === 'leasing' || browser === 'lost' ? [{ type: 'browser.leased' }] : []),
    ...(browser === 'ready' ? [{ type: 'browser.lost' }] : []),
    ...(browser === 'deferred' ? [] : [{ type: 'browser.failed', failure: browserFailure }]),
    ...stateMoves(snapshot),
  ];
}

function stateMoves(snapshot: ChartSnapshot): Move[] {
  if (snapshot.matches('created')) {
    const registering = snapshot.matches({ created: { tools: 'registering' } });
    const outcomes = registering ? outcomesOf('created.tools.registering', toolsError) : [];
    return [afterOf('setupTimeout', 'created'), ...outcomes];
  }
  if (snapshot.matches({ 'tools-registered': 'claiming' })) return outcomesOf('tools-registered.claiming', claimError);
  if (snapshot.matches({ 'tools-registered': 'leasing' })) {
    return [afterOf('setupTimeout', 'tools-registered.leasing')];
  }
  if (snapshot.matches('connected')) return [afterOf('initializeTimeout', 'connected')];
  if (snapshot.matches({ active: { serving: 'idle' } })) return [afterOf('idleTimeout', 'active.serving.idle')];
  if (snapshot.matches({ active: 'draining' })) return [afterOf('drainTimeout', 'active.draining')];
  return [];
}

/** A shortest path to a state, and one more move from there. */
export interface Scenario {
  readonly name: string;
  readonly lease: Lease;
  readonly queueLimit: number;
  readonly setup?: Setup;
  readonly moves: readonly Move[];
}

/** Without set-up: announced at once, or as soon as there is a browser. What follows is the same. */
export const withoutSetup: readonly Scenario[] = [
  { name: 'attached', lease: 'lazy', queueLimit: 0, setup: 'none', moves: [] },
  { name: 'browser.leased', lease: 'eager', queueLimit: 0, setup: 'none', moves: [{ type: 'browser.leased' }] },
];

/** By its handle a session is driven through each state once, not through each number of calls in it. */
const toldOfHandle = ({ value }: ChartSnapshot): unknown => value;

/** Every move from every state, each behind a shortest path to it; a scenario that begins another is left out. */
export function scenariosOf(lease: Lease, queueLimit = 0, reached?: Reached): Scenario[] {
  const [initial] = initialTransition(chart, inputOf(lease, queueLimit, undefined, reached));
  const [attached] = transition(chart, initial, { type: 'transport.attached' });
  const told = reached === 'by its handle' ? toldOfHandle : comparable;
  const options = {
    fromState: attached,
    // The type lacks XState's own events, for what was invoked and for delays.
    events: (snapshot: ChartSnapshot) => movesIn(snapshot) as never,
    serializeState: (snapshot: ChartSnapshot) => JSON.stringify(told(snapshot)),
  };
  // A traversal runs nothing: it asks the chart for the next state of each move.
  const states = Object.keys(getAdjacencyMap(served, options));
  const paths = getShortestPaths(served, options);
  if (new Set(paths.map(({ state }) => options.serializeState(state))).size !== states.length) {
    throw new Error('A state of the chart has no path.');
  }
  const all = paths.flatMap(({ state, steps }) => {
    const moves: Move[] = steps.map(({ event }) => event);
    const before = moves.filter(({ type }) => type !== 'xstate.init');
    return movesIn(state).map((move) => [...before, move]);
  });
  const named = all.map((moves) => ({ name: moves.map(nameOf).join(', '), lease, queueLimit, moves }));
  return named.filter(({ name }) => !named.some((other) => other.name.startsWith(`${name}, `)));
}

export const nameOf = ({ type, kind, because }: Move): string =>
  [
    type.replace(/^xstate\.|\bactor\.\d+\./g, ''),
    kind,
    type === 'session.close' && because === 'client-closed' ? because : '',
  ]
    .filter(Boolean)
    .join(' ');

export const edgeName = ({ source, eventType, target, guard }: AnyTransitionDefinition): string => {
  const event = eventType === '' ? 'always' : String(eventType).replace(/^xstate\.(\w+)\..*$/, '$1');
  // The library types it as `any`.
  const targets = target as readonly AnyStateNode[] | undefined;
  const condition = typeof guard === 'string' ? ` if ${guard}` : '';
  return `${source.id}: ${event}${condition} -> ${targets?.map(({ id }) => id).join() ?? 'stays'}`;
};

/** Every transition that the chart names, and every state. */
export function inventoryOf(machine: AnyStateMachine): { states: string[]; edges: string[] } {
  const nodes = [machine.root];
  for (const node of nodes) nodes.push(...Object.values(node.states));
  const edges = nodes.flatMap((node) => [...[...node.transitions.values()].flat(), ...(node.always ?? [])]);
  return { states: nodes.map(({ id }) => id), edges: [...new Set(edges.map(edgeName))] };
}
