import { addressee, consoleEvents, contextOf, sessionOf, type LongMessage } from './incomingMessage.js';

/** Console events of one execution context that wait, and their characters. */
const maxWaitingEvents = 1_000;
const maxWaitingChars = 1024 ** 2;
/** Other messages, and the characters of all, that wait before the browser is no longer read. */
const maxMessages = 2_000;
const maxChars = 16 * 1024 ** 2;

/** An event of this server's own: console events of an execution context arrived faster than they could be handled. */
export const droppedEvents = 'Greenroom.consoleEventsDropped';

export interface DroppedEvents {
  readonly count: number;
  /** An unknown number of events is missing besides. */
  readonly isIncomplete?: true;
  /** Zero for entries of the browser's log, which have no context. */
  readonly executionContextId: number;
}

export const reportDropped = (sessionId: string, params: DroppedEvents): string =>
  JSON.stringify({ method: droppedEvents, params, ...addressee(sessionId) });

interface Waiting {
  /** Undefined once it was dropped. */
  message: string | LongMessage | undefined;
  readonly logged?: LoggedContext | undefined;
}

/** The console events of one execution context on one CDP session. */
interface LoggedContext {
  readonly key: string;
  readonly executionContextId: number;
  readonly sessionId: string;
  /** Oldest first. */
  readonly waiting: Waiting[];
  chars: number;
  /** Not reported yet. */
  dropped: number;
}

/**
 * The messages of a browser that were not handled yet, in the order of arrival. A context that logs faster than its events
 * are handled delays no other message: the newest 1,000 of its console events wait, within 1 MiB, the older ones are
 * dropped, and the next one comes after an event that counts them. Owned by a transport.
 */
export class MessageQueue {
  #waiting: Waiting[] = [];
  readonly #logged = new Map<string, LoggedContext>();
  /** Other messages than console events. */
  #messages = 0;
  #chars = 0;

  get isEmpty(): boolean {
    return this.#messages === 0 && this.#logged.size === 0;
  }

  /** Whether the browser has to wait before it is read again. */
  get isFull(): boolean {
    return this.#messages > maxMessages || this.#chars > maxChars;
  }

  get isHalfEmpty(): boolean {
    return this.#messages < maxMessages / 2 && this.#chars < maxChars / 2;
  }

  add(message: string | LongMessage): void {
    const isLogged = typeof message === 'string' && consoleEvents.test(message);
    const logged = isLogged ? this.#loggedContextOf(message) : undefined;
    const waiting = { message, logged };
    this.#waiting.push(waiting);
    this.#chars += message.length;
    if (logged === undefined) {
      this.#messages += 1;
      return;
    }
    logged.waiting.push(waiting);
    logged.chars += message.length;
    while (logged.waiting.length > 1 && (logged.waiting.length > maxWaitingEvents || logged.chars > maxWaitingChars))
      this.#dropOldest(logged);
  }

  /** The message that has waited longest; undefined if none waits. */
  first(): string | LongMessage | undefined {
    let [first] = this.#waiting;
    while (first !== undefined && first.message === undefined) {
      this.#waiting.shift();
      [first] = this.#waiting;
    }
    if (first?.logged !== undefined && first.logged.dropped > 0) {
      const { sessionId, executionContextId, dropped: count } = first.logged;
      first.logged.dropped = 0;
      first = { message: reportDropped(sessionId, { count, executionContextId }) };
      this.#waiting.unshift(first);
      this.#messages += 1;
      this.#chars += first.message?.length ?? 0;
    }
    return first?.message;
  }

  /** Removes the first message. False if it is not this one. */
  remove(message: string | LongMessage): boolean {
    const [first] = this.#waiting;
    if (first?.message !== message) return false;
    this.#waiting.shift();
    this.#chars -= message.length;
    if (first.logged === undefined) this.#messages -= 1;
    else this.#removed(first.logged, message);
    return true;
  }

  clear(): void {
    this.#waiting = [];
    this.#logged.clear();
    [this.#messages, this.#chars] = [0, 0];
  }

  #loggedContextOf(event: string): LoggedContext {
    const executionContextId = contextOf(event);
    const sessionId = sessionOf(event);
    const key = `${sessionId} ${executionContextId}`;
    const logged = this.#logged.get(key) ?? { key, executionContextId, sessionId, waiting: [], chars: 0, dropped: 0 };
    this.#logged.set(key, logged);
    return logged;
  }

  #dropOldest(logged: LoggedContext): void {
    const oldest = logged.waiting.shift();
    const length = oldest?.message?.length ?? 0;
    logged.chars -= length;
    this.#chars -= length;
    logged.dropped += 1;
    if (oldest !== undefined) oldest.message = undefined;
  }

  #removed(logged: LoggedContext, { length }: string | LongMessage): void {
    logged.waiting.shift();
    logged.chars -= length;
    if (logged.waiting.length === 0) this.#logged.delete(logged.key);
  }
}
