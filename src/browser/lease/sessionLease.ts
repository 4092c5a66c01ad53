import { timeLimit } from '../../clock.js';
import type { Failure } from '../../../machines/events.js';
import { failureOf, ToolError } from '../../errors.js';
import { untilAborted } from '../protocol/abort.js';
import type { BrowserConnection, BrowserObserver } from '../process/connection.js';
import type { Address, BrowserLease } from './lease.js';
import { LeasedBrowser } from './leasedBrowser.js';
import type { Ledger } from './ledger.js';
import type { Host, LeaseSurroundings } from './host.js';
import { asRefusal, describeRefusedMove, released } from './leaseRefusals.js';
import { lostIn, type LeaseState, type UnopenedState } from './leaseState.js';
import { describeRecovery, reopened, withoutContext, type Lost } from './loss.js';
import type { PageRecord } from './pageRecord.js';
import { createMemory, type SessionMemory } from './sessionMemory.js';
import { QueuedWork, type OnQueued, type Queue } from './queuedWork.js';
import { openSeat, type Seat, type SeatIsolation, type SeatOptions } from './seat.js';

/** How long a browser may take to answer the cheapest of questions (CDP Browser.getVersion). */
const checkMs = 1_000;
const openAttempts = 3;
/** A page may be what ends the browser: after so many losses of one session its pages are only named. */
const maxRestores = 3;

/** See `BrowserLease`. One for each session; made by the pool. */
export class SessionLease implements BrowserLease {
  readonly #around: LeaseSurroundings;
  readonly #memory: SessionMemory;
  readonly #released = new AbortController();
  /** What is still being let go: seats of lost browsers, processes that hung. */
  readonly #closing = new Set<Promise<void>>();
  #state: LeaseState = { name: 'vacant' };
  #host: Host | undefined;
  #isolation: SeatIsolation;
  #moving: QueuedWork<void> | undefined;
  #losses = 0;

  constructor(around: LeaseSurroundings) {
    this.#around = around;
    const { isolation, resume } = around.request;
    this.#isolation = isolation === 'auto' ? 'context' : isolation;
    this.#memory = createMemory(resume?.lost.lastPageId);
    if (resume !== undefined) this.#state = { name: 'lost', lost: resume.lost };
  }

  get current(): LeasedBrowser | undefined {
    return this.#state.name === 'open' ? this.#state.session : undefined;
  }

  get address(): Address | undefined {
    const lost = this.#state.name === 'open' ? this.#state.session.seat.record() : lostIn(this.#state);
    const endpoint = this.#host?.endpoint ?? this.#around.request.resume?.endpoint;
    return lost && { endpoint, lost };
  }

  get browserId(): string | undefined {
    return this.#host?.browser.id;
  }

