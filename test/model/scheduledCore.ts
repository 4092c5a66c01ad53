import { Secrets } from '../../src/mcp/secrets.js';
import fc from 'fast-check';
import { noBrowsers } from '../tools/support/plainSession.js';
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
type Plan = typeof plan extends fc.Arbitrary<infer Value> ? Value : never;

interface Entry {
  readonly session: Session;
  readonly channel: RecordingChannel;
  /** Ids of requests that were taken. */
  readonly accepted: number[];
  readonly cancelled: Set<number>;
  /** What became of the messages that came too early and were held. */
  readonly held: Held[];
}

interface Held {
  readonly id: number | null;
  answer: string | null;
}

/** What the whole run has in common. */
export const setting = fc.record({
  lease: fc.constantFrom<('eager' | 'lazy')[]>('eager', 'lazy'),
  drains: fc.boolean(),
  queueLimit: fc.constantFrom(0, 2),
  /** The plan of a session that waits for a client, if there is one. */
  warm: fc.option(plan),
});
type Setting = typeof setting extends fc.Arbitrary<infer Value> ? Value : never;

/** One server core without sockets; every step of it that waits is ordered by the scheduler. */
export class ScheduledCore {
  readonly clock = new ManualClock();
  readonly tools = new TestTools();
  readonly unexpected: unknown[] = [];
  readonly announcedEarly: string[] = [];
  /** Refusals that were not the ones that the session's state calls for. */
  readonly wrongRefusals: string[] = [];
  readonly sessions: Entry[] = [];
  readonly registry = new SessionRegistry({ maxSessions: 10, maxSessionsPerUser: 10 });
  readonly #ready = new Set<string>();
  readonly #plans = new Map<string, Plan>();
  readonly #scheduler: fc.Scheduler;
  readonly #pool: ScheduledPool;
  readonly #queueLimit: number;
  readonly #deps: SessionDeps;
  #ids = 0;
  assigned = 0;
  /** The plan of the session that is being opened: its first steps begin before `open` has its id. */
  #opening: Plan | undefined;

  constructor(scheduler: fc.Scheduler, { lease, queueLimit }: Setting) {
    this.#scheduler = scheduler;
    this.#pool = new ScheduledPool((id, name) => this.#step(id, name));
    this.#queueLimit = queueLimit;
    const logic = createSessionLogic({
      find: (id) => this.registry.get(id),
      pool: this.#pool,
      isolation: 'context',
      delays,
      registerTools: ({ id }) => this.#step(id, 'tools'),
      isHandedOff: () => false,
      claim: ({ id }) => this.#step(id, 'claim').then(() => void this.#ready.add(id)),
    });
    const inspect = createObserver(this.clock, [
      (observation) => {
        if (observation.kind === 'unexpected') this.unexpected.push(observation);
      },
    ]);
    const serverInfo = { name: 'test', title: 'Test', version: '0' };
    const serverFeatures = compileFeatures({ isExtensible: false });
    const { clock } = this;
    this.#deps = {
      logic,
      serverInfo,
      serverFeatures,
      profileChoice: noProfileChoice,
      workspace: { folders: [], closed: [] },
      secrets: new Secrets(),
      lease,
      hasFreeBrowser: () => true,
      queueLimit,
      clock,
      log: silentLog,
      browsersOf: () => noBrowsers,
      inspect,
    };
  }

  /** A session that waits for whoever comes first. Until then it is nobody's: not even operators find it. */
  openWarm(requested: Plan): void {
    this.#opening = requested;
    const session = this.registry.openWarm(this.#deps);
    const look = () => {
      const isFound = refusalOf(() => this.registry.find(session.id, 'anyone')) !== 'unknown';
      if (session.isWarm && isFound) this.wrongRefusals.push('[S6] a warm session was found');
      if (!session.isWarm && session.state !== 'closed') this.assigned += 1;
      return Promise.resolve();
    };
    this.#scheduler.scheduleSequence(Array.from({ length: 4 }, () => ({ label: 'look', builder: look })));
  }

  /** When the scheduler gets to it; a server that drains opens none. */
  openLater(requested: Plan): void {
    void this.#scheduler.schedule(Promise.resolve(), 'open').then(() => {
      const answer = refusalOf(() => this.open(requested));
      if (answer !== 'ok' && answer !== 'draining') this.wrongRefusals.push(`open: ${answer}`);
    });
  }

  open(requested: Plan): void {
    const channel = new RecordingChannel((id) => {
      if (!this.#ready.has(id)) this.announcedEarly.push(id);
      // The fastest client there can be: it posts before anything else happens.
      void Promise.resolve().then(() => this.#post(entry, 'initialize'));
    });
    const principal = { issuer: 'local', user: 'anna' };
    const toolSet = extendToolSet(emptyToolSet, this.tools.all);
    this.#opening = requested;
    const session = this.registry.open(this.#deps, { principal, toolSet, channel });
    const entry: Entry = { session, channel, accepted: [], cancelled: new Set(), held: [] };
    this.sessions.push(entry);
    const steps = requested.actions.map((name) => ({
      label: name,
      builder: () => {
        this.#act(entry, name);
        return Promise.resolve();
      },
    }));
    this.#scheduler.scheduleSequence(steps);
  }

  #planOf(id: string): Plan {
    const known = this.#plans.get(id) ?? this.#opening;
    if (!known) throw new Error('No plan.');
    this.#plans.set(id, known);
    return known;
  }

  /** Nothing fails to be released. */
  #step(id: string, name: Step): Promise<void> {
    const fails = name !== 'release' && this.#planOf(id)[name] === 'fails';
    return this.#scheduler.schedule(Promise.resolve(), name).then(() => {
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
    } else if (name === 'answer') this.tools.held.find(({ gate }) => !gate.isOpen)?.gate.open();
    else if (name === 'hang up') session.detach('client-closed');
    else if (name === 'close') session.close('operator-closed');
    else if (name === 'lose') this.#pool.lose(session.id);
    else if (name === 'recover') this.#pool.recover(session.id);
    else this.clock.advance(40);
  }

  /** S3: delivered in `connected` and `active`, held before if there is room, else refused as what it is. */
  #post(entry: Entry, method: string, params: Record<string, unknown> = {}): boolean {
    const { session, accepted, held } = entry;
    const { state } = session;
    const isRequest = !method.startsWith('notifications/');
    const snapshot = session.actor.getSnapshot();
    const id = (this.#ids += 1);
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

  /** What did not hold; one list, compared once, because this runs thousands of times. */
  violations(): unknown[] {
    const leaks = [
      ...(this.#pool.closed.toSorted().join() === this.#pool.opened.toSorted().join()
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
