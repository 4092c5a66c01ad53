import { join } from 'node:path';
import type { Browser, CDPSession, Protocol } from 'puppeteer-core';
import { openBrowserCdpSession, unlessGone } from '../cdp/cdpSessions.js';
import { shortenText } from '../../text.js';

export interface DownloadsOptions {
  readonly browser: Browser;
  /** Undefined: the default context. */
  readonly contextId: string | undefined;
  /** Files are saved in its subfolder `downloads`. */
  readonly folder: string;
  /** Called once for each cancelled download. */
  note(text: string): void;
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
  /** Bytes of each download, by guid: received, or expected in total. */
  readonly #sizes = new Map<string, number>();
  readonly #names = new Map<string, string>();

  private constructor(session: CDPSession, options: DownloadsOptions) {
    this.#session = session;
    this.#options = options;
  }

  static async open(options: DownloadsOptions): Promise<Downloads> {
    const { browser, folder } = options;
    const session = await openBrowserCdpSession(browser);
    const downloads = new Downloads(session, options);
    session.on('Browser.downloadWillBegin', ({ guid, suggestedFilename }) => downloads.#begin(guid, suggestedFilename));
    session.on('Browser.downloadProgress', (progress) => downloads.#follow(progress));
    const downloadPath = join(folder, 'downloads');
    try {
      await session.send('Browser.setDownloadBehavior', {
        behavior: 'allow',
        downloadPath,
        eventsEnabled: true,
        ...downloads.#context,
      });
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

  get #context(): { browserContextId?: string } {
    const { contextId } = this.#options;
    return contextId === undefined ? {} : { browserContextId: contextId };
  }

  #begin(guid: string, name: string): void {
    this.#names.set(guid, name);
    if (this.#names.size > maxFiles) this.#cancel(guid, `a session may download ${maxFiles} files`);
    this.#sizes.set(guid, 0);
  }

  #follow({ guid, totalBytes, receivedBytes, state }: Protocol.Browser.DownloadProgressEvent): void {
    if (state === 'canceled') {
      this.#sizes.delete(guid);
      return;
    }
    if (!this.#sizes.has(guid)) return;
    this.#sizes.set(guid, state === 'completed' ? receivedBytes : Math.max(totalBytes, receivedBytes));
    const sum = [...this.#sizes.values()].reduce((total, bytes) => total + bytes, 0);
    if (sum > maxBytes) this.#cancel(guid, `the downloads of a session may take ${maxBytes / 1024 ** 2} MB in total`);
  }

  #cancel(guid: string, cause: string): void {
    this.#sizes.delete(guid);
    const name = shortenText(this.#names.get(guid) ?? guid, 200);
    this.#options.note(`The download of ${JSON.stringify(name)} was cancelled: ${cause}.`);
    void unlessGone(this.#session.send('Browser.cancelDownload', { guid, ...this.#context }));
  }
}
