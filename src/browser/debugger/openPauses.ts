import { noop, untilAborted } from '../../async.js';
import { timeLimit, type Clock } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { unlessGone } from '../cdp/cdpSessions.js';
import type { DebuggedTarget } from './debuggedTarget.js';
import { describePause, type Pause, type StepAction } from './pause.js';

/** A pause that holds code now. */
interface OpenPause {
  readonly pause: Pause;
  readonly target: DebuggedTarget;
  /** How long it may last without a call about it. */
  readonly ms: number;
  endsAt: number;
  timer: unknown;
  endInterruption: () => void;
}

/** How long a target may take to answer: code that runs without end does not. */
const answerMs = 3_000;
/** Milliseconds of a pause after which other calls of the session answer with it. */
const stalledMs = 2_000;
/** The same statement of an asynchronous function may come a moment later. */
const laterStepMs = 700;
/** A breakpoint that follows at once is part of the answer. */
const laterPauseMs = 150;
/** Timers and workers of an action pause after its answer. */
const firstPauseMs = 1_000;

/**
 * The pauses of a session, each with its deadline: the code of one that no call is about goes on by itself. Owned by the
 * session's debugger.
 */
export class OpenPauses {
  readonly #clock: Clock;
  readonly #notices: string[];
  readonly #open = new Map<DebuggedTarget, OpenPause>();
  readonly #watchers = new Set<() => void>();
  readonly #untold = new Set<Pause>();
  readonly #stepped = new Set<DebuggedTarget>();
  #lastId = 0;

  constructor(clock: Clock, notices: string[]) {
    this.#clock = clock;
    this.#notices = notices;
  }

  nextId(): number {
    return (this.#lastId += 1);
  }

  /** Newest first. */
  get list(): readonly Pause[] {
    return [...this.#open.values()].map(({ pause }) => pause).reverse();
  }

  get targets(): readonly DebuggedTarget[] {
    return [...this.#open.keys()];
  }

  /** The pause with this id, or the newest. Its deadline begins again. */
  use(id: number | undefined): Pause | undefined {
    const pause = id === undefined ? this.list[0] : this.list.find((each) => each.id === id);
    if (pause === undefined) return undefined;
    this.#extend(pause);
    this.#untold.delete(pause);
    return pause;
  }

  /** Where it is and what to do, in two sentences. */
  describe(pause: Pause): string {
    return describePause(pause, this.secondsLeft(pause));
  }

  secondsLeft(pause: Pause): number {
    const endsAt = this.#find(pause)?.endsAt ?? this.#clock.now();
    return Math.max(0, Math.ceil((endsAt - this.#clock.now()) / 1_000));
  }

  /** The target of a pause. Throws a ToolError when the pause has ended. */
  targetOf(pause: Pause): DebuggedTarget {
    const open = this.#find(pause);
    if (open === undefined) throw new ToolError(`Pause ${pause.id} has ended: the code goes on.`);
    return open.target;
  }

  /** `interrupt` reports it to the pages that it blocks, and returns what ends that. */
  add(target: DebuggedTarget, pause: Pause, { ms, interrupt }: { ms: number; interrupt: () => () => void }): void {
    const open: OpenPause = { pause, target, ms, endsAt: 0, timer: undefined, endInterruption: noop };
    this.#open.set(target, open);
    this.#extend(pause);
    open.endInterruption = interrupt();
    // A page that is paused says so itself.
    if (!target.blocksPage && !this.#stepped.has(target)) this.#untold.add(pause);
    this.#tell();
  }

  end(target: DebuggedTarget): void {
    const open = this.#open.get(target);
    if (open === undefined) return;
    this.#open.delete(target);
    this.#untold.delete(open.pause);
    this.#clock.clearTimeout(open.timer);
    open.endInterruption();
    this.#tell();
  }

  /** Pauses that no answer has named yet. */
  takeNotices(): string[] {
    const untold = [...this.#untold];
    this.#untold.clear();
    return untold.map((pause) => this.describe(pause));
  }

  /** Resolves when something is paused, or soon. */
  async untilPaused(signal: AbortSignal): Promise<void> {
    if (this.#open.size > 0) return;
    let check: () => void = noop;
    const paused = new Promise<void>((resolve) => {
      check = () => {
        if (this.#open.size > 0) resolve();
      };
    });
    this.#watchers.add(check);
    await untilAborted(paused, AbortSignal.any([signal, timeLimit(firstPauseMs)])).catch(noop);
    this.#watchers.delete(check);
    signal.throwIfAborted();
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

  /**
   * The result of `work`, or a ToolError about a pause that lasts for a moment of it: what `work` waits for may not come
   * before the code goes on. The signal of `work` is aborted then.
   */
  async unlessStalled<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const stalled = new AbortController();
    let timer: unknown;
    const check = (): void => {
      this.#clock.clearTimeout(timer);
      const [pause] = this.list;
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

  #extend(pause: Pause): void {
    const open = this.#find(pause);
    if (open === undefined) return;
    this.#clock.clearTimeout(open.timer);
    open.endsAt = this.#clock.now() + open.ms;
    open.timer = this.#clock.setTimeout(() => {
      const { url, line } = pause.place.original ?? pause.place;
      const seconds = open.ms / 1_000;
      this.#notices.push(
        `${pause.target} was paused at ${url}:${line} and went on by itself: no call was about the pause for ${seconds} s.`,
      );
      void open.target.go('resume');
    }, open.ms);
  }

  #find(pause: Pause): OpenPause | undefined {
    return [...this.#open.values()].find((open) => open.pause.id === pause.id);
  }

  #tell(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }
}
