import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { ToolError } from '../../errors/errors.js';
import {
  compileNetworks,
  isMetadataAddress,
  metadataNames,
  spellingsOf,
  withoutBrackets,
} from '../../networkAddresses.js';
import { compileGlob } from '../patterns/urlPattern.js';

/** URL patterns of an operator: `--allowed-urls` and `--blocked-urls`, or those of one user. */
export interface UrlLists {
  /** Empty: everything is allowed. */
  readonly allowed: readonly string[];
  readonly blocked: readonly string[];
}

/** One pattern: `example.com`, `*.example.com:8080`, `https://example.com/docs/*`, `10.0.0.0/8`, or a glob. */
export interface UrlPattern {
  readonly text: string;
  /** For a blocked pattern: as a glob of the whole address too. */
  matches(url: URL): boolean;
  /** For an allowed pattern: a glob of the whole address only if it names no host. Otherwise a path could name it. */
  allows(url: URL): boolean;
  /** The host as a glob and the port, if neither scheme nor path narrows the pattern further than a port can say. */
  readonly hosts?: { readonly host: string; readonly port: string; readonly withSubdomains: boolean };
  /** In all its spellings. */
  readonly networks?: readonly (readonly [address: string, length: number])[];
  /** Unless it is a network, or a glob of whole addresses alone. */
  readonly parts?: {
    readonly scheme: string | undefined;
    readonly host: string;
    readonly withSubdomains: boolean;
    /** `*`: any. */
    readonly port: string;
    /** Empty: any. */
    readonly path: string;
    /** Whether it names no host. */
    readonly isFree: boolean;
  };
}

