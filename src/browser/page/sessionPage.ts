import type { CDPSession, Page } from 'puppeteer-core';
import { ConsoleCollector } from '../collectors/consoleCollector.js';
import { Dialogs, describeDialog } from './dialogs.js';
import { Emulation } from './pageEmulation.js';
import { ElementUids } from './elementUids.js';
import { ConsoleFloodGuard } from './consoleFloodGuard.js';
import { Frames, type FrameSession } from './frames.js';
import { Lock } from '../../async.js';
import { NetworkCollector } from '../collectors/networkCollector.js';
import { PageTracing } from '../profiling/pageTracing.js';
import { ToolError } from '../../errors/errors.js';
import { callExpression, type InjectedFunction } from '../cdp/injectedFunctions.js';
import { openCdpSession } from '../cdp/cdpSessions.js';

/**
 * One page of a session, with everything collected about it since the session has it. Made by `openSessionPage`; owned
 * and disposed by the session's lease, which also closes the page itself.
 */
export class SessionPage {
  /** Never reused within a session. */
  readonly id: number;
  readonly page: Page;
  /** A protocol session of our own on the page's target. */
  readonly cdp: CDPSession;
  readonly console: ConsoleCollector;
  readonly network: NetworkCollector;
  readonly dialogs: Dialogs;
  readonly elements: ElementUids;
  readonly frames: Frames;
  readonly emulation: Emulation;
  readonly tracing: PageTracing;
  /** Whether a tool that is not read-only has been at work in it. */
  isTouched = false;
  readonly #lock = new Lock();
  readonly #floodGuard: ConsoleFloodGuard;
  readonly #closed = new AbortController();
  readonly #markClosed = (): void => this.#closed.abort(new Error('The page is gone.'));
  #focusEmulation: Promise<void> | undefined;

  constructor(options: { id: number; page: Page; cdp: CDPSession }) {
    const { id, page, cdp } = options;
    this.id = id;
    this.page = page;
    this.cdp = cdp;
    this.#floodGuard = new ConsoleFloodGuard(page);
    this.console = new ConsoleCollector(cdp, this.#floodGuard.onMessage);
    this.network = new NetworkCollector(cdp);
    this.dialogs = new Dialogs(cdp);
    this.emulation = new Emulation(page, cdp);
    this.tracing = new PageTracing(page);
    const elements = new ElementUids();
    this.elements = elements;
    page.browser().on('disconnected', this.#markClosed);
    this.frames = new Frames(cdp, (frameId, loaderId) => elements.documentChanged(frameId, loaderId));
  }

  /** Aborted when the page is closed or let go of, or its browser has died, whichever is heard of first. */
  get closedSignal(): AbortSignal {
    return this.#closed.signal;
  }

  /** As `gone`, or its protocol session has ended, whichever is heard of first: a death is told in any order. */
  get isClosed(): boolean {
    return this.#closed.signal.aborted || this.cdp.detached;
  }

  url(): string {
    return this.page.url();
  }

  /** The addresses of all its documents: its own first, then those of its frames. */
  shown(): string[] {
    return this.page.frames().map((frame) => frame.url());
  }

  /** Leaves whatever it shows. Resolves when the blank document is there. */
  async makeBlank(): Promise<void> {
    await this.cdp.send('Page.navigate', { url: 'about:blank' });
  }

  /** Answers also while a dialog or a busy script stops the page: the browser process knows it. */
  async title(): Promise<string> {
    const { targetInfo } = await this.cdp.send('Target.getTargetInfo');
    return targetInfo.title;
  }

  /**
   * Runs one tool at a time on this page, in order of arrival. Rejects with the signal's reason while waiting, and with
   * a ToolError that names the dialog when one is open or opens meanwhile: nothing answers until it is handled.
   */
  runExclusive<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    return this.#lock.run(signal, () => {
      this.dialogs.throwIfOpen();
      const runFocused = async (): Promise<T> => {
        await this.#emulateFocus();
        return run();
      };
      return this.dialogs.runUntilDialog(runFocused, (dialog) => {
        throw new ToolError(describeDialog(dialog));
      });
    });
  }

  /**
   * From the first tool on, the page runs as if it were in front: behind another tab its timers and frames, and all that
   * waits for them, crawl.
   */
  #emulateFocus(): Promise<void> {
    this.#focusEmulation ??= this.cdp.send('Emulation.setFocusEmulationEnabled', { enabled: true });
    return this.#focusEmulation;
  }

  /**
   * The execution context of our own in a frame, made on first use: it shares the frame's document and nothing else, and
   * the page can neither see nor change it.
   */
  async isolatedWorldOf(cdp: CDPSession, frameId: string): Promise<number> {
    const made = await cdp.send('Page.createIsolatedWorld', { frameId, worldName: 'greenroom' });
    return made.executionContextId;
  }

  /** Calls an injected function in our own world of a frame (default: the main one), and waits for its promise. */
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

  /** Ends the collectors and the protocol session. The page stays open. Idempotent; never rejects. */
  async dispose(): Promise<void> {
    this.#markClosed();
    this.page.browser().off('disconnected', this.#markClosed);
    this.#floodGuard.dispose();
    this.console.dispose();
    this.network.dispose();
    // Not waited for: a page that hangs would not answer. In a profile, the tab stays.
    void this.emulation.reset().catch(noop);
    await this.tracing.dispose();
    if (!this.cdp.detached) await this.cdp.detach().catch(noop);
  }
}

/** A target that is gone already has nothing left to detach from. */
function noop(): void {
  return undefined;
}

/** Takes a page into a session. Rejects, leaving nothing behind, when the page goes away meanwhile. */
export async function openSessionPage(options: { id: number; page: Page }): Promise<SessionPage> {
  const cdp = await openCdpSession(options.page);
  const page = new SessionPage({ ...options, cdp });
  try {
    await Promise.all([cdp.send('Page.enable'), page.frames.start(), page.console.ready, page.network.ready]);
    return page;
  } catch (error) {
    await page.dispose();
    throw error;
  }
}
