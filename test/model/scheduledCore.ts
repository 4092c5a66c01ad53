import { Secrets } from '../../src/mcp/secrets.js';
import fc from 'fast-check';
import { noBrowsers, noWorkspace } from '../tools/support/plainSession.js';
import { silentLog } from '../../src/log.js';
import { noProfileChoice } from '../../src/mcp/clientProfiles.js';
import { compileFeatures } from '../../src/mcp/features.js';
import { Refusal } from '../../src/errors/errors.js';
import { createObserver } from '../../src/telemetry/observer.js';
import { createSessionLogic } from '../../src/session/actor.js';
import type { Session } from '../../src/session/session.js';
import type { SessionDeps } from '../../src/session/sessionDeps.js';
import { SessionRegistry } from '../../src/session/registry.js';
import { emptyToolSet, extendToolSet } from '../../src/tools/catalogue.js';
import { ManualClock } from '../support/manualClock.js';
import { RecordingChannel } from '../support/recordingChannel.js';
import { TestTools } from '../support/testTools.js';
import { traces } from './gates.js';
import type { ScheduledProgram, Scheduler, StepOwner } from './everyOrder.js';
import type { BrowserPool } from '../../src/browser/pool/browserLease.js';
import { ScheduledPool, type Step } from './scheduledPool.js';

const delays = { setupTimeout: 50, initializeTimeout: 70, idleTimeout: 110, resumeGrace: 0, drainTimeout: 130 };

/** What is done to one session, in this order, between which everything else may happen. */
const action = fc.constantFrom(
  'initialize',
  'ping',
  'hold',
  'notify',
  'answer',
  'cancel',
  'lose',
  'recover',
  'hang up',
  'close',
  'wait',
);
const outcome = fc.constantFrom('ok', 'ok', 'ok', 'fails');
export const plan = fc.record({
  actions: fc.array(action, { maxLength: 8 }),
  browser: outcome,
  tools: outcome,
  check: outcome,
  claim: outcome,
});
export type Plan = typeof plan extends fc.Arbitrary<infer Value> ? Value : never;

interface Entry {
  readonly session: Session;
  readonly plan: number;
  readonly channel: RecordingChannel;
  /** Ids of requests that were taken. */
  readonly accepted: number[];
  readonly cancelled: Set<number>;
  /** What became of the messages that came too early and were held. */
  readonly held: Held[];
  ids: number;
}

interface Held {
  readonly id: number | null;
  answer: string | null;
}

/** Plans are numbered in the order in which they were asked for. */
interface NumberedPlan extends Plan {
  readonly number: number;
}

/** What the whole run has in common. */
export const setting = fc.record({
  lease: fc.constantFrom<('eager' | 'lazy')[]>('eager', 'lazy'),
  drains: fc.boolean(),
  queueLimit: fc.constantFrom(0, 2),
  /** The plan of a session that waits for a client, if there is one. */
  warm: fc.option(plan),
});
export type Setting = typeof setting extends fc.Arbitrary<infer Value> ? Value : never;

/** The core that runs, one at a time: the chart's implementations are made once. */
const stage: { core?: ScheduledCore } = {};

function running(): ScheduledCore {
  if (stage.core === undefined) throw new Error('No core runs.');
  return stage.core;
}

const logic = createSessionLogic({
  find: (id) => running().registry.get(id),
  pool: { lease: (...given: Parameters<BrowserPool['lease']>) => running().pool.lease(...given) } as BrowserPool,
  isolation: 'context',
  delays,
  registerTools: ({ id }) => running().step(id, 'tools'),
  isHandedOff: () => false,
  claim: ({ id }) => running().claim(id),
});

const shared = {
  ...{ logic, serverInfo: { name: 'test', title: 'Test', version: '0' }, profileChoice: noProfileChoice },
  ...{ serverFeatures: compileFeatures({ isExtensible: false }), workspace: noWorkspace },
  ...{ secrets: new Secrets(), log: silentLog, hasFreeBrowser: () => true, browsersOf: () => noBrowsers },
};