const form = /^(?:([a-z*][a-z\d+.*-]*):\/\/)?(\[[\da-f:.]+\]|[^/:?#[\]]+)(?::(\d+|\*))?([/?#].*)?$/i;
const networkForm = /^\[?([\da-f:.]+)\]?\/(\d{1,3})$/i;
const defaultPorts: Readonly<Record<string, string>> = { http: '80', https: '443' };

export function parseUrlPattern(text: string): UrlPattern {
  const network = parseNetwork(text);
  return network === undefined ? parseHostPattern(text) : networkPattern(text, spellingsOf(network));
}

function networkPattern(text: string, networks: NonNullable<UrlPattern['networks']>): UrlPattern {
  const isInside = compileNetworks(networks);
  const matches = ({ hostname }: URL): boolean => isInside(withoutBrackets(hostname));
  return { text, networks, matches, allows: matches };
}

function parseHostPattern(text: string): UrlPattern {
  const matchesWhole = compileGlob(text.toLowerCase());
  const parsed = form.exec(text);
  const fitsWhole = ({ href }: URL): boolean => matchesWhole(href.toLowerCase());
  if (parsed === null) return { text, matches: fitsWhole, allows: fitsWhole };
  const [, scheme, hostText = '', port = '*', path = ''] = parsed;
  const host = hostText.toLowerCase().replace(/^\*\./, '');
  const withSubdomains = scheme === undefined || hostText.startsWith('*.');
  const isFree = scheme === undefined && host.includes('*') && (host !== '*' || path !== '');
  const parts = { scheme: scheme?.toLowerCase(), host: canonicalHost(host), withSubdomains, port, path, isFree };
  const fitsParts = compileParts(parts);
  const matches = (url: URL): boolean => fitsWhole(url) || fitsParts(url);
  const allows = isFree ? matches : fitsParts;
  const isWholeHost = ['', '/', '/*'].includes(path);
  const knownPort = port === '*' && scheme !== undefined ? (defaultPorts[scheme] ?? '*') : port;
  return { text, matches, allows, parts, ...(isWholeHost && { hosts: { host, port: knownPort, withSubdomains } }) };
}

function compileParts({ scheme, host, withSubdomains, port, path }: NonNullable<UrlPattern['parts']>) {
  const fitsHost = compileGlob(host);
  const fitsSubdomain = compileGlob(`*.${host}`);
  const fitsPath = path === '' ? () => true : compileGlob(path);
  return (url: URL): boolean =>
    fitsScheme(scheme, url) &&
    (fitsHost(url.hostname) || (withSubdomains && fitsSubdomain(url.hostname))) &&
    (port === '*' || port === portOf(url)) &&
    fitsPath(url.pathname + url.search);
}

function parseNetwork(text: string): readonly [string, number] | undefined {
  const [, address = '', length = ''] = networkForm.exec(text) ?? [];
  const family = isIP(address);
  return family === 0 || Number(length) > (family === 4 ? 32 : 128) ? undefined : [address, Number(length)];
}

/** A host as `URL` writes it: `0x7f.1` is `127.0.0.1`. */
function canonicalHost(host: string): string {
  const address = `http://${host}/`;
  return !host.includes('*') && URL.canParse(address) ? new URL(address).hostname : host;
}

/** A pattern without a scheme, and one with `http` or `https`, also matches WebSockets. */
function fitsScheme(scheme: string | undefined, { protocol }: URL): boolean {
  if (scheme === undefined) return true;
  const fits = compileGlob(scheme.toLowerCase());
  return fits(protocol.slice(0, -1)) || fits(webScheme(protocol));
}

const webScheme = (protocol: string): string => protocol.replace(/^ws/, 'http').slice(0, -1);

const portOf = ({ port, protocol }: URL): string => port || (defaultPorts[webScheme(protocol)] ?? '');

const networkSchemes: ReadonlySet<string> = new Set(['http:', 'https:', 'ws:', 'wss:', 'ftp:']);

/**
 * Which addresses of the network a session may reach: those of the server's lists and of its user's lists. Link-local
 * addresses and cloud metadata services are blocked too, unless authentication is off.
 */
export class UrlRules {
  readonly #lists: readonly { readonly allowed: readonly UrlPattern[]; readonly blocked: readonly UrlPattern[] }[];
  readonly blocksMetadata: boolean;

  constructor(lists: readonly UrlLists[], { blocksMetadata }: { readonly blocksMetadata: boolean }) {
    this.#lists = lists.map(({ allowed, blocked }) => ({
      allowed: allowed.map(parseUrlPattern),
      blocked: blocked.map(parseUrlPattern),
    }));
    this.blocksMetadata = blocksMetadata;
  }

  /** Whether any pattern is set, so that every request has to be checked. */
  get hasPatterns(): boolean {
    return this.#lists.some(({ allowed, blocked }) => allowed.length + blocked.length > 0);
  }

  /** The server's lists, then the user's. An address is reached if every one of them allows it. */
  get lists(): readonly { readonly allowed: readonly UrlPattern[]; readonly blocked: readonly UrlPattern[] }[] {
    return this.#lists;
  }

  get blockedPatterns(): readonly UrlPattern[] {
    return this.#lists.flatMap(({ blocked }) => blocked);
  }

  /** The rules together with the lists of a user. */
  with(lists: UrlLists | undefined): UrlRules {
    return lists === undefined ? this : this.#plus(lists);
  }

  /** Why the address is refused; undefined if it may be reached. Names are not resolved. */
  refusalOf(url: URL): string | undefined {
    const target = targetOf(url);
    if (target === undefined) return undefined;
    const host = withoutBrackets(target.hostname);
    if (this.#isMetadata(host)) return metadataRefusal(target.host);
    for (const { allowed, blocked } of this.#lists) {
      const match = blocked.find((pattern) => pattern.matches(target));
      if (match !== undefined) return `${addressOf(target)} is blocked by --blocked-urls ${match.text}.`;
      if (allowed.length > 0 && !allowed.some((pattern) => pattern.allows(target))) {
        const list = allowed.map(({ text }) => text).join(', ');
        return `${addressOf(target)} is not in --allowed-urls, which allows: ${list}.`;
      }
    }
    return undefined;
  }

  /** Throws a ToolError if the address may not be reached, or if its name resolves to one that may not. */
  async check(url: URL): Promise<void> {
    const refusal = this.refusalOf(url) ?? (await this.#refusalOfName(url));
    if (refusal !== undefined) throw new ToolError(refusal);
  }

  /** Why a name may not be connected to that has resolved to this address. */
  refusalOfAddress(name: string, address: string): string | undefined {
    if (this.#isMetadata(address)) return metadataRefusal(`${name} (${address})`);
    const url = new URL(`http://${isIP(address) === 6 ? `[${address}]` : address}/`);
    const match = this.blockedPatterns.find(({ networks, matches }) => networks !== undefined && matches(url));
    return match && `${name} (${address}) is blocked by --blocked-urls ${match.text}.`;
  }

  async #refusalOfName(url: URL): Promise<string | undefined> {
    const target = targetOf(url);
    if (target === undefined || isIP(withoutBrackets(target.hostname)) !== 0) return undefined;
    // What does not resolve cannot be reached: the browser says so.
    const addresses = await lookup(target.hostname, { all: true }).catch(() => []);
    return addresses
      .map(({ address }) => this.refusalOfAddress(target.hostname, address))
      .find((refusal) => refusal !== undefined);
  }

  #isMetadata(host: string): boolean {
    if (!this.blocksMetadata) return false;
    return isMetadataAddress(host) || metadataNames.some((name) => name === host);
  }

  #plus(lists: UrlLists): UrlRules {
    const server = this.#lists.map(({ allowed, blocked }) => ({
      allowed: allowed.map(({ text }) => text),
      blocked: blocked.map(({ text }) => text),
    }));
    return new UrlRules([...server, lists], this);
  }
}

/**
 * The address that is actually reached: that of `blob:` is in its path, and a dot at the end of a host name is removed.
 * Undefined: not an address of the network.
 */
function targetOf(url: URL): URL | undefined {
  if (networkSchemes.has(url.protocol)) {
    if (!url.hostname.endsWith('.')) return url;
    const named = new URL(url);
    named.hostname = url.hostname.slice(0, -1);
    return named;
  }
  if (url.protocol !== 'blob:' || !URL.canParse(url.pathname)) return undefined;
  return targetOf(new URL(url.pathname));
}

/** Without credentials, query and fragment. */
const addressOf = ({ origin, protocol, host, pathname }: URL): string =>
  `${origin === 'null' ? `${protocol}//${host}` : origin}${pathname}`;

const metadataRefusal = (host: string): string =>
  `${host} is a link-local address or a cloud metadata service, which no session may reach while --auth is on.`;