  async browser(signal?: AbortSignal, onQueued?: OnQueued): Promise<LeasedBrowser> {
    signal?.throwIfAborted();
    this.#released.signal.throwIfAborted();
    if (this.#state.name === 'open') return this.#living(this.#state.session, signal);
    if (this.#state.name === 'opening' && this.#state.opening.isAbandoned) {
      await untilAborted(this.#state.opening.settled, signal);
      return this.browser(signal, onQueued);
    }
    if (this.#state.name === 'vacant' || this.#state.name === 'lost') {
      const from = this.#state;
      this.#state = { name: 'opening', from, opening: new QueuedWork((queue) => this.#open(from, queue)) };
    }
    if (this.#state.name !== 'opening') throw released();
    return this.#state.opening.wait(signal, onQueued);
  }

  async check(signal: AbortSignal): Promise<void> {
    const open = this.#state;
    if (open.name !== 'open') throw new Error('No browser is open.');
    try {
      await untilAborted(open.session.browser.version(), AbortSignal.any([signal, timeLimit(checkMs)]));
    } catch (error) {
      if (this.#state === open) this.#state = { name: 'vacant' };
      this.#waitFor(open.session.seat.close());
      // One of the session's own goes with it: it would hang again. The shared one is others' too.
      if (open.session.isolation === 'process') this.#leaveHost();
      throw error;
    }
  }

  release({ leftOpen } = { leftOpen: false }): Promise<void> {
    if (this.#state.name === 'released') return this.#state.gone;
    const before = this.#state;
    this.#released.abort(released());
    const gone = this.#end(before, leftOpen);
    this.#state = { name: 'released', gone };
    return gone;
  }

  /** A connection breaks a moment before its end is told: the replacement is given, not the wreck. */
  async #living(session: LeasedBrowser, signal: AbortSignal | undefined): Promise<LeasedBrowser> {
    if (session.browser.connected) return session;
    await untilAborted(session.seat.connection.gone, signal);
    this.#onLost();
    return this.browser(signal);
  }

  /** Alone sets the state while it is `opening`, except for a release. */
  async #open(from: UnopenedState, queue: Queue): Promise<LeasedBrowser> {
    try {
      const seat = await this.#takeSeat(from.name === 'lost' ? from.lost : undefined, queue);
      if (from.name === 'lost') this.#memory.notices.unshift(describeRecovery(from.lost, seat.recovery));
      const session = new LeasedBrowser(seat, this.#memory, (...asked) => this.#ensureProcess(...asked));
      this.#state = { name: 'open', session };
      return session;
    } catch (error) {
      if (this.#state.name === 'opening') this.#state = from;
      throw this.#released.signal.aborted ? this.#released.signal.reason : asRefusal(error);
    }
  }

  /** A browser may die while the seat is being opened in it: then its replacement is waited for. */
  async #takeSeat(lost: Lost | undefined, queue: Queue): Promise<Seat> {
    const { signal } = this.#released;
    for (let attempt = 1; ; attempt += 1) {
      const connection = await this.#connection(lost, queue);
      // A page may be what ended it.
      const mayReopen = (record: PageRecord): boolean => attempt === 1 && this.#mayReopen(record);
      const { contextId, pages: restore = [] } = lost ?? {};
      const hold = this.#host?.hold;
      const options = { isolation: this.#isolation, contextId, restore, mayReopen, hold: this.#holding(hold) };
      try {
        const seat = await openSeat({ ...this.#seatOptions, connection, ...options });
        if (connection.browser.connected && !signal.aborted) return seat;
        await seat.close();
        throw new Error('it ended while the session was set up');
      } catch (error) {
        if (signal.aborted || connection.browser.connected || attempt === openAttempts) throw error;
        await untilAborted(connection.gone, signal);
      }
    }
  }

  /** One that cannot be had any more is left for another, where there are others. */
  async #connection(lost: Lost | undefined, queue: Queue): Promise<BrowserConnection> {
    for (;;) {
      this.#host ??= await this.#join(queue);
      const host = this.#host;
      try {
        return await host.browser.connection(this.#released.signal);
      } catch (error) {
        if (host.isReplaceable !== true || this.#released.signal.aborted) throw error;
        this.#host = undefined;
        await host.leave(lost?.contextId);
      }
    }
  }

  #holding(hold: Host['hold']): SeatOptions['hold'] {
    return hold && ((contextId) => hold(contextId, () => this.#onContextClosed(contextId)));
  }

  /** The tabs of a profile are the user's, who has them opened again or not; pages of extensions went with these. */
  #mayReopen({ url }: PageRecord): boolean {
    return this.#isolation !== 'profile' && this.#losses <= maxRestores && !url.startsWith('chrome-extension://');
  }

  get #seatOptions(): { memory: SessionMemory; ledger: Ledger } {
    return { memory: this.#memory, ledger: this.#around.ledger };
  }

  #join(queue: Queue): Promise<Host> {
    if (this.#isolation === 'process') return this.#startProcess(queue);
    const signal = AbortSignal.any([queue.signal, this.#released.signal]);
    return this.#observed((observer) => this.#around.joinShared(observer, { ...queue, signal }));
  }

  #startProcess(queue: Queue): Promise<Host> {
    const signal = AbortSignal.any([queue.signal, this.#released.signal]);
    return this.#observed((observer) => this.#around.startProcess(observer, { ...queue, signal }));
  }

  /** Listens only while the host is the one in use: not to one that is being moved to, or has been left. */
  async #observed(join: (observer: BrowserObserver) => Promise<Host>): Promise<Host> {
    const joined: { host?: Host } = {};
    const whenInUse = (tell: () => unknown) => (): void => {
      if (joined.host !== undefined && this.#host === joined.host) tell();
    };
    joined.host = await join({
      lost: whenInUse(() => this.#onLost()),
      ready: whenInUse(() => this.#hasLost() && this.#around.listener.ready()),
      failed: (failure) => whenInUse(() => this.#hasLost() && this.#onFailed(failure))(),
    });
    return joined.host;
  }

  /** A first browser that cannot be had is told to whoever asked for it, not to the listener. */
  #hasLost(): boolean {
    return lostIn(this.#state) !== undefined;
  }

  /** Where there are others, one is taken at once: with it the session goes on, or it ends. */
  #onFailed(failure: Failure): void {
    const { listener } = this.#around;
    if (this.#host?.isReplaceable !== true) {
      listener.failed(failure);
      return;
    }
    const unlessReleased = (tell: () => void): void => (this.#released.signal.aborted ? undefined : tell());
    this.browser().then(
      () => unlessReleased(() => listener.ready()),
      (error: unknown) => unlessReleased(() => listener.failed(failureOf(error, 'browser_failed'))),
    );
  }

  #onLost(): void {
    if (this.#state.name !== 'open') return;
    const { session } = this.#state;
    this.#losses += 1;
    this.#state = { name: 'lost', lost: session.seat.record() };
    this.#waitFor(session.seat.close());
    this.#around.listener.lost();
  }

  /** By others: nothing is left of it. The browser itself is there. */
  #onContextClosed(contextId: string): void {
    if (this.#state.name !== 'open' || this.#state.session.context.id !== contextId) return;
    const { seat } = this.#state.session;
    this.#state = { name: 'lost', lost: withoutContext(seat.record()) };
    this.#waitFor(seat.close({ leftOpen: true }));
    this.#around.listener.lost();
    this.#around.listener.ready();
  }

  #leaveHost(): void {
    const leaving = this.#host?.leave();
    this.#host = undefined;
    if (leaving !== undefined) this.#waitFor(leaving);
  }

  /** Before the lease is gone. */
  #waitFor(closing: Promise<void>): void {
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }

  async #ensureProcess(signal: AbortSignal, onQueued?: OnQueued): Promise<void> {
    if (this.#isolation !== 'context') return;
    if (this.#around.request.isolation !== 'auto') throw new ToolError(describeRefusedMove(this.#around.mode));
    if (this.#moving?.isAbandoned === true) {
      await untilAborted(this.#moving.settled, signal);
      return this.#ensureProcess(signal, onQueued);
    }
    this.#moving ??= new QueuedWork((queue) => this.#move(queue).finally(() => (this.#moving = undefined)));
    await this.#moving.wait(signal, onQueued);
  }

  async #move(queue: Queue): Promise<void> {
    const session = this.current;
    if (session === undefined) throw new ToolError('The browser was lost. Call the tool again.');
    const host = await this.#startProcess(queue);
    try {
      const connection = await host.browser.connection(this.#released.signal);
      const restore = session.seat.pages.records();
      const seat = await openSeat({ ...this.#seatOptions, connection, isolation: 'process', restore });
      if (this.current !== session) {
        await seat.close();
        throw new ToolError('The browser was lost while the session moved. Call the tool again.');
      }
      await this.#settleIn(session, seat, host);
    } catch (error) {
      if (this.#host !== host) await host.leave();
      throw error;
    }
  }

  async #settleIn(session: LeasedBrowser, seat: Seat, host: Host): Promise<void> {
    const [oldSeat, oldHost] = [session.seat, this.#host];
    this.#host = host;
    this.#isolation = 'process';
    session.moveTo(seat);
    this.#memory.notices.push(
      'The session moved to a browser process and profile of its own, which this tool needs.' +
        (oldSeat.pages.list().length === 0 ? '' : ` ${reopened}`),
    );
    await oldSeat.close();
    await oldHost?.leave();
  }

  async #end(before: LeaseState, leftOpen: boolean): Promise<void> {
    // Both end soon: their signal is aborted. What they opened they close themselves.
    if (before.name === 'opening') await before.opening.settled;
    await this.#moving?.settled;
    if (before.name === 'open') await before.session.seat.close({ leftOpen });
    await Promise.all(this.#closing);
    await this.#host?.leave(leftOpen ? undefined : lostIn(before)?.contextId);
    this.#around.onReleased();
  }
}
