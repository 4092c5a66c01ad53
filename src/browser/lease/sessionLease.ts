import { messageOf, Refusal, ToolError } from '../../errors.js';
import { untilAborted } from '../protocol/abort.js';
import type { BrowserObserver, SupervisedBrowser } from '../process/connection.js';
import type { BrowserLease, LeaseListener, LeaseRequest } from './lease.js';
import { LeasedBrowser } from './leasedBrowser.js';
import type { Ledger } from './ledger.js';
import type { PageRecord, SessionMemory } from './pageSet.js';
import { openSeat, type Seat, type SeatIsolation } from './seat.js';

/** A browser that a lease takes part in. */
export interface Host {
  readonly browser: SupervisedBrowser;
  /** Takes no part any more; ends the browser if it was this lease's alone. */
  leave(): Promise<void>;
}

export interface LeaseSurroundings {
  readonly request: LeaseRequest;
  readonly listener: LeaseListener;
  readonly ledger: Ledger;
  readonly mode: 'launch' | 'attach';
  /** The browser of all sessions. */
  joinShared(observer: BrowserObserver): Host;
  /** A process and profile for this session alone. */
  startProcess(observer: BrowserObserver): Host;
  /** Told once, when all is gone. */
  onReleased(): void;
}

type UnopenedState =
  /** Nothing is open: not asked for yet, or it could not be had. */
  | { readonly name: 'vacant' }
  /** The session had a browser, and it died. */
  | { readonly name: 'lost'; readonly restore: readonly PageRecord[] };

type LeaseState =
  | UnopenedState
  | { readonly name: 'opening'; readonly from: UnopenedState; readonly opening: Promise<LeasedBrowser> }
  | { readonly name: 'open'; readonly session: LeasedBrowser }
  | { readonly name: 'released'; readonly gone: Promise<void> };

const openAttempts = 3;
/** A page may be what ends the browser: after so many losses of one session its pages are only named. */
const maxRestores = 3;

/** See `BrowserLease`. One for each session; made by the pool. */
export class SessionLease implements BrowserLease {
  readonly #around: LeaseSurroundings;
  readonly #memory: SessionMemory = createMemory();
  readonly #released = new AbortController();
  /** Seats of lost browsers that are still being let go. */
  readonly #closing = new Set<Promise<void>>();
  #state: LeaseState = { name: 'vacant' };
  #host: Host | undefined;
  #isolation: SeatIsolation;
  #moving: Promise<void> | undefined;
  #restores = 0;

  constructor(around: LeaseSurroundings) {
    this.#around = around;
    const { isolation } = around.request;
    this.#isolation = isolation === 'auto' ? 'context' : isolation;
  }

  get current(): LeasedBrowser | undefined {
    return this.#state.name === 'open' ? this.#state.session : undefined;
  }

