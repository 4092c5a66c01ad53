import type { SnapshotLines } from './snapshotLines.js';
import type { CDPSession, Page } from 'puppeteer-core';
import { ConsoleCollector } from '../collectors/consoleCollector.js';
import { Emulation } from './pageEmulation.js';
import { ElementUids } from './elementUids.js';
import { ConsoleFloodGuard, puppeteerSessionsOf } from './consoleFloodGuard.js';
import { Frames, type FrameSession } from './frames.js';
import { Dialogs, Interruptions } from './interruptions.js';
import { Lock, noop, untilAborted, untilGivenUp } from '../../async.js';
import { InitScripts } from './initScripts.js';
import type { KeptPart } from '../collectors/ringBuffer.js';
import { NetworkCollector } from '../collectors/networkCollector.js';
import { PendingNavigations } from './pendingNavigations.js';
import { ScriptRegistry } from '../sources/scriptRegistry.js';
import { PageCoverage } from '../profiling/pageCoverage.js';
import { PageTracing } from '../profiling/pageTracing.js';
import { ScreenRecording } from './screenRecording.js';
import { Credentials, withoutCredentials } from '../policy/credentials.js';
import { ToolError } from '../../errors/errors.js';
import { UserPrompts } from './userPrompts.js';
import { callExpression, type InjectedFunction } from '../cdp/injectedFunctions.js';
import { timeLimit } from '../../clock.js';
import { isLostContext, openCdpSession, unlessGone, type TargetSession } from '../cdp/cdpSessions.js';

export interface SessionPageOptions {
  readonly id: number;
  readonly page: Page;
  /** The name of its browser context; undefined for the session's own. */
  readonly contextName?: string | undefined;
  /** Whether a person uses the browser. Default: false. */
  readonly hasUser?: boolean;
  /** Default: none. */
  readonly credentials?: Credentials;
  /** Counts the kept bytes of the page; the page closes it. */
  readonly kept?: KeptPart;
  /** Called for each window that a page of the session opens, until the returned function is called. */
  readonly watchWindows?: WatchWindows;
}

/** Answers whether it tells of the window. Its opener is known where the browser names it. */
export type OnWindow = (window: SessionPage, opener: Page | undefined) => boolean;
export type WatchWindows = (onWindow: OnWindow) => () => void;

/** Where a screenshot was taken: CSS pixels of the document, and real pixels for one of them. */
export interface ScreenshotArea {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly scale: number;
}

/** How long a script may keep a page from answering; longer than the work of any sound page. */
const heldMs = 6_000;
/** How much longer a page may take than its browser, before a script is to blame. */
const busyFactor = 5;
const leastGraceMs = 100;
const maxBrowserDelayMs = 5_000;
/** For work that was aborted, to end. */
const graceMs = 2_000;
/** Of work whose document was replaced under it. */
const maxAttempts = 3;

interface ExclusiveWork {
  /** Whether the work loads another document. */
  readonly navigates?: boolean | undefined;
  /** Whether the work may be done again, because it changes nothing. */
  readonly isRepeatable?: boolean | undefined;
  /** Called whenever later work begins to wait for this. */
  readonly onWanted?: (() => void) | undefined;
}

/** A snapshot of a whole page, and what the page was like. */
export interface WholeSnapshot extends SnapshotLines {
  readonly url: string;
  readonly title: string;
  readonly verbose: boolean;
  /** Differs when a snapshot might differ. */
  readonly fingerprint: string;
  readonly bytes: number;
}

/**
 * One page of a session, with what its collectors recorded since its adoption. Made by `openSessionPage`. Owned by the
 * session's `PageSet`, which disposes it and closes the tab.
 */
