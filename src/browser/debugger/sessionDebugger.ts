import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { noop, untilAborted } from '../../async.js';
import { systemClock, timeLimit, type Clock } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { childFilters, followSessions, openCdpSession, unlessGone, type TargetSession } from '../cdp/cdpSessions.js';
import type { ExtensionRecorder } from '../extensions/extensionRecorder.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { LoadingFrame } from '../sources/sourceLoader.js';
import type { MappedScript, SourceMaps } from '../sources/sourceMaps.js';
import { DebuggedTarget } from './debuggedTarget.js';
import { generatedLine, scriptSource, textAt } from './pausedFrames.js';
import { OpenPauses } from './openPauses.js';
import { LocatedPlaces, mappedScript, SourcePlaces } from './sourcePlaces.js';
import { failureIn } from './breakpointConditions.js';
import { describeNoPause, type Breakpoint, type BreakpointList, type BreakpointOptions } from './breakpoints.js';
import { pauseOf, targetSource } from './pause.js';
import type { BreakpointPlace, MappedPlace, Pause, PausedFrame, StepAction, Stop, TargetSource } from './pause.js';

export interface SessionDebuggerOptions {
  readonly browser: Browser;
  readonly pages: () => readonly SessionPage[];
  readonly activity: ExtensionRecorder;
  readonly sources: SourceMaps;
  readonly breakpoints: BreakpointList;
  readonly notices: string[];
  readonly clock?: Clock;
}

