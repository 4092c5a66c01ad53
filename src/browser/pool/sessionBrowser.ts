import type { Browser, BrowserContext, Target } from 'puppeteer-core';
import type { ExtensionRecorder } from '../extensions/extensionRecorder.js';
import type { ContextSelection } from '../extensions/liveContexts.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { AddressPolicy } from '../policy/addressPolicy.js';
import type { OnQueued } from './waitQueue.js';

/**
 * The browser as one session sees it: its own pages and nothing else (S6). Tools use it; its lease owns and closes it.
 * Popups that an own page opens are own pages.
 */
export interface SessionBrowser {
  readonly browser: Browser;
  readonly context: BrowserContext;
  /** What the session has of its own just now. `auto` sessions report `context` until they moved to a `process`. */
  readonly isolation: 'context' | 'process' | 'profile';
  readonly mode: 'launch' | 'attach';
  /** `Chrome/156.0.…` */
  readonly product: string;

  /** Where the session's pages may be. */
  readonly addresses: AddressPolicy;

  /** False as soon as it is heard that the browser behind it died or hung; what was open in it is gone. */
  readonly isAlive: boolean;

  /** The session's pages, oldest first. */
  pages(): readonly SessionPage[];
  /** The page with this id, or the selected one. Throws a ToolError that lists what exists. */
  page(pageId?: number): SessionPage;
  readonly selected: SessionPage | undefined;
  /** Opens and selects a blank page unless the session has had one: page tools work at once, and connecting is cheap. */
  ensureFirstPage(signal: AbortSignal): Promise<void>;
  select(pageId: number): SessionPage;
  /** Opens a blank page, or takes the untouched first one, and selects it unless `background` or if it is the only one. */
  newPage(options?: { background?: boolean; signal?: AbortSignal }): Promise<SessionPage>;
  closePage(pageId: number): Promise<void>;
  /**
   * Takes in the popup of an extension, which is no tab, and selects it. When it closes, the page that was selected
   * before is again, and a notice says so unless `closePage` closed it.
   */
  adoptPopup(popup: Target): Promise<SessionPage>;

  /** What the extensions do, from the first `ensureProcess` on. */
  readonly activity: ExtensionRecorder;
  /** The context of an extension that is worked on when none is named. */
  readonly extensionContext: ContextSelection;
  /** A folder of the session's own on the server's disk, made at the first call, removed with the session. */
  folder(): Promise<string>;
  /** Where that folder is, once it was made. */
  readonly ownFolder: string | undefined;

  /**
   * Makes sure that the session has a process and profile of its own, which installing and debugging extensions needs.
   * An `auto` session moves: its pages are opened again by URL and a notice says so. `profile` (the user's own
   * browser) is fine as it is; `context` throws a ToolError that names the flag to change. While every process is
   * taken, `onQueued` is told the position in the queue; a full queue throws `browsers_busy`.
   */
  ensureProcess(signal: AbortSignal, onQueued?: OnQueued): Promise<void>;

  /** What the client has to be told with its next answer (browser replaced, session moved, pages lost). Empties. */
  takeNotices(): string[];
}
