import type { AnyEventObject, AnyMachineSnapshot } from 'xstate';
import { sessionEventTypes } from '../../machines/events.js';
import type { SessionContext } from '../../machines/index.js';
import type { ChartStep, ChartSteps, Effect } from './chartSteps.js';
import type { Move, World } from './explore.js';
import { closeOf, foreseen, isEarly, isServed, requestsIn, stateOf, type Before } from './sessionPromises.js';

/** How a session begins, and how much of everything there may be. */
export interface SessionBounds {
  readonly lease: 'eager' | 'lazy';
  readonly resumable: boolean;
  readonly isWarm: boolean;
  /** Whether its client has no connection that can be lost, and sends requests by its handle alone. */
  readonly hasHandle?: true;
  /** none: neither tools nor claim are waited for. */
  readonly setup?: 'none';
  readonly queueLimit: number;
  /** Requests that are unanswered at once. */
  readonly maxInFlight: number;
  /** Only what the server lets happen: otherwise all that the chart is to withstand. */
  readonly isServed?: true;
}

/** One session chart and the processes around it. */
export interface SessionState {
  /** The number of the chart's snapshot. */
  readonly chart: number;
  readonly client: 'none' | 'here' | 'away' | 'gone';
  readonly browser: 'none' | 'up' | 'down' | 'failed';
  /** Acquisitions of a browser that the lease has not answered. */
  readonly acquiring: number;
  readonly hasTools: boolean;
  readonly isClaimed: boolean;
  /** Kinds of the messages that wait for `connected`, in order. */
  readonly queue: readonly string[];
  /** Requests that the MCP server has and has not answered. */
  readonly working: number;
  readonly announced: number;
  readonly ended: number;
  readonly actors: readonly string[];
  readonly timers: readonly string[];
}

const failure = { reason: 'browser_unreachable', message: 'Nothing answers.' };
const settled = { id: 1, method: 'ping', tool: null, outcome: 'ok', durationMs: 0 };
/** Fields of every event. */
const sample = { kind: 'notification', because: 'operator-closed', failure, request: settled };
const kinds = ['initialize', 'request', 'notification', 'response'] as const;

/** The reasons for which what is outside of the chart closes a session. */
const closeReasons = ['client-closed', 'operator-closed', 'node-lost', 'stale'] as const;

type Violate = (promise: string) => void;
const ignore: Violate = () => undefined;

export class SessionWorld implements World<SessionState> {
  readonly name: string;
  /** Its kind, without the bounds. */
  readonly title: string;
  readonly steps: ChartSteps;
  readonly #bounds: SessionBounds;

  /** Worlds of one chart share its steps. */
  constructor(steps: ChartSteps, bounds: SessionBounds) {
    this.#bounds = bounds;
    this.steps = steps;
    const { lease, resumable, isWarm, setup, hasHandle, queueLimit, maxInFlight } = bounds;
    const words = [lease, isWarm ? 'warm' : 'asked for', resumable ? 'resumable' : 'not resumable'];
    if (hasHandle === true) words.push('by its handle');
    if (setup === 'none') words.push('nothing to set up');
    this.title = `session: ${words.join(', ')}`;
    this.name = `${this.title}; ${queueLimit} early, ${maxInFlight} in flight`;
  }

