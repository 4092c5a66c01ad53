import { join } from 'node:path';
import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { untilAborted } from '../../async.js';
import { openBrowserCdpSession, unlessGone } from '../cdp/cdpSessions.js';
import { withoutCredentials } from '../policy/credentials.js';
import { shortenText } from '../../text.js';

export interface DownloadsOptions {
  readonly browser: Browser;
  /** Undefined: the default context. */
  readonly contextId: string | undefined;
  /** Files are saved in its subfolder `downloads`. */
  readonly folder: string;
  /** Whether a frame is in a page of the session. */
  hasFrame(frameId: string): boolean;
  /** Why a download of the session's user is cancelled; resolves with undefined if it may continue. */
  readonly refusal?: (() => Promise<string | undefined>) | undefined;
  /** Called once for each cancelled download. */
  note(text: string): void;
}

export interface Download {
  readonly id: number;
  readonly url: string;
  readonly name: string;
  readonly state: 'in progress' | 'completed' | 'cancelled';
  /** Received. */
  readonly bytes: number;
  /** Expected size, if the server declared it. */
  readonly totalBytes: number | undefined;
  /** Of a completed one. */
  readonly path: string | undefined;
}

/** The bound on all downloads of one session together, finished ones included. */
const maxBytes = 256 * 1024 ** 2;
const maxFiles = 1_000;

/**
 * Saves the downloads of a session's pages and extensions in the session's folder, and cancels a download that would
 * exceed the bound. In effect while its CDP session is open (Browser.setDownloadBehavior). Owned by a placement, which
 * closes it.
 */
export class Downloads {
  readonly #options: DownloadsOptions;
  readonly #session: CDPSession;
  /** The ids of further contexts. */
  readonly #joined = new Set<string>();
  /** Bytes of each download, by guid: received, or expected in total. */
  readonly #sizes = new Map<string, number>();
  readonly #downloads = new Map<string, Download>();
  /** Downloads whose owner is not known yet, by guid, with their last report. */
  readonly #unclear = new Map<string, Protocol.Browser.DownloadProgressEvent | undefined>();
  #lastId = 0;
  #waiters: (() => void)[] = [];

  private constructor(session: CDPSession, options: DownloadsOptions) {
    this.#session = session;
    this.#options = options;
  }

  /** Saves those of another context, too. */
  async join(contextId: string): Promise<void> {
    await this.#save(contextId);
    this.#joined.add(contextId);
  }

