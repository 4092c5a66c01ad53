import { fileURLToPath } from 'node:url';
import { ToolError } from '../../errors/errors.js';

/** Resolves for a path that a session may read; rejects with a ToolError that says why not. */
export type FileCheck = (path: string) => Promise<unknown>;

/** The ids of the extensions that a session installed. */
export type InstalledExtensions = () => Promise<ReadonlySet<string>>;

const openSchemes: ReadonlySet<string> = new Set(['http:', 'https:', 'data:', 'blob:']);

/** What Chrome itself shows in place of a document. They hold nothing. */
const emptySchemes: ReadonlySet<string> = new Set(['about:', 'chrome-error:']);

/** `example.com/x`, `127.0.0.1:8080`, `localhost`: a host without a scheme, as one types it. */
const bareHost = /^(localhost|\[[\da-f:.]+\]|[\w-]+(\.[\w-]+)+)(:\d+)?([/?#]|$)/i;

const noFiles: FileCheck = (path) =>
  Promise.reject(new ToolError(`${path} is outside the folders that tools may use.`));
const noExtensions: InstalledExtensions = () => Promise.resolve(new Set());

/**
 * Where the pages of one session may be: the web, files of its workspace, and the pages of extensions that it installed.
 * Everything that takes a page somewhere, or answers with what it shows, asks here. Rules by host belong here too.
 */
export class AddressPolicy {
  #files = noFiles;
  #installed = noExtensions;
  #isUsersOwn = false;
  readonly #known = new Set<string>();

  /** The files that may be loaded. None before the first call. */
  useFiles(check: FileCheck): void {
    this.#files = check;
  }

  /** From now on the pages are in a browser of ours, with these extensions. None before the first call. */
  enterOurs(installed = noExtensions): void {
    this.#installed = installed;
    this.#isUsersOwn = false;
    this.#known.clear();
  }

  /**
   * From now on the pages are tabs of the user's own browser: what is open there is the user's business. Where tools send
   * a page is still checked.
   */
  enterUsersOwn(): void {
    this.#isUsersOwn = true;
  }

  /**
   * The address as a page may be sent there; a host without a scheme is taken as http. Throws a ToolError for every
   * address where no page of the session may be.
   */
  async resolve(asked: string): Promise<string> {
    const text = bareHost.test(asked) ? `http://${asked}` : asked;
    if (text === 'about:blank') return text;
    if (!URL.canParse(text)) {
      throw new ToolError(`${JSON.stringify(text)} is no URL. Write it in full: https://example.com/.`);
    }
    const url = new URL(text);
    await this.#check(url, text);
    return url.href;
  }

  /** Whether a page may show this document. */
  allowsPage(shown: string): Promise<boolean> {
    return this.#allows(shown, (url) => this.#check(url, shown));
  }

  /**
   * Whether a page may show this document in a frame, or load this resource. Chrome shows documents in extensions of its
   * own (PDF): in a frame these stay.
   */
  allowsPart(shown: string): Promise<boolean> {
    return this.#allows(shown, (url) =>
      url.protocol === 'chrome-extension:' ? Promise.resolve() : this.#check(url, shown),
    );
  }

  async #allows(shown: string, check: (url: URL) => Promise<void>): Promise<boolean> {
    // A page that is just being opened has no address yet.
    if (this.#isUsersOwn || shown === '') return true;
    if (!URL.canParse(shown)) return false;
    const url = new URL(shown);
    if (openSchemes.has(url.protocol) || emptySchemes.has(url.protocol)) return true;
    return check(url).then(
      () => true,
      () => false,
    );
  }

  async #check(url: URL, text: string): Promise<void> {
    if (openSchemes.has(url.protocol)) return;
    if (url.protocol === 'chrome-extension:') return this.#checkExtension(url);
    if (url.protocol === 'file:') return this.#checkFile(url);
    const guess = /^[a-z0-9.-]+:\d+/i.test(text) ? ` Did you mean http://${text}?` : '';
    throw new ToolError(
      `${url.protocol} addresses are not opened. Use http, https, data, blob, chrome-extension, about:blank, or a file ` +
        `of the workspace.${guess}`,
    );
  }

  async #checkFile(url: URL): Promise<void> {
    if (url.host !== '')
      throw new ToolError(`${url.href} names another machine. Only files of the workspace can be opened.`);
    await this.#files(fileURLToPath(url));
  }

  async #checkExtension({ host, href }: URL): Promise<void> {
    if (this.#isUsersOwn || this.#known.has(host)) return;
    for (const id of await this.#installed()) this.#known.add(id);
    if (this.#known.has(host)) return;
    throw new ToolError(
      `${href} is a page of an extension that this session did not install. list_extensions shows those that it did; ` +
        'install_extension adds one.',
    );
  }
}
