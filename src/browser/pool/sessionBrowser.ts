import type { Browser, BrowserContext, Target } from 'puppeteer-core';
import type { FolderWatches } from '../extensions/folderWatches.js';
import type { ExtensionRecorder } from '../extensions/extensionRecorder.js';
import type { ContextSelection } from '../extensions/liveContexts.js';
import type { SessionDebugger } from '../debugger/sessionDebugger.js';
import type { ActionLog } from '../page/actionLog.js';
import type { EmulationSettings } from '../page/pageEmulation.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { SourceMaps } from '../sources/sourceMaps.js';
import type { AddressPolicy } from '../policy/addressPolicy.js';
import type { Credentials } from '../policy/credentials.js';
import type { Downloads } from './downloads.js';
import type { OnQueued } from './waitQueue.js';

/**
 * The browser as one session sees it: its own pages and nothing else (S6). Tools use it; its lease owns and closes it.
 * Popups that its pages open are its pages too.
 */
export interface SessionBrowser {
  readonly browser: Browser;
  readonly context: BrowserContext;
  /** The isolation in effect. `auto` sessions report `context` until they have moved to a `process`. */
  readonly isolation: 'context' | 'process' | 'profile';
  readonly mode: 'launch' | 'attach';
  /** `Chrome/156.0.…` */
  readonly product: string;

  /** Decides which addresses the session's pages may open. */
  readonly addresses: AddressPolicy;
  /** Sent to the servers that ask for them. */
  readonly credentials: Credentials;
  /** What the session did in its pages, for a script. */
  readonly actions: ActionLog;

  /** False once the browser is known to have died or hung; what was open in it is gone. */
  readonly isAlive: boolean;

  /** The session's pages, oldest first. */
  pages(): readonly SessionPage[];
  /** The page with this id, or the selected one. Throws a ToolError that lists what exists. */
  page(pageId?: number): SessionPage;
  readonly selected: SessionPage | undefined;
  /** Opens and selects a blank page unless the session has had a page. */
  ensureFirstPage(signal: AbortSignal): Promise<void>;
  /** Resolves when the tabs that Chrome has reported are pages. A tab of a silent server is waited for 3 s. */
  whenPagesAdopted(signal: AbortSignal): Promise<void>;
  select(pageId: number): SessionPage;
  /**
   * Opens a blank page, or uses the untouched first one. Selects it, unless `background` is set and another page is
   * open. With `context` in the browser context of that name, which has its own cookies and storage.
   */
  newPage(options?: {
    readonly background?: boolean;
    readonly context?: string | undefined;
    readonly signal?: AbortSignal;
  }): Promise<SessionPage>;
  /** Applies settings to each page, and to those that open later. A notice names each page where that fails. */
  emulateFromStart(settings: EmulationSettings): Promise<void>;
  closePage(pageId: number): Promise<void>;
  /**
   * Adopts the popup of an extension, which is no tab, and selects it. When the popup closes, the previous page is
   * selected again; a notice says so unless `closePage` closed it.
   */
  adoptPopup(popup: Target): Promise<SessionPage>;

  /** Its breakpoints, and the code that they have paused. */
  readonly debugger: SessionDebugger;
  /** Records what the extensions do, from the first `ensureProcess` on. */
  readonly activity: ExtensionRecorder;
  /** Loads extensions again when their folders change; what has changed is loaded before a tool about extensions runs. */
  readonly folderWatches: FolderWatches;
  /** The source maps of its scripts. */
  readonly sources: SourceMaps;
  /** The selected context of an extension, for tools that name none. */
  readonly extensionContext: ContextSelection;
  /** What its pages downloaded. Undefined in an attached browser. */
  readonly downloads: Downloads | undefined;
  /** The session's own folder on the server's disk, created by the first call and removed with the session. */
  folder(): Promise<string>;
  /** The path of that folder, once it exists. */
  readonly ownFolder: string | undefined;

  /**
   * Ensures that the session has a process and profile of its own, which installing and debugging extensions needs. An
   * `auto` session moves: its pages are opened again by URL and a notice says so. `profile` (the user's own browser)
   * needs no move; `context` throws a ToolError that names the flag to change. While every process is in use,
   * `onQueued` receives the position in the queue; a full queue throws `browsers_busy`.
   */
  ensureProcess(signal: AbortSignal, onQueued?: OnQueued): Promise<void>;

  /** Removes and returns the notices for the next response (browser replaced, session moved, pages lost). */
  takeNotices(): string[];
}
