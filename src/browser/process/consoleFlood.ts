import type { Clock } from '../../clock.js';
import { addressee, contextOf, sessionOf } from './incomingMessage.js';
import { reportDropped } from './messageQueue.js';

/** More events that were made within a second are a flood. */
const maxEventsPerSecond = 500;
const secondMs = 1_000;
/** More events of a worker, without a second of fewer than those 500, are one. */
const maxWorkerEvents = 20_000;
/** How long a session stays disabled if that was not enough: as long as Chrome took to get there, within these bounds. */
const leastPauseMs = 1_000;
const mostPauseMs = 30_000;
/** Ids of commands, far above those of the users of the connection. */
const firstId = 1_000_000_000;

const runtimeEvent = /^\{"method":"Runtime\.(?:consoleAPICalled|exceptionThrown)"/;
const commandOfEnabled = /^\{"method":"Runtime\.compileScript"/;
/** Chrome writes it with an exponent: 1.796030403912123e+12. */
const timestampField = /"timestamp":([\d.e+]+)/;
/** Characters in which the fields of a target begin. */
const maxHeadLength = 300;
const targetFields = /"params":\{"sessionId":"(\w+)"(?:,"targetInfo":\{"targetId":"[^"]*","type":"(\w+)")?/;

interface Enabled {
  readonly is: 'enabled';
  /** The time of the event that began the current second. */
  readonly since: number;
  readonly inSecond: number;
  /** Events since the last second that was quiet. */
  readonly count: number;
  /** It was disabled just before. */
  readonly wasFlooded: boolean;
}

/** Whether a CDP session receives the events of its target's console. */
type Reporting =
  | Enabled
  | { readonly is: 'disabling'; readonly pauses: boolean; readonly from: number }
  | { readonly is: 'disabled'; readonly timer: unknown }
  /** Chrome repeats the newest 1,000 events. If none of them is known, others were lost before them. */
  | { readonly is: 'enabling'; readonly isComplete: boolean };

interface ReportingSession {
  readonly id: string;
  reporting: Reporting;
  /** The time of the newest event, in the clock of the target. */
  newest: number;
}

/**
 * Ends floods of console events at their source. A context that logs without end fills the queues inside of Chrome, behind
 * which every answer of the browser waits, until its memory is gone. A session with more than 500 events in a second is
 * disabled (CDP Runtime.disable) and enabled again, for which Chrome repeats the newest 1,000 events: those that are new
 * are passed on. If the flood goes on, the session stays disabled for a while each time, or until its page navigates, since
 * contexts of the new document have to be reported. The users of the session only miss events, which `droppedEvents` says.
 * A worker has to make more of them: a command interrupts its code, so that events of a loop are lost. Owned by a
 * transport, which closes it.
 */
export class ConsoleFlood {
  readonly #send: (message: string) => void;
  readonly #report: (message: string) => void;
  readonly #clock: Clock;
  readonly #sessions = new Map<string, ReportingSession>();
  readonly #workers = new Set<string>();
  readonly #pending = new Map<number, (isDone: boolean) => void>();
  #nextId = firstId;

  constructor(send: (message: string) => void, report: (message: string) => void, clock: Clock) {
    this.#send = send;
    this.#report = report;
    this.#clock = clock;
  }

  /** Whether a message is for the users of the connection: no response to a command of this class, and no repeated event. */
  accepts(message: string): boolean {
    if (message.startsWith('{"id":1000')) return !this.#settle(message);
    if (runtimeEvent.test(message)) return this.#receive(message);
    if (message.startsWith('{"method":"Page.frameNavigated"')) this.#resume(sessionOf(message));
    else if (message.startsWith('{"method":"Target.attachedToTarget"')) this.#attach(message);
    else if (message.startsWith('{"method":"Target.detachedFromTarget"')) this.#detach(message);
    return true;
  }

  /** Called before each command: some fail on a session that is disabled. */
  beforeSend(command: string): void {
    if (!commandOfEnabled.test(command)) return;
    const session = this.#sessions.get(sessionOf(command));
    if (session?.reporting.is !== 'disabling' && session?.reporting.is !== 'disabled') return;
    if (session.reporting.is === 'disabled') this.#clock.clearTimeout(session.reporting.timer);
    this.#start(session);
  }

  close(): void {
    for (const id of this.#sessions.keys()) this.#forget(id);
    this.#pending.clear();
  }

  #attach(message: string): void {
    const [, id, type] = targetFields.exec(message.slice(0, maxHeadLength)) ?? [];
    if (id !== undefined && type?.endsWith('worker') === true) this.#workers.add(id);
  }

  #detach(message: string): void {
    const id = targetFields.exec(message.slice(0, maxHeadLength))?.[1] ?? '';
    this.#workers.delete(id);
    this.#forget(id);
  }

  #receive(message: string): boolean {
    const id = sessionOf(message);
    const session = this.#sessions.get(id) ?? this.#open(id);
    const { reporting } = session;
    const at = Number(timestampField.exec(message)?.[1] ?? 0);
    if (reporting.is === 'enabling') {
      const isKnown = at <= session.newest;
      if (!isKnown && !reporting.isComplete) this.#reportLoss(session, message);
      session.reporting = { is: 'enabling', isComplete: true };
      if (isKnown) return false;
    }
    session.newest = Math.max(session.newest, at);
    if (reporting.is === 'enabled') this.#count(session, reporting);
    return true;
  }

  #open(id: string): ReportingSession {
    const reporting: Reporting = { is: 'enabled', since: 0, inSecond: 0, count: 0, wasFlooded: false };
    const session = { id, reporting, newest: 0 };
    this.#sessions.set(id, session);
    return session;
  }

  #count(session: ReportingSession, before: Enabled): void {
    const isOver = session.newest - before.since >= secondMs;
    const wasQuiet = isOver && before.inSecond <= maxEventsPerSecond;
    const enabled: Enabled = {
      is: 'enabled',
      since: isOver ? session.newest : before.since,
      inSecond: isOver ? 1 : before.inSecond + 1,
      count: wasQuiet ? 1 : before.count + 1,
      wasFlooded: before.wasFlooded && !wasQuiet,
    };
    session.reporting = enabled;
    const limit = this.#workers.has(session.id) && !enabled.wasFlooded ? maxWorkerEvents : maxEventsPerSecond;
    if (enabled.count > limit) this.#stop(session, enabled.wasFlooded);
  }

  #stop(session: ReportingSession, pauses: boolean): void {
    session.reporting = { is: 'disabling', pauses, from: this.#clock.elapsed() };
    this.#command(session, 'Runtime.disable', () => {
      if (session.reporting.is !== 'disabling') return;
      const { pauses, from } = session.reporting;
      const drained = Math.max(leastPauseMs, Math.min(mostPauseMs, this.#clock.elapsed() - from));
      const timer = this.#clock.setTimeout(() => this.#start(session), pauses ? drained : 0);
      session.reporting = { is: 'disabled', timer };
    });
  }

  #reportLoss(session: ReportingSession, message: string): void {
    this.#report(reportDropped(session.id, { count: 0, executionContextId: contextOf(message), isIncomplete: true }));
  }

  #resume(id: string): void {
    const session = this.#sessions.get(id);
    if (session?.reporting.is === 'disabling') session.reporting = { ...session.reporting, pauses: false };
    if (session?.reporting.is !== 'disabled') return;
    this.#clock.clearTimeout(session.reporting.timer);
    this.#start(session);
  }

  #start(session: ReportingSession): void {
    session.reporting = { is: 'enabling', isComplete: false };
    this.#command(session, 'Runtime.enable', () => {
      session.reporting = { is: 'enabled', since: session.newest, inSecond: 0, count: 0, wasFlooded: true };
    });
  }

  #command(session: ReportingSession, method: string, done: () => void): void {
    const id = this.#nextId++;
    this.#pending.set(id, (isDone) => {
      if (!this.#sessions.has(session.id)) return;
      if (isDone) done();
      else this.#forget(session.id);
    });
    this.#send(JSON.stringify({ id, method, params: {}, ...addressee(session.id) }));
  }

  #settle(response: string): boolean {
    const id = Number(/^\{"id":(\d+)/.exec(response)?.[1]);
    const settle = this.#pending.get(id);
    this.#pending.delete(id);
    settle?.(!response.startsWith(`{"id":${id},"error"`));
    return settle !== undefined;
  }

  #forget(id: string): void {
    const session = this.#sessions.get(id);
    if (session?.reporting.is === 'disabled') this.#clock.clearTimeout(session.reporting.timer);
    this.#sessions.delete(id);
  }
}
