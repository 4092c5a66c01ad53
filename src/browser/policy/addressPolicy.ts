import { fileURLToPath } from 'node:url';
import { ToolError } from '../../errors/errors.js';
import { UrlRules } from './urlRules.js';

/** Resolves for a path that a session may read. Rejects with a ToolError otherwise. */
export type FileCheck = (path: string) => Promise<unknown>;

/** The ids of the extensions that a session installed. */
export type InstalledExtensions = () => Promise<ReadonlySet<string>>;

const openSchemes: ReadonlySet<string> = new Set(['http:', 'https:', 'data:', 'blob:']);

/** Chrome's own replacement documents, which have no content of other origins. */
const emptySchemes: ReadonlySet<string> = new Set(['about:', 'chrome-error:']);

/** An address for messages: the query of a page of Chrome may be what opens it. */
export const refusedAddress = (url: string): string => (/^chrome:/i.test(url) ? url.replace(/\?.*/s, '') : url);

/** A host without a scheme: `example.com/x`, `127.0.0.1:8080`, `localhost`. */
const bareHost = /^(localhost|\[[\da-f:.]+\]|[\w-]+(\.[\w-]+)+)(:\d+)?([/?#]|$)/i;

const noFiles: FileCheck = (path) =>
  Promise.reject(new ToolError(`${path} is outside the folders that tools may use.`));
const noExtensions: InstalledExtensions = () => Promise.resolve(new Set());

/**
 * Decides which addresses the pages of one session may show: the web, files of its workspace, and pages of extensions
 * that it installed; and of the network what the URL rules of its user allow. Checked by everything that navigates a page
 * or reads its content.
 */
export class AddressPolicy {
  #files = noFiles;
  #installed = noExtensions;
  #isUsersOwn = false;
  #rules = new UrlRules([], { blocksMetadata: false });
  /** Called when rules are set that need every request to be checked. */
  onRules: (() => Promise<unknown>) | undefined;
  readonly #known = new Set<string>();

  /** Sets the check for files. Before, no file is allowed. */
  useFiles(check: FileCheck): void {
    this.#files = check;
  }

  /** Sets the rules for addresses of the network. Resolves when they are in effect for requests too. */
  async useRules(rules: UrlRules): Promise<void> {
    if (this.#rules === rules) return;
    this.#rules = rules;
    if (rules.hasPatterns) await this.onRules?.();
  }

  /** Whether every request of the session has to be checked, and not those for files alone. */
  get checksRequests(): boolean {
    return this.#rules.hasPatterns;
  }

  /** The rules for addresses of the network. */
  get rules(): UrlRules {
    return this.#rules;
  }

  /** From now on the pages are in a launched browser or in a context, with these extensions. */
  enterOurs(installed = noExtensions): void {
    this.#installed = installed;
    this.#isUsersOwn = false;
    this.#known.clear();
  }

  /**
   * From now on the pages are tabs of the user's own browser, which may show anything. Navigation by tools is still
   * checked.
   */
  enterUsersOwn(): void {
    this.#isUsersOwn = true;
  }

  /**
   * The full URL for an address to navigate to; a host without a scheme gets http. Throws a ToolError for an address
   * that no page of the session may show.
   */
  async resolve(address: string): Promise<string> {
    const text = bareHost.test(address) ? `http://${address}` : address;
    if (text === 'about:blank') return text;
    if (!URL.canParse(text)) {
      throw new ToolError(`${JSON.stringify(text)} is no URL. Write it in full: https://example.com/.`);
    }
    const url = new URL(text);
    await this.#check(url, text);
    // The browser resolves the name again. It refuses such addresses itself (networkFlags).
    await this.#rules.check(url);
    return url.href;
  }

  /** Whether a page may show this document. */
  allowsPage(address: string): Promise<boolean> {
    return this.#allows(address, (url) => this.#check(url, address));
  }

  /**
   * Whether a page may show this document in a frame, or load this resource. Extensions are allowed in frames: Chrome
   * shows some documents (PDF) in built-in ones.
   */
  allowsPart(address: string): Promise<boolean> {
    return this.#allows(address, (url) =>
      url.protocol === 'chrome-extension:' ? Promise.resolve() : this.#check(url, address),
    );
  }

  async #allows(address: string, check: (url: URL) => Promise<void>): Promise<boolean> {
    // A page that is being opened has no address yet.
    if (address === '') return true;
    const url = URL.canParse(address) ? new URL(address) : undefined;
    if (url !== undefined && this.#rules.refusalOf(url) !== undefined) return false;
    if (this.#isUsersOwn) return true;
    if (url === undefined) return false;
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
