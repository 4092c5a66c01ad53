import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { noop, untilAborted } from '../../async.js';
import { systemClock, timeLimit, type Clock } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { childFilters, followSessions, openCdpSession, unlessGone, type TargetSession } from '../cdp/cdpSessions.js';
import type { ExtensionRecorder } from '../extensions/extensionRecorder.js';
import type { SessionPage } from '../page/sessionPage.js';
import { DebuggedTarget, type StepAction, type Stop, type StopPlace } from './debuggedTarget.js';
import { describeTrigger, type Breakpoint, type BreakpointList, type BreakpointOptions } from './breakpoints.js';
import {
  describeCause,
  describePause,
  type CodePlace,
  type MappedPlace,
  type Pause,
  type PausedFrame,
} from './pause.js';

export interface SessionDebuggerOptions {
  readonly browser: Browser;
  readonly pages: () => readonly SessionPage[];
  readonly activity: ExtensionRecorder;
  readonly breakpoints: BreakpointList;
  readonly notices: string[];
  readonly clock?: Clock;
}

/** A pause that holds code now. */
interface OpenPause {
  readonly pause: Pause;
  readonly target: DebuggedTarget;
  readonly ms: number;
  endsAt: number;
  timer: unknown;
  endInterruption: () => void;
}

/** Where a breakpoint is in one target. */
export interface BreakpointPlace {
  readonly target: string;
  readonly place: MappedPlace;
}

/** How long a target may take to answer while breakpoints are set: code that runs without end does not. */
const answerMs = 3_000;
/** After this long of a pause, a call that is not about it is told of it. */
const stalledMs = 2_000;
/** The same statement of an asynchronous function may come a moment later. */
const laterStepMs = 700;
/** A breakpoint that follows at once is part of the answer. */
const laterPauseMs = 150;
const firstPauseMs = 1_000;
const defaultPauseMs = 30_000;

/** The debuggers of all sessions in a browser: those that share its tabs meet each other's pauses. */
const debuggersOf = new WeakMap<Browser, Set<SessionDebugger>>();

/**
 * The debugger of a session: its breakpoints in every page, frame, worker and extension context that is its own, and the
 * pauses there. Attached only while there are breakpoints, by CDP sessions of its own, so that what is set ends with
 * them. Owned by a placement, which closes it.
 */
export class SessionDebugger {
  readonly #options: SessionDebuggerOptions;
  readonly #clock: Clock;
  /** By page id. */
  readonly #roots = new Map<number, Promise<PageRoot | undefined>>();
  readonly #targets = new Set<DebuggedTarget>();
  /** Sessions on targets that are debugged by another session already, as a service worker of two pages. */
  readonly #spare = new Map<CDPSession, NewTarget>();
  readonly #open = new Map<DebuggedTarget, OpenPause>();
  readonly #watchers = new Set<() => void>();
  readonly #untold = new Set<Pause>();
  readonly #stepped = new Set<DebuggedTarget>();
  #stopWatching: Promise<() => Promise<void>> | undefined;
  #lastPauseId = 0;
  #isClosed = false;

  constructor(options: SessionDebuggerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    const others = debuggersOf.get(options.browser) ?? new Set();
    debuggersOf.set(options.browser, others.add(this));
  }

  get breakpoints(): readonly Breakpoint[] {
    return this.#options.breakpoints.list();
  }