/** How long a target may take to answer while breakpoints are set: code that runs without end does not. */
const answerMs = 3_000;
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
  readonly pauses: OpenPauses;
  readonly #sources: SourcePlaces;
  readonly #roots = new Map<number, Promise<PageRoot | undefined>>();
  readonly #targets = new Set<DebuggedTarget>();
  readonly #located = new LocatedPlaces();
  /** Sessions on targets that are debugged by another session already, as a service worker of two pages. */
  readonly #spare = new Map<CDPSession, TargetSource>();
  #stopWatching: Promise<() => Promise<void>> | undefined;
  #isClosed = false;

  constructor(options: SessionDebuggerOptions) {
    this.#options = options;
    this.pauses = new OpenPauses(options.clock ?? systemClock, options.notices);
    this.#sources = new SourcePlaces(options.sources);
    const others = debuggersOf.get(options.browser) ?? new Set();
    debuggersOf.set(options.browser, others.add(this));
  }

  get breakpoints(): readonly Breakpoint[] {
    return this.#options.breakpoints.list();
  }

  /** The pause with this id, or the newest. Its deadline begins again. Throws a ToolError where nothing is paused. */
  pause(id?: number): Pause {
    const pause = this.pauses.use(id);
    const others = this.pauses.list.map((each) => each.id);
    if (pause !== undefined) return pause;
    throw new ToolError(describeNoPause(id, others, this));
  }

  /** How often the expressions of a breakpoint threw, and what. */
  failureOf({ id }: Breakpoint): string | undefined {
    const messages = this.#options.pages().flatMap((page) => page.console.read().entries.map(({ value }) => value));
    return failureIn(messages, id);
  }

  /** Waits a moment for code that an action has started, if a breakpoint may pause it. */
  async untilPaused(signal: AbortSignal): Promise<void> {
    if (this.breakpoints.some(({ log }) => log === undefined)) await this.pauses.untilPaused(signal);
  }

  /** See `OpenPauses`. */
  async unlessStalled<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const isActive = this.breakpoints.length > 0 || this.pauses.list.length > 0;
    return isActive ? this.pauses.unlessStalled(signal, work) : work(signal);
  }

  /** The frames of a pause, the top one first. */
  async framesOf(pause: Pause, max: number): Promise<PausedFrame[]> {
    const target = this.pauses.targetOf(pause);
    return Promise.all(
      pause.frames.slice(0, max).map(async (frame) => {
        const script = this.#scriptOf(target, frame.location);
        const name = await this.#sources.functionName(script, frame, () => textAt(target, pause, frame.location));
        return { functionName: name || '(anonymous)', place: await this.#mapped(target, frame.location) };
      }),
    );
  }

  /** The line of the statement at which it paused. Undefined where it is not to be had. */
  async lineOf(pause: Pause): Promise<string | undefined> {
    const target = this.pauses.targetOf(pause);
    const [top] = pause.frames;
    const script = top && this.#scriptOf(target, top.location);
    const { original } = pause.place;
    const line = script && original && (await this.#sources.line(script, original));
    return line ?? generatedLine(target, pause);
  }

  /** The original names of the variables of a scope, by those that they have in the code. Never rejects. */
  namesIn(pause: Pause, scope: Protocol.Debugger.Scope): Promise<ReadonlyMap<string, string>> {
    const target = this.pauses.targetOf(pause);
    const at = scope.startLocation;
    return this.#sources.names(at && this.#scriptOf(target, at), scope, () => textAt(target, pause, at));
  }

  /** Goes on from a pause; resolves with the next one, or undefined where the code runs on. */
  async step(pause: Pause, action: StepAction, signal: AbortSignal): Promise<Pause | undefined> {
    const next = await this.pauses.step(pause, action, signal);
    await this.#detachIfIdle();
    return next;
  }

  /** Adds a breakpoint and sets it wherever its code is loaded, and will be. Resolves when targets have answered. */
  async set(options: BreakpointOptions, signal: AbortSignal): Promise<Breakpoint> {
    const breakpoint = this.#options.breakpoints.add(options);
    await this.#settled(this.#start(), signal);
    await this.#settled(this.#locate(breakpoint), signal);
    await this.#update(signal);
    return breakpoint;
  }

  async remove(id: number, signal: AbortSignal): Promise<Breakpoint> {
    const breakpoint = this.#options.breakpoints.remove(id);
    await this.#settled(Promise.all([...this.#targets].map((target) => target.unsetTrigger(breakpoint))), signal);
    await this.#update(signal);
    await this.#detachIfIdle();
    return breakpoint;
  }

  /** Where a breakpoint is now. */
  async placesOf(breakpoint: Breakpoint): Promise<BreakpointPlace[]> {
    const places = [...this.#targets].flatMap((target) =>
      target.locationsOf(breakpoint).map(async (location) => ({
        target: this.#labelOf(target),
        place: await this.#mapped(target, location),
      })),
    );
    return Promise.all(places);
  }

  /** Whether its file is an original one of loaded code. */
  isOriginal({ id }: Breakpoint): boolean {
    return [...this.#targets].some((target) => this.#located.of(target, id) !== undefined);
  }

  /** The addresses of loaded code, for a file that is not among them. */
  scripts(): string[] {
    return [...new Set([...this.#targets].flatMap((target) => target.scripts()))];
  }

  /** The page is adopted: its breakpoints are set before a tool loads something. Never rejects. */
  async onPage(page: SessionPage): Promise<void> {
    if (this.breakpoints.length > 0) await this.#followPage(page);
  }

  /** Lets the code of a page run that is about to be closed. */
  async releasePage(page: SessionPage): Promise<void> {
    const held = this.pauses.targets.filter((target) => this.#pageOf(target) === page);
    await Promise.all(held.map((target) => target.go('resume')));
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
      void Promise.all(this.#debug({ session, targetId, label, pageId: undefined, blocksPage }, parsed));
      return () => this.#forget(session);
    });
    await Promise.all([this.#stopWatching, ...this.#options.pages().map((page) => this.#followPage(page))]);
  }

  /** Code that is paused stays so without a breakpoint. */
  async #detachIfIdle(): Promise<void> {
    if (this.breakpoints.length === 0 && ![...this.#targets].some(({ isHeld }) => isHeld)) await this.#detach();
  }

  async #detach(): Promise<void> {
    const roots = await Promise.all(this.#roots.values());
    this.#roots.clear();
    const stop = this.#stopWatching;
    this.#stopWatching = undefined;
    const held = this.pauses.targets.map((target) => target.go('resume'));
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
      enable: (source: TargetSession) => this.#debug(targetSource(source, page, targetInfo.targetId)),
      onGone: (source: TargetSession) => this.#forget(source.session),
    };
    const { ready, stop } = followSessions(session, follower, childFilters.withServiceWorkers);
    await untilAborted(ready, timeLimit(answerMs)).catch(noop);
    return { session, stop };
  }

  /** Debugs a target, and sends what it needs before it runs. */
  #debug(source: TargetSource, parsed: readonly Protocol.Debugger.ScriptParsedEvent[] = []): Promise<unknown>[] {
    if ([...this.#targets].some(({ targetId }) => targetId === source.targetId)) {
      this.#spare.set(source.session, source);
      return [];
    }
    const target = new DebuggedTarget(source, {
      onPaused: (paused, stop) => void this.#onPaused(paused, stop),
      onResumed: (resumed) => {
        this.pauses.end(resumed);
        void this.#detachIfIdle();
      },
      breakpointsFor: (at) => {
        const pageId = this.#pageOf(at)?.id ?? at.pageId;
        return this.breakpoints.filter((each) => each.pageId === undefined || each.pageId === pageId);
      },
      generatedPlaces: ({ id }, at) => this.#located.of(at, id) ?? [],
      onMapped: (at, script) => this.#onMapped(at, script),
      isShared: ({ targetId }) =>
        this.#others().some((other) => [...other.#targets].some((its) => its.targetId === targetId)),
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
    void Promise.all(this.#debug(spare));
  }

  async #onPaused(target: DebuggedTarget, stop: Stop): Promise<void> {
    const [top] = stop.event.callFrames;
    const mapped = top && (await this.#mapped(target, top.location));
    // It may have gone on meanwhile.
    if (target.stop !== stop) return;
    const pause = pauseOf(stop, {
      id: this.pauses.nextId(),
      target: this.#labelOf(target),
      pageId: this.#pageOf(target)?.id ?? target.pageId,
      place: mapped ?? { url: '', line: 0, column: 0, original: undefined },
    });
    const ms = Math.max(
      ...stop.breakpoints.map(({ pauseMs }) => pauseMs),
      stop.breakpoints.length === 0 ? defaultPauseMs : 0,
    );
    this.pauses.add(target, pause, { ms, interrupt: () => this.#interrupt(target, pause) });
  }

  /** The page that a pause blocks says so, also to another session that shares it. */
  #interrupt(target: DebuggedTarget, pause: Pause): () => void {
    if (!target.blocksPage) return noop;
    const own = this.#pageOf(target)?.interruptions.begin({
      kind: 'pause',
      describe: () => this.pauses.describe(pause),
    });
    const theirs = this.#others().flatMap((other) => {
      const page = other.#pageShowing(target.targetId);
      const describe = (): string =>
        `Page ${page?.id} is paused by the debugger of another session that uses this tab. It goes on in ${this.pauses.secondsLeft(pause)} s at the latest.`;
      return page === undefined ? [] : [page.interruptions.begin({ kind: 'pause', describe })];
    });
    return () => {
      for (const end of [...(own === undefined ? [] : [own]), ...theirs]) end();
    };
  }

  async #update(signal: AbortSignal): Promise<void> {
    await this.#settled(Promise.all([...this.#targets].map((target) => target.update())), signal);
  }

  /** Does not wait for targets whose code runs without end. */
  async #settled(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
    await untilAborted(work, AbortSignal.any([signal, timeLimit(answerMs)])).catch(noop);
    signal.throwIfAborted();
  }

  async #mapped(target: DebuggedTarget, location: Protocol.Debugger.Location): Promise<MappedPlace> {
    const place = target.placeOf(location);
    const [original] = await this.#sources.originals(this.#scriptOf(target, location), [place]);
    return { ...place, original };
  }

  #scriptOf(target: DebuggedTarget, location: Protocol.Debugger.Location): MappedScript | undefined {
    const script = target.script(location);
    return script && mappedScript(script, this.#frameOf(target));
  }

  /** Workers load through their page. */
  #frameOf(target: DebuggedTarget): LoadingFrame | undefined {
    const page = this.#pageOf(target);
    const targetId = target.blocksPage ? target.targetId : page?.frames.mainId;
    return page && targetId !== undefined ? { targetId, frameId: targetId } : undefined;
  }

  /** Finds a breakpoint in the original files of the code that is loaded. */
  async #locate(breakpoint: Breakpoint): Promise<void> {
    const limit = timeLimit(answerMs);
    await Promise.all(
      [...this.#targets].flatMap((target) =>
        target.mappedScripts().map((script) => this.#locateIn(target, script, { breakpoint, limit })),
      ),
    );
  }

  async #locateIn(
    target: DebuggedTarget,
    script: Protocol.Debugger.ScriptParsedEvent,
    { breakpoint, limit }: { readonly breakpoint: Breakpoint; readonly limit: AbortSignal },
  ): Promise<boolean> {
    const readText = (): Promise<string> => scriptSource(target, script);
    const readable = { script: mappedScript(script, this.#frameOf(target)), readText };
    const found = await this.#sources.generated(readable, breakpoint, limit);
    if (found !== undefined) this.#located.add(target, breakpoint.id, found);
    return found !== undefined;
  }

  /** A script with a source map has come: also one that replaces an earlier build. */
  async #onMapped(target: DebuggedTarget, script: Protocol.Debugger.ScriptParsedEvent): Promise<void> {
    const lines = this.breakpoints.filter(({ trigger }) => trigger.on === 'line');
    const limit = timeLimit(answerMs);
    const found = await Promise.all(lines.map((breakpoint) => this.#locateIn(target, script, { breakpoint, limit })));
    if (found.includes(true)) await target.updateLines();
  }

  #pageOf({ pageId, targetId }: DebuggedTarget): SessionPage | undefined {
    return this.#pageShowing(targetId) ?? this.#options.pages().find(({ id }) => id === pageId);
  }

  /** The page of this session that shows a target, also one of another session: ids of pages are a session's own. */
  #pageShowing(targetId: string): SessionPage | undefined {
    return this.#options.pages().find(({ frames }) => [frames.mainId, ...frames.remoteTargetIds()].includes(targetId));
  }

  /** A tab may be attached to before it is known as a page. */
  #labelOf(target: DebuggedTarget): string {
    const page = this.#pageOf(target);
    return page?.frames.mainId === target.targetId ? `Page ${page.id}` : target.label;
  }

  #others(): SessionDebugger[] {
    return [...(debuggersOf.get(this.#options.browser) ?? [])].filter((each) => each !== this);
  }
}

interface PageRoot {
  readonly session: CDPSession;
  readonly stop: () => void;
}