export class SessionPage {
  /** Never reused within a session. */
  readonly id: number;
  readonly page: Page;
  readonly contextName: string | undefined;
  /** A CDP session of its own on the page's target. */
  readonly cdp: CDPSession;
  readonly console: ConsoleCollector;
  readonly network: NetworkCollector;
  readonly scripts: ScriptRegistry;
  /** A dialog, a pause or a crash, during which the page does not answer. */
  readonly interruptions = new Interruptions();
  readonly dialogs: Dialogs;
  readonly prompts: UserPrompts;
  readonly elements: ElementUids;
  readonly frames: Frames;
  readonly navigations: PendingNavigations;
  readonly emulation: Emulation;
  readonly initScripts: InitScripts;
  readonly tracing: PageTracing;
  readonly coverage: PageCoverage;
  readonly recording: ScreenRecording;
  /** Whether a tool that is not read-only has used the page. */
  isTouched = false;
  /** Whether something was entered since the last address that a tool opened: it would be lost with the page. */
  isEdited = false;
  /** Whether the present document did not come to rest after an action. */
  isRestless = false;
  /** Of the present document. */
  lastScreenshot: ScreenshotArea | undefined;
  /** The last snapshot of the present document that was shown whole. */
  shownLines: readonly string[] | undefined;
  /** The last snapshot that was read whole, of the present document. */
  lastSnapshot: WholeSnapshot | undefined;
  readonly watchWindows: WatchWindows;
  readonly #kept: KeptPart | undefined;
  readonly #lock = new Lock();
  readonly #floodGuard: ConsoleFloodGuard;
  readonly #closed = new AbortController();
  readonly #markClosed = (): void => this.#closed.abort(new Error('The page is closed.'));
  #focusEmulation: Promise<void> | undefined;
  /** Documents that its frames have shown. */
  #documents = 0;