  /** Newest first. */
  get pauses(): readonly Pause[] {
    return [...this.#open.values()].map(({ pause }) => pause).reverse();
  }

  /** The pause with this id, or the newest. Its deadline begins again. Throws a ToolError where nothing is paused. */
  pause(id?: number): Pause {
    const all = this.pauses;
    const pause = id === undefined ? all[0] : all.find((each) => each.id === id);
    if (pause === undefined) throw new ToolError(this.#notPaused(id));
    this.#extend(pause);
    this.#untold.delete(pause);
    return pause;
  }

  /** Resolves when something is paused, or soon: an action's timers and workers pause after its answer. */
  async untilPaused(signal: AbortSignal): Promise<void> {
    if (this.pauses.length > 0 || this.breakpoints.every(({ log }) => log !== undefined)) return;
    let check: () => void = noop;
    const paused = new Promise<void>((resolve) => (check = () => this.pauses.length > 0 && resolve()));
    this.#watchers.add(check);
    await untilAborted(paused, AbortSignal.any([signal, timeLimit(firstPauseMs)])).catch(noop);
    this.#watchers.delete(check);
    signal.throwIfAborted();
  }

  /** Pauses that no answer has told of. A page that is paused says so itself. */
  takeNotices(): string[] {
    const untold = [...this.#untold];
    this.#untold.clear();
    return untold.map((pause) => this.describe(pause));
  }

  /** Where it is and what to do, in two sentences. */
  describe(pause: Pause): string {
    return describePause(pause, this.secondsLeft(pause));
  }

  secondsLeft(pause: Pause): number {
    const endsAt = this.#openPause(pause)?.endsAt ?? this.#clock.now();
    return Math.max(0, Math.ceil((endsAt - this.#clock.now()) / 1_000));
  }

  /** The target of a pause. Throws a ToolError when the pause has ended. */
  targetOf(pause: Pause): DebuggedTarget {
    const open = this.#openPause(pause);
    if (open === undefined) throw new ToolError(`Pause ${pause.id} has ended: the code goes on.`);
    return open.target;
  }

  /** The frames of a pause, the top one first. */
  framesOf(pause: Pause, max: number): PausedFrame[] {
    const target = this.targetOf(pause);
    return pause.frames.slice(0, max).map(({ functionName, location }) => ({
      functionName: functionName || '(anonymous)',
      place: this.#mapped(target.placeOf(location)),
    }));
  }

  /** Adds a breakpoint and sets it wherever its code is loaded, and will be. Resolves when targets have answered. */
  async set(options: BreakpointOptions, signal: AbortSignal): Promise<Breakpoint> {
    const breakpoint = this.#options.breakpoints.add(options);
    await this.#settled(this.#start(), signal);
    await this.#update(signal);
    return breakpoint;
  }

  async remove(id: number, signal: AbortSignal): Promise<Breakpoint> {
    const breakpoint = this.#options.breakpoints.remove(id);
    await this.#settled(Promise.all([...this.#targets].map((target) => target.unsetTrigger(breakpoint))), signal);
    await this.#update(signal);
    if (this.breakpoints.length === 0) await this.#detach();
    return breakpoint;
  }

  /** Where a breakpoint is now. */
  placesOf(breakpoint: Breakpoint): BreakpointPlace[] {
    return [...this.#targets].flatMap((target) =>
      target.placesOf(breakpoint).map((place) => ({ target: this.#labelOf(target), place: this.#mapped(place) })),
    );
  }

  /** The addresses of loaded code, for a file that is not among them. */
  scripts(): string[] {
    return [...new Set([...this.#targets].flatMap((target) => target.scripts()))];
  }

  /** Goes on from a pause; resolves with the next one, or undefined where the code runs on. */
  async step(pause: Pause, action: StepAction, signal: AbortSignal): Promise<Pause | undefined> {
    const target = this.targetOf(pause);
    const next = this.#nextPause(target);
    this.#stepped.add(target);
    const limit = AbortSignal.any([signal, timeLimit(answerMs), target.ended, next.signal]);
    try {
      await untilAborted(target.go(action), limit).catch(noop);
      // The target answers when its present call has ended; a later statement of it may follow.
      await untilAborted(unlessGone(target.session.send('Runtime.getIsolateId')), limit).catch(noop);
      const later = AbortSignal.any([limit, timeLimit(action === 'resume' ? laterPauseMs : laterStepMs)]);
      await untilAborted(new Promise(noop), later).catch(noop);
    } finally {
      next.dispose();
      this.#stepped.delete(target);
    }
    signal.throwIfAborted();
    target.endStep();
    return this.#open.get(target)?.pause;
  }

  /** Its signal aborts when the target pauses again. */
  #nextPause(target: DebuggedTarget): { readonly signal: AbortSignal; readonly dispose: () => void } {
    const paused = new AbortController();
    const before = this.#open.get(target);
    const check = (): void => {
      const now = this.#open.get(target);
      if (now !== undefined && now !== before) paused.abort(new Error('It paused.'));
    };
    this.#watchers.add(check);
    return { signal: paused.signal, dispose: () => void this.#watchers.delete(check) };
  }

  /** The page is adopted: its breakpoints are set before a tool loads something. Never rejects. */
  async onPage(page: SessionPage): Promise<void> {
    if (this.breakpoints.length > 0) await this.#followPage(page);
  }

  /** Lets the code of a page run that is about to be closed. */
  async releasePage(page: SessionPage): Promise<void> {
    const held = [...this.#open.values()].filter(({ target }) => this.#pageOf(target) === page);
    await Promise.all(held.map(({ target }) => target.go('resume')));
  }

  /**
   * The result of `work`, or a ToolError about a pause that lasts for a moment of it: what `work` waits for may not come
   * before the code goes on. The signal of `work` is aborted then.
   */
  async unlessStalled<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.breakpoints.length === 0 && this.#open.size === 0) return work(signal);
    const stalled = new AbortController();
    let timer: unknown;
    const check = (): void => {
      this.#clock.clearTimeout(timer);
      const [pause] = this.pauses;
      if (pause === undefined) return;
      timer = this.#clock.setTimeout(() => {
        stalled.abort(new ToolError(`This did not end so far. ${this.describe(pause)}`));
      }, stalledMs);
    };
    this.#watchers.add(check);
    check();
    try {
      const both = AbortSignal.any([signal, stalled.signal]);
      return await untilAborted(work(both), both);
    } finally {
      this.#watchers.delete(check);
      this.#clock.clearTimeout(timer);
    }
  }

  /** Lets everything run on and detaches. The breakpoints stay in their list. Idempotent; never rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    debuggersOf.get(this.#options.browser)?.delete(this);
    await this.#detach();
  }

  async #start(): Promise<void> {
    this.#stopWatching ??= this.#options.activity.watchTargets(({ targetId, url, type }, session, parsed) => {
      const label = `${type === 'service_worker' ? 'Service worker' : 'Extension page'} ${url}`.trim();
      // A tab has a session of its own.
      if (this.#options.pages().some(({ frames }) => frames.mainId === targetId)) return noop;
      const blocksPage = type !== 'service_worker';
      this.#debug({ session, targetId, label, pageId: undefined, blocksPage }, parsed);
      return () => this.#forget(session);
    });
    await Promise.all([this.#stopWatching, ...this.#options.pages().map((page) => this.#followPage(page))]);
  }

  async #detach(): Promise<void> {
    const roots = await Promise.all(this.#roots.values());
    this.#roots.clear();
    const stop = this.#stopWatching;
    this.#stopWatching = undefined;
    const held = [...this.#open.keys()].map((target) => target.go('resume'));
    await untilAborted(Promise.all(held), timeLimit(answerMs)).catch(noop);
    await Promise.all([...this.#targets].filter(({ pageId }) => pageId === undefined).map((target) => target.leave()));
    for (const target of this.#targets) target.dispose();
    this.#spare.clear();
    for (const root of roots) root?.stop();
    await Promise.all([...roots.map((root) => root && unlessGone(root.session.detach())), (await stop)?.()]);
  }

  async #followPage(page: SessionPage): Promise<void> {
    const opening = this.#roots.get(page.id) ?? this.#openRoot(page).catch(() => undefined);
    this.#roots.set(page.id, opening);
    await opening;
  }

  async #openRoot(page: SessionPage): Promise<PageRoot | undefined> {
    const session = await openCdpSession(page.page);
    if (this.#isClosed) {
      await unlessGone(session.detach());
      return undefined;
    }
    page.closedSignal.addEventListener('abort', () => this.#forgetRoot(page, session), { once: true });
    const { targetInfo } = await session.send('Target.getTargetInfo');
    const follower = {
      handlers: () => ({}),
      enable: (source: TargetSession) => this.#debug(newTarget(source, page, targetInfo.targetId)),
      onGone: (source: TargetSession) => this.#forget(source.session),
    };
    const { ready, stop } = followSessions(session, follower, childFilters.withServiceWorkers);
    await untilAborted(ready, timeLimit(answerMs)).catch(noop);
    return { session, stop };
  }

  /** Debugs a target, and sends what it needs before it runs. */
  #debug(source: NewTarget, parsed: readonly Protocol.Debugger.ScriptParsedEvent[] = []): Promise<unknown>[] {
    if ([...this.#targets].some(({ targetId }) => targetId === source.targetId)) {
      this.#spare.set(source.session, source);
      return [];
    }
    const target = new DebuggedTarget(source, {
      onPaused: (paused, stop) => void this.#onPaused(paused, stop),
      onResumed: (resumed) => this.#onResumed(resumed),
      breakpointsFor: (at) => {
        const pageId = this.#pageOf(at)?.id ?? at.pageId;
        return this.breakpoints.filter((each) => each.pageId === undefined || each.pageId === pageId);
      },
      generatedPlaces: (breakpoint, at) => this.#generatedPlaces(breakpoint, at),
      isShared: ({ targetId }) => this.#others().some((other) => other.#has(targetId)),
    });
    this.#targets.add(target);
    target.ended.addEventListener('abort', () => this.#onEnded(target), { once: true });
    return target.start(parsed);
  }

  #forgetRoot(page: SessionPage, session: CDPSession): void {
    this.#roots.delete(page.id);
    const gone = [...this.#targets, ...this.#spare.values()].filter(({ pageId }) => pageId === page.id);
    for (const each of gone) this.#forget(each.session);
    void unlessGone(session.detach());
  }

  #forget(session: CDPSession): void {
    this.#spare.delete(session);
    for (const target of this.#targets) if (target.session === session) target.dispose();
  }

  #onEnded(target: DebuggedTarget): void {
    this.#targets.delete(target);
    const spare = [...this.#spare.values()].find(({ targetId }) => targetId === target.targetId);
    if (spare === undefined || this.#isClosed) return;
    this.#spare.delete(spare.session);
    this.#debug(spare);
  }

  async #onPaused(target: DebuggedTarget, stop: Stop): Promise<void> {
    const [top] = stop.event.callFrames;
    const place = top === undefined ? { url: '', line: 0, column: 0 } : target.placeOf(top.location);
    const mapped = await Promise.resolve(this.#mapped(place));
    // It may have gone on meanwhile.
    if (target.stop !== stop) return;
    const causes = stop.causes.map(describeCause).filter((text) => text !== 'other');
    const ids = stop.breakpoints.map(({ id }) => id);
    const texts = [...ids.map((id) => `breakpoint ${id}`), ...causes];
    const pause: Pause = {
      id: (this.#lastPauseId += 1),
      target: this.#labelOf(target),
      pageId: this.#pageOf(target)?.id ?? target.pageId,
      reason: { text: texts.length === 0 ? 'step' : texts.join(', '), breakpoints: ids },
      place: mapped,
      functionName: top?.functionName || '(anonymous)',
      frames: stop.event.callFrames,
      asyncStack: stop.event.asyncStackTrace,
    };
    const ms = Math.max(
      ...stop.breakpoints.map(({ pauseMs }) => pauseMs),
      stop.breakpoints.length === 0 ? defaultPauseMs : 0,
    );
    const open = { pause, target, ms, endsAt: 0, timer: undefined, endInterruption: noop };
    this.#open.set(target, open);
    this.#extend(pause);
    open.endInterruption = this.#interrupt(target, pause);
    if (!target.blocksPage && !this.#stepped.has(target)) this.#untold.add(pause);
    this.#tell();
  }

  /** The page that a pause blocks says so, also to another session that shares it. */
  #interrupt(target: DebuggedTarget, pause: Pause): () => void {
    if (!target.blocksPage) return noop;
    const own = this.#pageOf(target)?.interruptions.begin({ kind: 'pause', describe: () => this.describe(pause) });
    const theirs = this.#others().flatMap((other) => {
      const page = other.#pageOf(target);
      const describe = (): string =>
        `Page ${page?.id} is paused by the debugger of another session that uses this tab. It goes on in ${this.secondsLeft(pause)} s at the latest.`;
      return page === undefined ? [] : [page.interruptions.begin({ kind: 'pause', describe })];
    });
    return () => {
      for (const end of [...(own === undefined ? [] : [own]), ...theirs]) end();
    };
  }

  #onResumed(target: DebuggedTarget): void {
    const open = this.#open.get(target);
    if (open === undefined) return;
    this.#open.delete(target);
    this.#untold.delete(open.pause);
    this.#clock.clearTimeout(open.timer);
    open.endInterruption();
    this.#tell();
  }

  #extend(pause: Pause): void {
    const open = this.#openPause(pause);
    if (open === undefined) return;
    this.#clock.clearTimeout(open.timer);
    open.endsAt = this.#clock.now() + open.ms;
    open.timer = this.#clock.setTimeout(() => {
      const where = `${pause.target} was paused at ${pause.place.url}:${pause.place.line}`;
      this.#options.notices.push(
        `${where} and went on by itself: no call was about the pause for ${open.ms / 1_000} s.`,
      );
      void open.target.go('resume');
    }, open.ms);
  }

  #tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  async #update(signal: AbortSignal): Promise<void> {
    await this.#settled(Promise.all([...this.#targets].map((target) => target.update())), signal);
  }

  /** Does not wait for targets whose code runs without end. */
  async #settled(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
    await untilAborted(work, AbortSignal.any([signal, timeLimit(answerMs)])).catch(noop);
    signal.throwIfAborted();
  }

  #mapped(place: CodePlace): MappedPlace {
    return { ...place, original: undefined };
  }

  #generatedPlaces(_breakpoint: Breakpoint, _target: DebuggedTarget): readonly StopPlace[] {
    return [];
  }

  #openPause(pause: Pause): OpenPause | undefined {
    return [...this.#open.values()].find((open) => open.pause.id === pause.id);
  }

  #pageOf({ pageId, targetId }: DebuggedTarget): SessionPage | undefined {
    const pages = this.#options.pages();
    return pages.find(({ frames }) => frames.mainId === targetId) ?? pages.find(({ id }) => id === pageId);
  }

  /** A tab may be attached to before it is known as a page. */
  #labelOf(target: DebuggedTarget): string {
    const page = this.#pageOf(target);
    return page?.frames.mainId === target.targetId ? `Page ${page.id}` : target.label;
  }