  static async open(options: DownloadsOptions): Promise<Downloads> {
    const { browser, contextId } = options;
    const session = await openBrowserCdpSession(browser);
    const downloads = new Downloads(session, options);
    session.on('Browser.downloadWillBegin', (event) => void downloads.#onBegin(event));
    session.on('Browser.downloadProgress', (progress) => downloads.#follow(progress));
    try {
      await downloads.#save(contextId);
      return downloads;
    } catch (error) {
      await downloads.close();
      throw error;
    }
  }

  /** Idempotent; never rejects. */
  async close(): Promise<void> {
    if (!this.#session.detached) await unlessGone(this.#session.detach());
  }

  async #save(contextId: string | undefined): Promise<void> {
    const downloadPath = join(this.#options.folder, 'downloads');
    const options = { behavior: 'allow', downloadPath, eventsEnabled: true } as const;
    await this.#session.send('Browser.setDownloadBehavior', { ...options, ...idOf(contextId) });
  }

  /** The bytes of all files, and the expected bytes of downloads in progress. */
  get bytes(): number {
    return [...this.#sizes.values()].reduce((total, bytes) => total + bytes, 0);
  }

  /** Oldest first; the newest 1,000. */
  list(): readonly Download[] {
    return [...this.#downloads.values()];
  }

  /** Resolves when none is in progress. Rejects with the signal's reason. */
  async ended(signal: AbortSignal): Promise<void> {
    while (this.list().some(({ state }) => state === 'in progress')) {
      await untilAborted(new Promise<void>((resolve) => this.#waiters.push(resolve)), signal);
    }
  }

  /** Chrome reports the downloads of every context to every client of the browser. */
  async #onBegin(event: Protocol.Browser.DownloadWillBeginEvent): Promise<void> {
    const { contextId, hasFrame } = this.#options;
    if (contextId === undefined || hasFrame(event.frameId)) {
      this.#begin(event);
      return;
    }
    // A window that has just opened, or a page of another session.
    const { guid } = event;
    this.#unclear.set(guid, undefined);
    const { targetInfos = [] } = (await unlessGone(this.#session.send('Target.getTargets'))) ?? {};
    const progress = this.#unclear.get(guid);
    this.#unclear.delete(guid);
    const isOurs = (id: string | undefined): boolean => id === contextId || this.#joined.has(id ?? '');
    if (!targetInfos.some((target) => target.targetId === event.frameId && isOurs(target.browserContextId))) return;
    this.#begin(event);
    if (progress !== undefined) this.#follow(progress);
  }

  #begin({ guid, url, suggestedFilename }: Protocol.Browser.DownloadWillBeginEvent): void {
    const name = shortenText(suggestedFilename, maxNameChars);
    const started = { state: 'in progress', bytes: 0, totalBytes: undefined, path: undefined } as const;
    this.#downloads.set(guid, { id: ++this.#lastId, url: shortAddress(url), name, ...started });
    this.#sizes.set(guid, 0);
    if (this.#downloads.size > maxFiles) this.#cancel(guid, `a session may download ${maxFiles} files`);
  }

  #follow(progress: Protocol.Browser.DownloadProgressEvent): void {
    const { guid, totalBytes, receivedBytes, state } = progress;
    if (this.#unclear.has(guid)) this.#unclear.set(guid, progress);
    this.#record(progress);
    if (state === 'canceled') {
      this.#sizes.delete(guid);
      return;
    }
    if (!this.#sizes.has(guid)) return;
    this.#sizes.set(guid, state === 'completed' ? receivedBytes : Math.max(totalBytes, receivedBytes));
    if (this.bytes > maxBytes)
      this.#cancel(guid, `the downloads of a session may take ${maxBytes / 1024 ** 2} MB in total`);
    else void this.#checkQuota(guid);
  }

  async #checkQuota(guid: string): Promise<void> {
    const cause = await unlessGone(this.#options.refusal?.() ?? Promise.resolve(undefined));
    if (cause !== undefined && this.#sizes.has(guid)) this.#cancel(guid, cause);
  }

  #record({ guid, totalBytes, receivedBytes, state, filePath }: Protocol.Browser.DownloadProgressEvent): void {
    const download = this.#downloads.get(guid);
    if (download === undefined) return;
    this.#downloads.set(guid, {
      ...download,
      state: states[state],
      bytes: receivedBytes,
      totalBytes: totalBytes > 0 ? totalBytes : undefined,
      path: state === 'completed' ? (filePath ?? join(this.#options.folder, 'downloads', download.name)) : undefined,
    });
    if (state !== 'inProgress') for (const resolve of this.#waiters.splice(0)) resolve();
  }

  #cancel(guid: string, cause: string): void {
    this.#sizes.delete(guid);
    const name = this.#downloads.get(guid)?.name ?? guid;
    this.#options.note(`The download of ${JSON.stringify(name)} was cancelled: ${cause}.`);
    // Only the context that has it takes the command.
    for (const contextId of [this.#options.contextId, ...this.#joined])
      void unlessGone(this.#session.send('Browser.cancelDownload', { guid, ...idOf(contextId) }));
  }
}

const idOf = (contextId: string | undefined): { browserContextId?: string } =>
  contextId === undefined ? {} : { browserContextId: contextId };

const maxNameChars = 200;
const maxAddressChars = 500;
const states = { inProgress: 'in progress', completed: 'completed', canceled: 'cancelled' } as const;

/** The address of a file that a script made may contain the file. */
function shortAddress(url: string): string {
  return shortenText(withoutCredentials(url), maxAddressChars);
}