/** One server core without sockets; every step of it that waits is ordered by the scheduler. */
export class ScheduledCore implements ScheduledProgram {
  readonly clock = new ManualClock();
  readonly tools = new TestTools();
  readonly unexpected: unknown[] = [];
  readonly announcedEarly: string[] = [];
  /** Refusals that were not the ones that the session's state calls for. */
  readonly wrongRefusals: string[] = [];
  readonly sessions: Entry[] = [];
  readonly registry = new SessionRegistry({ maxSessions: 10, maxSessionsPerUser: 10, maxTombstones: 10 });
  readonly #ready = new Set<string>();
  /** By the ids of sessions. */
  readonly #plans = new Map<string, NumberedPlan>();
  readonly #scheduler: Scheduler;
  readonly pool: ScheduledPool;
  readonly #queueLimit: number;
  readonly #deps: SessionDeps;
  readonly #toolSet = extendToolSet(
    emptyToolSet,
    this.tools.all.filter(({ name }) => name === 'hold'),
  );
  assigned = 0;
  /** The plan of the session that is being opened: its first steps begin before `open` has its id. */
  #opening: NumberedPlan | undefined;
  #planCount = 0;
  readonly #setting: Setting;

  constructor(scheduler: Scheduler, around: Setting) {
    const { lease, queueLimit } = around;
    this.#scheduler = scheduler;
    this.#setting = around;
    this.pool = new ScheduledPool((id, name) => this.step(id, name));
    this.#queueLimit = queueLimit;
    const inspect = createObserver(this.clock, [
      traces.observe,
      (observation) => {
        if (observation.kind === 'unexpected') this.unexpected.push(observation);
      },
    ]);
    const { clock } = this;
    this.#deps = { ...shared, lease, queueLimit, clock, inspect };
    stage.core = this;
  }

  /** Begins everything: the session that waits for a client, the clients, and the drain. */
  begin(plans: readonly Plan[]): this {
    const { warm, drains } = this.#setting;
    if (warm !== null) this.openWarm(warm);
    for (const one of plans) this.openLater(one);
    const owner = { plan: this.#planCount, isShared: true };
    const drain = (): void => void this.registry.drain();
    if (drains) void this.#scheduler.schedule(Promise.resolve(), 'drain', owner).then(drain);
    return this;
  }

  /** A session that waits for whoever comes first. Until then it is nobody's: not even operators find it. */
  openWarm(requested: Plan): void {
    const number = this.#planCount++;
    this.#opening = { ...requested, number };
    const session = this.registry.openWarm(this.#deps);
    const look = () => {
      const isFound = refusalOf(() => this.registry.find(session.id, 'anyone')) !== 'unknown';
      if (session.isWarm && isFound) this.wrongRefusals.push('[S6] a warm session was found');
      if (!session.isWarm && session.state !== 'closed') this.assigned += 1;
      return Promise.resolve();
    };
    const metadata = { plan: number, isShared: false };
    this.#scheduler.scheduleSequence(Array.from({ length: 4 }, () => ({ label: 'look', builder: look, metadata })));
  }

  /** When the scheduler gets to it; a server that drains opens none. */
  openLater(requested: Plan): void {
    const number = this.#planCount++;
    // A warm session is given to whoever opens first.
    const owner = { plan: number, isShared: this.#setting.warm !== null };
    void this.#scheduler.schedule(Promise.resolve(), 'open', owner).then(() => {
      const answer = refusalOf(() => this.open({ ...requested, number }));
      if (answer !== 'ok' && answer !== 'draining') this.wrongRefusals.push(`open: ${answer}`);
    });
  }

  open(requested: NumberedPlan): void {
    const channel = new RecordingChannel((id) => {
      if (!this.#ready.has(id)) this.announcedEarly.push(id);
      // The fastest client there can be: it posts before anything else happens.
      void Promise.resolve().then(() => this.#post(entry, 'initialize'));
    });
    const principal = { issuer: 'local', user: 'anna' };
    this.#opening = requested;
    const session = this.registry.open(this.#deps, { principal, toolSet: this.#toolSet, channel });
    const { number } = this.#planOf(session.id);
    const entry: Entry = { session, plan: number, channel, accepted: [], cancelled: new Set(), held: [], ids: 0 };
    this.sessions.push(entry);
    const steps = requested.actions.map((name) => ({
      label: name,
      builder: () => {
        this.#act(entry, name);
        return Promise.resolve();
      },
      // The clock is one for all.
      metadata: { plan: number, isShared: name === 'wait' },
    }));
    this.#scheduler.scheduleSequence(steps);
  }

  #planOf(id: string): NumberedPlan {
    const known = this.#plans.get(id) ?? this.#opening;
    if (!known) throw new Error('No plan.');
    this.#plans.set(id, known);
    return known;
  }

  /** Nothing fails to be released. */
  async claim(id: string): Promise<void> {
    await this.step(id, 'claim');
    this.#ready.add(id);
  }

  step(id: string, name: Step): Promise<void> {
    const given = this.#planOf(id);
    const fails = name !== 'release' && given[name] === 'fails';
    const owner: StepOwner = { plan: given.number, isShared: false };
    return this.#scheduler.schedule(Promise.resolve(), name, owner).then(() => {
      if (fails) throw new Refusal('setup_failed', { detail: `${name} failed` });
    });
  }

  #act(entry: Entry, name: string): void {
    const { session, accepted, cancelled } = entry;
    const last = accepted.at(-1) ?? 0;
    if (name === 'ping' || name === 'initialize') this.#post(entry, name);
    else if (name === 'hold') this.#post(entry, 'tools/call', { name: 'hold' });
    else if (name === 'notify') this.#post(entry, 'notifications/initialized');
    else if (name === 'cancel') {
      if (this.#post(entry, 'notifications/cancelled', { requestId: last })) cancelled.add(last);
    } else if (name === 'answer') this.#answer(session.id);
    else if (name === 'hang up') session.detach('client-closed');
    else if (name === 'close') session.close('operator-closed');
    else if (name === 'lose') this.pool.lose(session.id);
    else if (name === 'recover') this.pool.recover(session.id);
    else this.clock.advance(40);
  }

  /** The oldest call of a session ends. */
  #answer(sessionId: string): void {
    this.tools.held.find(({ gate, context }) => !gate.isOpen && context.session.id === sessionId)?.gate.open();
  }

  /** S3: delivered in `connected` and `active`, held before if there is room, else refused as what it is. */
  #post(entry: Entry, method: string, params: Record<string, unknown> = {}): boolean {
    const { session, accepted, held } = entry;
    const { state } = session;
    const isRequest = !method.startsWith('notifications/');
    const snapshot = session.actor.getSnapshot();
    const id = (entry.ids += 1);
    const isHeld = snapshot.hasTag('early') && snapshot.context.held < this.#queueLimit;
    const refusesRequests = snapshot.hasTag('draining');
    const early = this.#queueLimit > 0 && snapshot.hasTag('early') ? 'queue_full' : answerIn[state];
    const expected = refusesRequests && isRequest ? 'draining' : (early ?? 'ok');
    const waiting: Held = { id: isRequest ? id : null, answer: null };
    const receiving = async (): Promise<void> => {
      this.registry.find(session.id, session.principal);
      await session.receive({ jsonrpc: '2.0', method, params, ...(isRequest && { id }) });
    };
    void answerOf(receiving).then((answer) => {
      waiting.answer = answer;
      if (!isHeld && answer !== expected) this.wrongRefusals.push(`${state}: ${answer} instead of ${expected}`);
    });
    if (isHeld) held.push(waiting);
    else if (isRequest && expected === 'ok') accepted.push(id);
    return isHeld || expected === 'ok';
  }

  async end(): Promise<void> {
    await this.#scheduler.waitIdle();
    this.tools.releaseCalls();
    const drained = this.registry.drain();
    this.clock.advance(delays.drainTimeout);
    await this.#scheduler.waitIdle();
    await drained;
    await this.#scheduler.waitIdle();
  }

  /** Of each plan by itself: the order in which the sessions were opened is no part of it. */
  fingerprint(): string {
    const seen = this.sessions
      .toSorted((one, other) => one.plan - other.plan)
      .map((entry) => {
        const { session, plan: number, channel, accepted, cancelled, held } = entry;
        const { value, context } = session.actor.getSnapshot();
        const told = JSON.stringify([value, context, channel.sent, accepted, [...cancelled], held]);
        return [number, told.replaceAll(session.id, 's')];
      });
    const warm = [...this.#plans.keys()].map((id) => this.registry.peek(id)).find((session) => session?.isWarm);
    const numbers = (ids: readonly string[]): number[] => ids.map((id) => this.#planOf(id).number).toSorted();
    const { opened, closed } = this.pool;
    const common = [numbers(opened), numbers(closed), this.clock.now(), this.clock.pending, this.assigned];
    return JSON.stringify([
      seen,
      warm?.actor.getSnapshot().value,
      common,
      this.registry.isDraining,
      this.wrongRefusals.toSorted(),
    ]);
  }

  /** What did not hold; one list, compared once, because this runs thousands of times. */
  violations(): unknown[] {
    const leaks = [
      ...(this.pool.closed.toSorted().join() === this.pool.opened.toSorted().join()
        ? []
        : ['[S5] opened is not closed']),
      ...(this.clock.pending === 0 ? [] : ['[S5] a timer is left']),
      ...(this.registry.list().length === 0 ? [] : ['[S5] a session is left']),
    ];
    const early = this.announcedEarly.map((id) => `[S1] ${id} was announced before it was claimed`);
    return [
      ...leaks,
      ...early,
      ...this.wrongRefusals,
      ...this.unexpected,
      ...this.sessions.flatMap((entry) => this.#broken(entry)),
    ];
  }

  #broken({ session, channel, accepted, cancelled, held }: Entry): string[] {
    const { sent } = channel;
    const heldIds = held.flatMap(({ id, answer }) => (id === null || answer !== 'ok' ? [] : [id]));
    const answered = sent.flatMap((one) => (typeof one === 'object' && !('method' in one) ? [Number(one.id)] : []));
    const unanswered = [...accepted, ...heldIds].filter((id) => !answered.includes(id) && !cancelled.has(id));
    const find = (user: string) => refusalOf(() => this.registry.find(session.id, { issuer: 'local', user }));
    const holds: Record<string, boolean> = {
      '[S2] announced at most once': channel.announcements <= 1,
      '[S1] announced before anything else': sent.length === 1 || sent[0] === 'announce',
      '[S7] ended once, and nothing after it': sent.indexOf('end') === sent.length - 1,
      '[S4] answered once': new Set(answered).size === answered.length,
      '[S4] answered all': unanswered.length === 0,
      '[S3] what was held is answered, delivered if it was announced': held.every(({ answer }) =>
        channel.announcements === 1 ? answer === 'ok' : answer !== null && answer !== 'ok',
      ),
      '[S3] its owner hears that it is closed': find('anna') === 'closed',
      '[S3] others hear nothing of it': find('bert') === 'unknown',
    };
    return Object.keys(holds).filter((promise) => !holds[promise]);
  }
}

const answerIn: Readonly<Record<string, string>> = {
  created: 'not_ready',
  'tools-registered': 'not_ready',
  closed: 'closed',
};

async function answerOf(work: () => Promise<void>): Promise<string> {
  try {
    await work();
    return 'ok';
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

function refusalOf(work: () => void): string {
  try {
    work();
    return 'ok';
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}