  #has(targetId: string): boolean {
    return [...this.#targets].some((target) => target.targetId === targetId);
  }

  #others(): SessionDebugger[] {
    return [...(debuggersOf.get(this.#options.browser) ?? [])].filter((each) => each !== this);
  }

  #notPaused(id: number | undefined): string {
    const ids = this.pauses.map((pause) => pause.id);
    if (ids.length > 0) return `There is no pause ${id} now. Paused: ${ids.join(', ')}.`;
    const set = this.breakpoints.filter(({ log }) => log === undefined);
    return set.length === 0
      ? 'Nothing is paused, and no breakpoint is set: call set_breakpoint.'
      : `Nothing is paused. Set: ${set.map(({ id: each, trigger }) => `${each} ${describeTrigger(trigger)}`).join(', ')}. Act so that this code runs.`;
  }
}

interface PageRoot {
  readonly session: CDPSession;
  readonly stop: () => void;
}

type NewTarget = Pick<DebuggedTarget, 'session' | 'targetId' | 'label' | 'pageId' | 'blocksPage'>;

function newTarget({ session, kind, target }: TargetSession, page: SessionPage, rootId: string): NewTarget {
  const pageId = page.id;
  if (target === undefined) return { session, targetId: rootId, label: `Page ${pageId}`, pageId, blocksPage: true };
  return { session, targetId: target.targetId, label: labelOf(target, pageId), pageId, blocksPage: kind === 'iframe' };
}

function labelOf({ type, url }: Protocol.Target.TargetInfo, pageId: number): string {
  if (type === 'service_worker') return `Service worker ${url}`;
  return `${type === 'iframe' ? 'Frame' : 'Worker'} ${url} of page ${pageId}`;
}
