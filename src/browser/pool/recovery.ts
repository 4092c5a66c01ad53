import { messageOf } from '../../errors/errors.js';
import { setPermissions, type EmulationSettings } from '../page/pageEmulation.js';
import type { SessionPage } from '../page/sessionPage.js';
import { KeptBytes } from '../collectors/ringBuffer.js';
import { BreakpointList } from '../debugger/breakpoints.js';
import { ActionLog } from '../page/actionLog.js';
import { AddressPolicy } from '../policy/addressPolicy.js';
import { Credentials } from '../policy/credentials.js';

/** What a session had open in a browser. Serialized as JSON, so that another node can restore it. */
export interface PlacementRecord {
  readonly mode: 'launch' | 'attach';
  readonly isolation: 'context' | 'process' | 'profile';
  /** The session's own context in an attached browser, which outlives the connection. */
  readonly contextId?: string;
  /** Another node closed that context with all its pages. */
  readonly isClosed?: boolean;
  /** The ids of the contexts that the session opened by name. */
  readonly contexts?: Readonly<Record<string, string>>;
  readonly pages: readonly PageRecord[];
  /** Page ids are never reused. */
  readonly lastPageId: number;
  /** The emulation of new pages. */
  readonly startEmulation?: EmulationSettings | undefined;
}

/** The record after another node closed the context. */
export function withContextClosed({ contextId: _closed, ...lost }: PlacementRecord): PlacementRecord {
  return { ...lost, isClosed: true };
}

/** The result of restoring the pages. */
export interface PageRecovery {
  /** Found as they were. */
  readonly kept: readonly PageRecord[];
  /** Opened again by URL. */
  readonly reopened: readonly PageRecord[];
  readonly lost: readonly PageRecord[];
}

const pagesReopenedNotice = 'Its pages were opened again with the same ids; cookies, storage and form input are lost.';

/** The notice for a session that a tool has moved. Blank pages are not worth a word. */
export function describeMove(pages: readonly PageRecord[]): string {
  return (
    'The session moved to a browser process and profile of its own, which this tool needs; cookies and storage did not ' +
    'move with it.' +
    (pages.every(({ url }) => url === 'about:blank')
      ? ''
      : ' Its pages were opened again with the same ids, without their form input.')
  );
}

const pagesKeptNotice =
  'The pages are as they were. Call take_snapshot again; their console and network records start empty.';

/** The notice for the client's next response. */
export function describeRecovery(lost: PlacementRecord, recovery: PageRecovery): string {
  const { isolation } = lost;
  const isBack = recovery.kept.length > 0;
  return [
    `${describeLoss(lost)} ${isBack ? 'It is back.' : 'It has been replaced.'}`,
    ...(isBack ? [pagesKeptNotice] : []),
    ...(recovery.reopened.length === 0 ? [] : [isBack ? describeReopened(recovery.reopened) : pagesReopenedNotice]),
    ...(recovery.lost.length === 0 ? [] : [describeLostPages(recovery.lost)]),
    ...(isolation === 'process' ? ['Installed extensions are gone too: install_extension again.'] : []),
  ].join(' ');
}

function describeLoss({ mode, isClosed = false }: PlacementRecord): string {
  if (isClosed)
    return 'This node was unresponsive for so long that another node closed the browser context of this session.';
  return mode === 'attach'
    ? 'The connection to the browser was lost.'
    : 'The browser of this session ended unexpectedly.';
}

function describeReopened(pages: readonly PageRecord[]): string {
  return `Opened again, without what was in them: ${listPages(pages)}.`;
}

function describeLostPages(pages: readonly PageRecord[]): string {
  return `Lost pages, whose ids are no longer valid: ${listPages(pages)}. Open them again with new_page.`;
}

/** The notice for pages that were closed because no call used them for a while. */
export function describeDiscarded(records: readonly PageRecord[]): string {
  return (
    `Closed while nobody used them, and opened again with the same ids: ${listPages(records)}. Cookies and local storage are ` +
    'as they were; session storage, what scripts kept, and the records of console and network are gone. Call take_snapshot ' +
    'again. --discard-pages-after of the server sets the time.'
  );
}

const listPages = (pages: readonly PageRecord[]): string => pages.map(({ id, url }) => `${id} ${url}`).join(', ');

/** A page to find or reopen when a session moves. Serialized as JSON. */
export interface PageRecord {
  readonly id: number;
  /** Finds the tab again if it outlived the connection (CDP Target.TargetInfo). */
  readonly targetId: string;
  readonly url: string;
  readonly selected: boolean;
  /** The name of its context; absent for the session's own. */
  readonly context?: string;
  readonly emulated: EmulationSettings;
}

export function pageRecordOf(page: SessionPage, selected: boolean): PageRecord {
  const { id, frames, emulation, contextName: context } = page;
  const named = context === undefined ? {} : { context };
  return { id, targetId: frames.mainId, url: page.url(), selected, ...named, emulated: emulation.applied };
}

/** Reapplies the recorded emulation to the page. Resolves with notices for the client when that fails. */
export async function restoreEmulation(page: SessionPage, { id, url, emulated }: PageRecord): Promise<string[]> {
  try {
    await page.emulation.apply(emulated);
    if (emulated.geolocation !== undefined && /^https?:/.test(url))
      await setPermissions(page.page, new URL(url).origin, { geolocation: 'granted' });
    return [];
  } catch (error) {
    return [`What page ${id} emulated could not be restored: ${messageOf(error)}`];
  }
}

/**
 * Session state that outlives its browser: the page id counter, the pending notices for the client, the address
 * policy, credentials for servers, breakpoints, and the log of actions.
 */
export interface SessionPageState {
  /** The kept bytes of its pages and extensions. */
  readonly kept: KeptBytes;
  lastPageId: number;
  nextPageId(): number;
  readonly notices: string[];
  readonly addresses: AddressPolicy;
  readonly credentials: Credentials;
  readonly breakpoints: BreakpointList;
  readonly actions: ActionLog;
  /** The emulation of new pages. */
  startEmulation: EmulationSettings | undefined;
}

/** The part that is stored for other nodes. */
type Stored = Partial<Pick<SessionPageState, 'lastPageId' | 'startEmulation'>>;

export function createSessionPageState(
  { lastPageId = 0, startEmulation }: Stored = {},
  sessionMemory?: number,
): SessionPageState {
  const kept = new KeptBytes(sessionMemory);
  const own = kept.open();
  return {
    kept,
    lastPageId,
    nextPageId() {
      return (this.lastPageId += 1);
    },
    notices: [],
    addresses: new AddressPolicy(),
    credentials: new Credentials(own),
    breakpoints: new BreakpointList(own),
    actions: new ActionLog(own),
    startEmulation,
  };
}