  /** As a client or the warm pool asks for it. */
  starts(): SessionState[] {
    const { lease, isWarm, queueLimit, setup } = this.#bounds;
    const client = isWarm ? { issuer: null, user: null, resumable: false } : this.#client;
    const first = this.steps.start({ id: 's', ...client, lease, queueLimit, ...(setup && { setup }) });
    const empty: SessionState = {
      ...{ chart: first.next, client: 'none', browser: 'none', acquiring: lease === 'eager' ? 1 : 0, hasTools: false },
      ...{ isClaimed: false, queue: [], working: 0, announced: 0, ended: 0, actors: [], timers: [] },
    };
    const created = first.effects.reduce((state, effect) => this.#apply(state, effect, ignore), empty);
    // A client that asks for a session is attached as soon as its actor runs.
    return [isWarm ? created : this.#send({ ...created, client: 'here' }, { type: 'transport.attached' }, ignore)];
  }

  key({ chart, ...around }: SessionState): string {
    return JSON.stringify([this.steps.label(chart), Object.values(around)]);
  }

  isEnd({ chart }: SessionState): boolean {
    return this.steps.snapshot(chart).status !== 'active';
  }

  /** Whoever asked waits for the announcement; a warm session gets ready. */
  isAwaited({ chart, client }: SessionState): boolean {
    const snapshot = this.steps.snapshot(chart);
    return client === 'here' ? isEarly(snapshot) : stateOf(snapshot) === 'created';
  }

  shapes({ chart }: SessionState): string[] {
    const { value, context } = this.steps.snapshot(chart);
    const { attached, browser, held, handshake, inFlight, closedBecause } = context as SessionContext;
    const { queueLimit } = this.#bounds;
    const fill = held === 0 ? 'none' : held < queueLimit ? 'some' : 'full';
    return [JSON.stringify([value, attached, browser, fill, handshake, Math.min(inFlight, 2), closedBecause])];
  }

  violations(state: SessionState): string[] {
    const snapshot = this.steps.snapshot(state.chart);
    const idle = state.actors.filter((entry) => !this.#isAwaited(entry.split(' ', 1).join()));
    const needless = idle.map((entry) => `S1: ${entry} runs and has nothing to do`);
    return [...foreseen(snapshot, state, this.#bounds), ...needless, ...this.#unhandled(state, snapshot)];
  }

  moves(state: SessionState): Move<SessionState>[] {
    const snapshot = this.steps.snapshot(state.chart);
    if (snapshot.status !== 'active') return [];
    const moves = [
      ...this.#clientMoves(state, snapshot),
      ...this.#browserMoves(state, snapshot),
      ...this.#ownMoves(state, snapshot),
      ...this.#operatorMoves(state),
      ...this.#takeovers(state, snapshot),
    ];
    return this.#bounds.isServed === true ? moves.filter((move) => isServed(snapshot, state, move)) : moves;
  }

  /** Its node dies, and another restores it from its snapshot, without timers: attached as it starts, then its client is away. */
  #takeovers(state: SessionState, snapshot: AnyMachineSnapshot): Move<SessionState>[] {
    if (!this.#bounds.resumable || stateOf(snapshot) !== 'active') return [];
    const context = { ...(snapshot.context as SessionContext), attached: false, inFlight: 0, held: 0 };
    const chart = this.steps.resume(snapshot, { active: 'detached' }, context);
    const acquiring = this.#bounds.lease === 'eager' ? 1 : 0;
    const restored: SessionState = { ...state, chart, acquiring, working: 0, timers: [], client: 'here' };
    const started = this.#send(restored, { type: 'transport.attached' }, ignore);
    if (this.#bounds.hasHandle) return [{ name: 'takeover', by: 'outside', take: () => started }];
    const detached = { type: 'transport.detached', because: 'client-closed' };
    return [{ ...this.#move('outside', started, detached, { client: 'away' }), name: 'takeover' }];
  }

  get #client() {
    const { resumable, hasHandle } = this.#bounds;
    return { issuer: 'local', user: 'anna', resumable, ...(hasHandle && { handshake: 'none' as const }) };
  }

  #move(
    by: Move<SessionState>['by'],
    state: SessionState,
    event: AnyEventObject,
    change: Partial<SessionState> = {},
  ): Move<SessionState> {
    const detail = [event['kind'], event['because']].filter((each) => typeof each === 'string');
    const name = [event.type.replace(/^xstate\.|\bactor\.\d+\.|\bsession\./g, ''), ...detail].join(' ');
    const take = (violate: Violate): SessionState => this.#send({ ...state, ...change }, event, violate, state);
    const isGood = event.type.startsWith('xstate.done.') || event.type === 'browser.leased';
    return { isGood, name: event.type.startsWith('session.') ? `session.${name}` : name, by, take };
  }

  #clientMoves(state: SessionState, snapshot: AnyMachineSnapshot): Move<SessionState>[] {
    const { client } = state;
    const attached = { type: 'transport.attached' };
    if (client === 'none')
      return [this.#move('outside', state, { ...attached, client: this.#client }, { client: 'here' })];
    if (client === 'gone') return [];
    const messages = kinds.filter((kind) => this.#takes(state, snapshot, kind));
    if (this.#bounds.hasHandle)
      return messages.map((kind) => this.#move('outside', state, { type: 'message.received', kind }));
    return [
      ...messages.map((kind) => this.#move('outside', state, { type: 'message.received', kind })),
      this.#move('outside', state, attached, { client: 'here' }),
      ...(['client-closed', 'slow-client'] as const).map((because) =>
        this.#move('outside', state, { type: 'transport.detached', because }, { client: 'away' }),
      ),
    ];
  }

  /** What `Session.receive` lets through: a message that is not taken is refused before the chart hears of it. */
  #takes({ queue, working }: SessionState, snapshot: AnyMachineSnapshot, kind: string): boolean {
    const isCounted = kind === 'initialize' || kind === 'request';
    if (this.#bounds.hasHandle && (kind !== 'request' || snapshot.hasTag('early'))) return false;
    if (snapshot.hasTag('early')) return queue.length < this.#bounds.queueLimit;
    if (!isCounted) return true;
    return !snapshot.hasTag('draining') && working < this.#bounds.maxInFlight;
  }

  #browserMoves(state: SessionState, snapshot: AnyMachineSnapshot): Move<SessionState>[] {
    const { browser, acquiring, actors } = state;
    if (!actors.includes('browserLease')) return [];
    const leased = { type: 'browser.leased' };
    const failed = { type: 'browser.failed', failure };
    const change = { acquiring: acquiring - 1 };
    // A lazy lease has nothing until a tool needs it, and a tool runs only for a client that has been announced.
    const isUsed = browser === 'down' || (browser === 'none' && !snapshot.hasTag('early'));
    return [
      ...(acquiring > 0
        ? [
            this.#move('answer', state, leased, { ...change, browser: 'up' }),
            this.#move('answer', state, failed, { ...change, browser: 'failed' }),
          ]
        : []),
      ...(acquiring === 0 && isUsed
        ? [
            this.#move('outside', state, leased, { browser: 'up' }),
            this.#move('outside', state, failed, { browser: 'failed' }),
          ]
        : []),
      ...(browser === 'up' && acquiring === 0 ? [this.#move('outside', state, failed, { browser: 'failed' })] : []),
      ...(browser === 'up' ? [this.#move('outside', state, { type: 'browser.lost' }, { browser: 'down' })] : []),
    ];
  }

  /** Timers, and the answers of what was invoked: the directory and the check of a browser limit their own time. */
  #ownMoves(state: SessionState, snapshot: AnyMachineSnapshot): Move<SessionState>[] {
    const { actors, timers, working } = state;
    // A call has a deadline of its own; a server that stops does not wait for it.
    const isDraining = snapshot.hasTag('draining');
    const asked = actors.filter((each) => each !== 'browserLease');
    return [
      ...timers.map((type) => this.#move('own', state, { type })),
      ...(working > 0
        ? [
            this.#move(
              isDraining ? 'answer' : 'own',
              state,
              { type: 'request.settled', request: settled },
              { working: working - 1 },
            ),
          ]
        : []),
      ...asked.flatMap((entry) => {
        const [actor = '', id = ''] = entry.split(' ');
        const by = actor === 'registerTools' ? 'answer' : 'own';
        const change = {
          actors: actors.filter((each) => each !== entry),
          ...(actor === 'registerTools' && { hasTools: true }),
          ...(actor === 'claim' && { isClaimed: true }),
        };
        const error = new Error(`${actor} refused`);
        return [
          this.#move(by, state, { type: `xstate.done.actor.${id}`, output: undefined, actorId: id }, change),
          this.#move(
            by,
            state,
            { type: `xstate.error.actor.${id}`, error, actorId: id },
            {
              actors: change.actors,
              ...(actor === 'checkBrowser' && { browser: 'down' }),
            },
          ),
        ];
      }),
    ];
  }

  #operatorMoves(state: SessionState): Move<SessionState>[] {
    return [
      this.#move('outside', state, { type: 'session.drain' }),
      ...closeReasons.map((because) =>
        // The warm pool closes a session that no client has asked for in time.
        this.#move(
          because === 'stale' && state.client === 'none' ? 'own' : 'outside',
          state,
          {
            type: 'session.close',
            because,
          },
          because === 'client-closed' ? { client: 'gone' } : {},
        ),
      ),
    ];
  }

  /** What the chart does with an event, in the order in which it does it. */
  #send(from: SessionState, event: AnyEventObject, violate: Violate, origin: SessionState = from): SessionState {
    const before = this.steps.snapshot(from.chart);
    const step = this.steps.step(from.chart, event);
    if (!step.isHandled) violate(`S9: ${event.type} is not handled in ${JSON.stringify(before.value)}`);
    const kind = event.type === 'message.received' ? String(event['kind']) : undefined;
    let state: SessionState = { ...from, ...(kind !== undefined && { queue: [...from.queue, kind] }) };
    state = { ...state, timers: state.timers.filter((timer) => timer !== event.type) };
    for (const effect of step.effects) state = this.#apply(state, effect, violate);
    state = { ...state, chart: step.next };
    this.#checkStep({ snapshot: before, origin, event }, step, state, violate);
    return state;
  }

  #apply(state: SessionState, effect: Effect, violate: Violate): SessionState {
    const { actors, timers } = state;
    if (effect.kind === 'start') {
      const entry = effect.actor === 'browserLease' ? effect.actor : `${effect.actor} ${effect.id}`;
      if (actors.includes(entry)) violate(`S5: ${effect.actor} is started twice`);
      return { ...state, actors: [...actors, entry].toSorted() };
    }
    if (effect.kind === 'stop') {
      const rest = actors.filter((each) => each !== effect.id && !each.endsWith(` ${effect.id}`));
      return { ...state, actors: rest, ...(effect.id === 'browserLease' && { acquiring: 0, browser: 'none' }) };
    }
    if (effect.kind === 'arm') return { ...state, timers: [...new Set([...timers, effect.timer])].toSorted() };
    if (effect.kind === 'cancel') return { ...state, timers: timers.filter((timer) => timer !== effect.timer) };
    if (effect.kind === 'send') return { ...state, acquiring: Math.min(2, state.acquiring + 1) };
    if (effect.name === 'announce') return this.#announce(state, violate);
    if (effect.name === 'deliver') return this.#deliver(state, violate);
    if (effect.name === 'terminate') {
      if (state.ended > 0) violate('S7: the channel is ended twice');
      return { ...state, ended: 1, queue: [], working: 0 };
    }
    return state;
  }

  /** Whether there is something to wait for. */
  #isAwaited(actor: string): boolean {
    const { lease, setup } = this.#bounds;
    return setup !== 'none' || actor === 'browserLease' || (actor === 'checkBrowser' && lease === 'eager');
  }

  #announce(state: SessionState, violate: Violate): SessionState {
    const { lease, setup } = this.#bounds;
    if (setup !== 'none' && !state.isClaimed) violate('S1, S12: announced without the answer of the directory');
    if (setup !== 'none' && !state.hasTools) violate('S1: announced before the tools are registered');
    if (lease === 'eager' && state.browser !== 'up') violate('S1: announced without a browser');
    if (state.client !== 'here') violate('S2: announced without a client');
    if (state.announced > 0) violate('S2: announced twice');
    if (state.ended > 0) violate('S7: announced after the end');
    return { ...state, announced: 1 };
  }

  #deliver(state: SessionState, violate: Violate): SessionState {
    if (state.announced === 0) violate('S3: delivered before the announcement');
    if (state.ended > 0) violate('S3, S7: delivered after the end');
    const requests = requestsIn(state.queue);
    return { ...state, queue: [], working: state.working + requests };
  }

  /** That the session ends when it must, for the reason that there is, and at no other time. */
  #checkStep(before: Before, step: ChartStep, state: SessionState, violate: Violate): void {
    const { snapshot, event } = before;
    const after = this.steps.snapshot(state.chart);
    const { closedBecause, failure: cause } = after.context as SessionContext;
    const because = closeOf(before);
    const isClosed = stateOf(after) === 'closed';
    const where = JSON.stringify(snapshot.value);
    if (isClosed !== (because !== null))
      violate(`S3: ${event.type} ${isClosed ? 'closes' : 'does not close'} a session that is ${where}`);
    if (isClosed && closedBecause !== because)
      violate(`S8: closed as ${closedBecause} by ${event.type}, not as ${because}`);
    const hasCause = 'failure' in event || 'error' in event;
    if (isClosed && (cause !== null) !== hasCause) violate(`S8: the cause of ${event.type} is not passed on`);
    const restarts = step.effects.some((effect) => effect.kind === 'arm' && effect.timer.includes('idleTimeout'));
    const isIdle = state.timers.some((timer) => timer.includes('idleTimeout'));
    if (event.type === 'message.received' && isIdle && !restarts)
      violate('S3: a message does not restart the idle timeout');
    if (event['client'] !== undefined) this.#checkAssigned(snapshot, state, violate);
  }

  /** Of a warm session whose client has come. */
  #checkAssigned(before: AnyMachineSnapshot, { chart, actors }: SessionState, violate: Violate): void {
    const { user, resumable } = this.steps.snapshot(chart).context as SessionContext;
    const isChecked = actors.some((each) => each.startsWith('checkBrowser'));
    if (user !== this.#client.user || resumable !== this.#bounds.resumable)
      violate('S6: the client of a warm session is not recorded');
    const hasNone = this.#bounds.setup === 'none' && (before.context as SessionContext).browser === 'deferred';
    if (before.matches({ 'tools-registered': 'waiting' }) && !isChecked && !hasNone)
      violate('S1: the browser of a warm session is not checked when its client comes');
  }

  /** Each event is named in each state; one that reports what is so already changes nothing. */
  #unhandled(state: SessionState, snapshot: AnyMachineSnapshot): string[] {
    if (snapshot.status !== 'active') return [];
    const { browser, client, working, queue } = state;
    const early = isEarly(snapshot);
    const redundant: AnyEventObject[] = [
      ...(client === 'here' ? [{ type: 'transport.attached' }] : []),
      ...(client === 'away' ? [{ type: 'transport.detached', because: 'client-closed' }] : []),
      ...(browser === 'up' ? [{ type: 'browser.leased' }] : []),
      ...(browser === 'down' && stateOf(snapshot) !== 'created' ? [{ type: 'browser.lost' }] : []),
      ...(early || working === 0 ? [{ type: 'request.settled', request: settled }] : []),
      ...(early && queue.length >= this.#bounds.queueLimit ? [{ type: 'message.received', kind: 'request' }] : []),
      ...(snapshot.hasTag('draining')
        ? [{ type: 'message.received', kind: 'request' }, { type: 'session.drain' }]
        : []),
    ];
    const where = `in ${JSON.stringify(snapshot.value)}`;
    const unnamed = sessionEventTypes.filter((type) => !this.steps.probe(state.chart, { ...sample, type }).isHandled);
    const changing = redundant.filter((event) => {
      const { next, effects } = this.steps.probe(state.chart, event);
      return next !== state.chart || effects.length > 0;
    });
    return [
      ...unnamed.map((type) => `S9: ${type} is not handled ${where}`),
      ...changing.map(({ type }) => `S9: ${type} changes something although it is so already ${where}`),
    ];
  }
}