  constructor({ id, page, cdp, ...session }: SessionPageOptions & { readonly cdp: CDPSession }) {
    const { credentials = new Credentials(), watchWindows = () => noop, kept } = session;
    this.#kept = kept;
    kept?.recordings.add(lastSnapshotOf(this));
    this.watchWindows = watchWindows;
    this.id = id;
    this.page = page;
    this.contextName = session.contextName;
    this.cdp = cdp;
    this.#floodGuard = new ConsoleFloodGuard(page);
    const keyOf = (session: CDPSession, scriptId: string): number | undefined =>
      this.scripts.find(session, scriptId)?.key;
    this.scripts = new ScriptRegistry(cdp);
    this.console = new ConsoleCollector(cdp, this.#floodGuard.onMessage, keyOf, kept);
    const plainSessions = () => puppeteerSessionsOf(page);
    this.network = new NetworkCollector(cdp, credentials, { plainSessions, keyOf, ...(kept && { kept }) });
    this.dialogs = new Dialogs(cdp, this.interruptions);
    this.prompts = new UserPrompts({ cdp, hasUser: session.hasUser ?? false });
    this.emulation = new Emulation(page, cdp, kept);
    this.initScripts = new InitScripts(page, cdp, kept);
    this.tracing = new PageTracing(page);
    this.coverage = new PageCoverage(page, cdp, () => this.scripts.sessions());
    this.recording = new ScreenRecording(page);
    const elements = new ElementUids();
    this.elements = elements;
    page.browser().on('disconnected', this.#markClosed);
    const isInterrupted = (): boolean => this.interruptions.current !== undefined;
    this.navigations = new PendingNavigations({ root: cdp, isInterrupted });
    this.frames = new Frames(cdp, this.navigations, (frameId, loaderId) => {
      const isMain = frameId === this.frames.mainId;
      if (loaderId !== undefined) this.#documents++;
      elements.documentChanged(frameId, loaderId);
      this.network.documentChanged(frameId, loaderId, { isMain });
      if (!isMain) return;
      this.lastScreenshot = undefined;
      this.shownLines = undefined;
      this.lastSnapshot = undefined;
    });
  }

  /** Aborted when the page is closed or disposed, or its browser disconnects, whichever is reported first. */
  get closedSignal(): AbortSignal {
    return this.#closed.signal;
  }

  /** Also true when its CDP session is detached: the events of a dying browser come in any order. */
  get isClosed(): boolean {
    return this.#closed.signal.aborted || this.cdp.detached;
  }

  /** Before its first document is there Chrome tells no URL: it shows the initial empty document. */
  url(): string {
    return withoutCredentials(this.page.url()) || 'about:blank';
  }

  /** Whether loading its address restores all that matters: nothing was entered, recorded, set up or is in use. */
  get isDiscardable(): boolean {
    const isRecorded = this.tracing.isRecording || this.coverage.isRunning || this.recording.isRunning;
    const isSetUp = this.network.mocks.bytes > 0 || this.initScripts.ids().length > 0;
    const isInUse = this.#lock.isHeld || this.interruptions.current !== undefined;
    return /^https?:/.test(this.page.url()) && !this.isEdited && !isRecorded && !isSetUp && !isInUse;
  }

  /** The URLs of its documents, the main frame's first. */
  shown(): string[] {
    return this.page.frames().map((frame) => frame.url());
  }

  hasFrame(frameId: string): boolean {
    // Puppeteer keeps the id of a frame in a property without a type.
    return this.page.frames().some((frame) => Reflect.get(frame, '_id') === frameId);
  }

  /** Its renderer process has ended: it answers nothing until it has loaded a document. */
  markCrashed(description: string): void {
    // None of them is ever reported as ended.
    this.navigations.dispose();
    this.#focusEmulation = undefined;
    this.cdp.once('Page.frameNavigated', this.interruptions.begin({ kind: 'crash', describe: () => description }));
  }

  /** Navigates to about:blank. Resolves when that is committed. */
  async makeBlank(): Promise<void> {
    await this.cdp.send('Page.navigate', { url: 'about:blank' });
  }

  /**
   * Works also while a dialog or a busy script blocks the page: the browser process answers (CDP Target.getTargetInfo).
   */
  async title(): Promise<string> {
    const { targetInfo } = await this.cdp.send('Target.getTargetInfo');
    return targetInfo.title;
  }

  /**
   * Runs one tool at a time on this page, in FIFO order. Rejects with the signal's reason while waiting. Rejects with a
   * ToolError that names the dialog or pause when the page is interrupted: it does not answer until that is handled.
   * A navigation that waits for its server is waited for, or stopped if the tool `navigates` itself, and at the abort.
   * Work that `isRepeatable` is done again where its document was replaced under it.
   */
  runExclusive<T>(signal: AbortSignal, run: () => Promise<T>, options: ExclusiveWork = {}): Promise<T> {
    const { navigates = false, isRepeatable = false, onWanted } = options;
    const work = (): Promise<T> => {
      this.interruptions.throwIfOpen(navigates);
      const runFocused = async (attempt = 1): Promise<T> => {
        const documents = this.#documents;
        try {
          if (navigates) await this.navigations.stop();
          await untilAborted(this.navigations.ended(), signal);
          if (!navigates) await this.requireAnswer(signal);
          await untilAborted(this.#emulateFocus(), signal);
          return await untilGivenUp(run(), signal, graceMs);
        } catch (error) {
          if (error instanceof ToolError || signal.aborted) throw error;
          if (this.isClosed) throw new ToolError(this.#closedMeanwhile(), { cause: error });
          if (this.#documents === documents && !isLostContext(error)) throw error;
          if (!isRepeatable || attempt === maxAttempts) throw new ToolError(this.#leftMeanwhile(), { cause: error });
        } finally {
          if (signal.aborted) await this.navigations.stop();
        }
        return runFocused(attempt + 1);
      };
      return this.interruptions.runUntilInterrupted(
        () => runFocused(),
        (interruption) => {
          throw new ToolError(interruption.describe());
        },
      );
    };
    return this.#lock.run(signal, work, onWanted);
  }

  #closedMeanwhile(): string {
    const problem = `Page ${this.id} was closed while the tool used it: the page did that, or an extension.`;
    return `${problem} list_pages shows what is open.`;
  }

  #leftMeanwhile(): string {
    return (
      `Page ${this.id} went to another document while the tool used it, and is at ${this.url()} now. Call it again; a page ` +
      'that goes on by itself without an end is stopped by navigate_page.'
    );
  }

  /**
   * Whether its code lets it answer. A page that waits for its server, for the answer to a dialog, or in the debugger
   * counts as one that answers. `ms` holds where the browser itself answers at once; a busy one has more.
   */
  async isAnswering(signal: AbortSignal, ms = 1_000): Promise<boolean> {
    if (this.interruptions.current !== undefined || this.navigations.isPending || this.isClosed) return true;
    const answered = unlessGone(this.cdp.send('Runtime.evaluate', { expression: '0' })).then(() => true);
    const answersWithin = async (limitMs: number): Promise<boolean> => {
      const limit = AbortSignal.any([signal, timeLimit(limitMs)]);
      return (await unlessGone(untilAborted(answered, limit))) === true;
    };
    const answers =
      (await answersWithin(ms)) ||
      (await answersWithin(leastGraceMs + busyFactor * (await this.#browserDelay(signal))));
    signal.throwIfAborted();
    return answers || this.navigations.isPending;
  }

  /** How long the browser takes to answer for itself, in ms. */
  async #browserDelay(signal: AbortSignal): Promise<number> {
    const asked = performance.now();
    const limit = AbortSignal.any([signal, timeLimit(maxBrowserDelayMs)]);
    await unlessGone(untilAborted(this.page.browser().version(), limit));
    return Math.ceil(performance.now() - asked);
  }

  /** Throws a ToolError if a script of the page has run without an end for some seconds. */
  async requireAnswer(signal: AbortSignal, unknown = ''): Promise<void> {
    if (await this.isAnswering(signal, heldMs)) return;
    throw new ToolError(
      `Page ${this.id} answers nothing: a script in it does not end.${unknown} navigate_page ends the script, also with ` +
        'reload; close_page closes the page.',
    );
  }

  /**
   * From the first tool on, the page behaves as if it had the focus: Chrome throttles timers and frames of background
   * tabs.
   */
  #emulateFocus(): Promise<void> {
    this.#focusEmulation ??= this.cdp.send('Emulation.setFocusEmulationEnabled', { enabled: true });
    return this.#focusEmulation;
  }

  /**
   * The isolated world `greenroom` of a frame, created on first use (CDP Page.createIsolatedWorld). It shares only the
   * document with the page, which can neither see nor change it.
   */
  async isolatedWorldOf(cdp: CDPSession, frameId: string): Promise<number> {
    const world = await cdp.send('Page.createIsolatedWorld', { frameId, worldName: 'greenroom' });
    return world.executionContextId;
  }

  /** Calls an injected function in the isolated world of a frame (default: the main frame), and awaits its promise. */
  async callInIsolatedWorld<Args extends readonly unknown[]>(
    source: InjectedFunction<(...args: Args) => unknown>,
    values: Args,
    frame?: FrameSession,
  ): Promise<unknown> {
    const cdp = frame?.cdp ?? this.cdp;
    const contextId = await this.isolatedWorldOf(cdp, frame?.frameId ?? this.frames.mainId);
    const { result, exceptionDetails } = await cdp.send('Runtime.evaluate', {
      expression: callExpression(source, ...values),
      contextId,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Records a worker that several pages use, until the returned function is called. */
  followWorker(worker: TargetSession): () => void {
    const ends = [this.console, this.network, this.scripts].map((collector) => collector.followWorker(worker));
    return () => ends.forEach((end) => end());
  }

  /** Stops the collectors and detaches the CDP session. The tab stays open. Idempotent; never rejects. */
  async dispose(): Promise<void> {
    this.#markClosed();
    this.#kept?.close();
    this.page.browser().off('disconnected', this.#markClosed);
    this.#floodGuard.dispose();
    this.console.dispose();
    this.network.dispose();
    this.scripts.dispose();
    this.prompts.dispose();
    this.navigations.dispose();
    // Not awaited: a hung page would not answer. Needed since in a profile the tab stays open.
    void this.emulation.reset().catch(noop);
    await Promise.all([this.tracing.dispose(), this.coverage.dispose(), this.recording.dispose()]);
    if (!this.cdp.detached) await this.cdp.detach().catch(noop);
  }
}

/** Opens the collectors of a page. Rejects, leaving nothing behind, when the page closes meanwhile. */
export async function openSessionPage(options: SessionPageOptions): Promise<SessionPage> {
  const cdp = await openCdpSession(options.page);
  const page = new SessionPage({ ...options, cdp });
  try {
    await Promise.all([
      cdp.send('Page.enable'),
      page.frames.start(),
      page.console.ready,
      page.network.ready,
      page.scripts.ready,
      page.prompts.ready,
    ]);
    return page;
  } catch (error) {
    await page.dispose();
    throw error;
  }
}

/** Counts as recorded: it is read again where it is missing. */
const lastSnapshotOf = (page: SessionPage) => ({
  get bytes() {
    return page.lastSnapshot?.bytes ?? 0;
  },
  shrink() {
    page.lastSnapshot = undefined;
  },
});