  async browser(signal?: AbortSignal): Promise<LeasedBrowser> {
    signal?.throwIfAborted();
    this.#released.signal.throwIfAborted();
    if (this.#state.name === 'open') return this.#living(this.#state.session, signal);
    if (this.#state.name === 'vacant' || this.#state.name === 'lost') {
      this.#state = { name: 'opening', from: this.#state, opening: this.#open(this.#state) };
    }
    if (this.#state.name !== 'opening') throw released();
    return untilAborted(this.#state.opening, signal);
  }

  release(): Promise<void> {
    if (this.#state.name === 'released') return this.#state.gone;
    const before = this.#state;
    this.#released.abort(released());
    const gone = this.#end(before);
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
  async #open(from: UnopenedState): Promise<LeasedBrowser> {
    try {
      const seat = await this.#takeSeat(from.name === 'lost' ? from.restore : []);
      const session = new LeasedBrowser(seat, this.#memory, (signal) => this.#ensureProcess(signal));
      this.#state = { name: 'open', session };
      return session;
    } catch (error) {
      if (this.#state.name === 'opening') this.#state = from;
      throw this.#released.signal.aborted ? this.#released.signal.reason : asRefusal(error);
    }
  }

  /** A browser may die while the seat is being opened in it: then its replacement is waited for, without the pages. */
  async #takeSeat(pages: readonly PageRecord[]): Promise<Seat> {
    const { signal } = this.#released;
    for (let attempt = 1; ; attempt += 1) {
      this.#host ??= this.#join();
      const connection = await this.#host.browser.connection(signal);
      const restore = attempt === 1 ? pages : [];
      try {
        const seat = await openSeat({ ...this.#seatOptions, connection, isolation: this.#isolation, restore });
        if (connection.browser.connected && !signal.aborted) return seat;
        await seat.close();
        throw new Error('it ended while the session was set up');
      } catch (error) {
        if (signal.aborted || connection.browser.connected || attempt === openAttempts) throw error;
        await untilAborted(connection.gone, signal);
        if (restore.length > 0) this.#memory.notices.push(`It ended again meanwhile. ${describeLostPages(restore)}`);
      }
    }
  }

  get #seatOptions(): { memory: SessionMemory; ledger: Ledger } {
    return { memory: this.#memory, ledger: this.#around.ledger };
  }

  #join(): Host {
    return this.#isolation === 'process' ? this.#startProcess() : this.#observed(this.#around.joinShared);
  }

  #startProcess(): Host {
    return this.#observed(this.#around.startProcess);
  }

  /** Listens only while the host is the one in use: not to one that is being moved to, or has been left. */
  #observed(join: (observer: BrowserObserver) => Host): Host {
    const whenInUse = (tell: () => unknown) => (): void => {
      if (this.#host === host) tell();
    };
    const host: Host = join({
      lost: whenInUse(() => this.#onLost()),
      ready: whenInUse(() => this.#hasLost() && this.#around.listener.ready()),
      failed: (failure) => whenInUse(() => this.#hasLost() && this.#around.listener.failed(failure))(),
    });
    return host;
  }

  /** A first browser that cannot be had is told to whoever asked for it, not to the listener. */
  #hasLost(): boolean {
    return this.#state.name === 'lost' || (this.#state.name === 'opening' && this.#state.from.name === 'lost');
  }

  #onLost(): void {
    if (this.#state.name !== 'open') return;
    const { session } = this.#state;
    const loss = this.#lossOf(session);
    this.#state = { name: 'lost', restore: loss.restore };
    this.#memory.notices.push(describeLoss(session, loss));
    const closing = session.seat.close();
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
    this.#around.listener.lost();
  }

  /** The tabs of a profile are the user's, who has them opened again or not; pages of extensions went with these. */
  #lossOf(session: LeasedBrowser): Loss {
    const records = session.seat.pages.records();
    this.#restores += 1;
    if (session.isolation === 'profile' || this.#restores > maxRestores) return { restore: [], lost: records };
    const isLost = ({ url }: PageRecord): boolean => url.startsWith('chrome-extension://');
    return { restore: records.filter((record) => !isLost(record)), lost: records.filter(isLost) };
  }

  async #ensureProcess(signal: AbortSignal): Promise<void> {
    if (this.#isolation !== 'context') return;
    if (this.#around.request.isolation !== 'auto') throw new ToolError(describeRefusedMove(this.#around.mode));
    this.#moving ??= this.#move().finally(() => (this.#moving = undefined));
    await untilAborted(this.#moving, signal);
  }

  async #move(): Promise<void> {
    const session = this.current;
    if (session === undefined) throw new ToolError('The browser was lost. Call the tool again.');
    const host = this.#startProcess();
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

  async #end(before: LeaseState): Promise<void> {
    // Both end soon: their signal is aborted. What they opened they close themselves.
    if (before.name === 'opening') await before.opening.catch(() => undefined);
    await this.#moving?.catch(() => undefined);
    if (before.name === 'open') await before.session.seat.close();
    await Promise.all(this.#closing);
    await this.#host?.leave();
    this.#around.onReleased();
  }
}

function createMemory(): SessionMemory {
  let last = 0;
  return { nextPageId: () => (last += 1), notices: [] };
}

const released = (): Error => new Error('The session has ended and its browser is released.');

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal('browser_failed', { detail: `The browser failed: ${messageOf(error)}` }, { cause: error });
}

interface Loss {
  /** To be opened again in the browser that replaces the lost one. */
  readonly restore: readonly PageRecord[];
  readonly lost: readonly PageRecord[];
}

const reopened =
  'Its pages were opened again with the same ids; cookies, storage and what was typed into them are gone.';

function describeLoss({ mode, isolation }: LeasedBrowser, { restore, lost }: Loss): string {
  const what =
    mode === 'attach' ? 'The connection to the browser was lost.' : 'The browser of this session ended unexpectedly.';
  return [
    `${what} It has been replaced.`,
    ...(restore.length === 0 ? [] : [reopened]),
    ...(lost.length === 0 ? [] : [describeLostPages(lost)]),
    ...(isolation === 'process' ? ['Installed extensions are gone too: install_extension again.'] : []),
  ].join(' ');
}

function describeLostPages(pages: readonly PageRecord[]): string {
  const named = pages.map(({ id, url }) => `${id} ${url}`).join(', ');
  return `Lost pages, whose ids are not valid any more: ${named}. Open them again with new_page.`;
}

function describeRefusedMove(mode: 'launch' | 'attach'): string {
  const flag = mode === 'launch' ? '--isolation auto (or process)' : '--isolation profile';
  return `This tool needs a browser process or profile of its own, and the server runs with --isolation context. Start it with ${flag}.`;
}
