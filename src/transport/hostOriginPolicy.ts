import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NextFunction, Request, Response } from 'express';
import { LRUCache } from 'lru-cache';
import { Refusal } from '../errors/errors.js';

/** Throws `invalid_parameter`, `forbidden_host` or `forbidden_origin`. Independent of authentication. */
export type HostOriginPolicy = (
  request: Pick<IncomingMessage, 'method' | 'headers'> & { readonly rawHeaders: readonly string[] },
) => void;

/** Allows every host or origin: with authentication only, which the configuration checks. */
export const anyName = '*';

/**
 * The Host and Origin check of every route and upgrade. Refuses what a foreign web page could send: a Host that is not
 * allowed (DNS rebinding), an Origin that is not allowed, and a cross-site request without an Origin (an image, a script, a
 * link: `Sec-Fetch-Site`). Requests without these headers do not come from a page, and pass.
 *
 * A web page is allowed by its host, or by its whole origin; the origin of an app (`app://obsidian.md`,
 * `chrome-extension://…`) by its whole name only, since its host means nothing.
 */
export function createHostOriginPolicy(
  allowedHosts: readonly string[],
  allowedOrigins: readonly string[],
): HostOriginPolicy {
  const hosts = new Set(allowedHosts.map(normalizeName));
  const origins = new Set(allowedOrigins.map(normalizeName));
  return ({ method, headers, rawHeaders }) => {
    // Node reads the first one; a proxy may have checked another (RFC 9112, section 3.2).
    if (countHosts(rawHeaders) > 1) throw new Refusal('invalid_parameter', { detail: 'Send one Host header.' });
    const host = siteOf(`http://${headers.host ?? ''}`);
    if (!isNamed(hosts, host)) throw forbiddenHost(headers.host);
    const origin = originOf(headers);
    if (origin === undefined) {
      if (String(headers['sec-fetch-site']).includes('cross-site') && couldBeSentByPage(method, headers))
        throw crossSite();
      return;
    }
    const site = siteOf(origin);
    if (!isNamed(origins, site) && !(site !== null && origins.has(origin.toLowerCase()))) throw forbiddenOrigin(origin);
  };
}

/** The Origin of a request. Proxies repeat headers, and Node joins them: one value counts once. */
function originOf({ origin }: IncomingMessage['headers']): string | undefined {
  const [first, ...others] = origin?.split(', ') ?? [];
  return others.every((other) => other === first) ? first : origin;
}

/**
 * Whether a page can make its browser send this request to another site without an Origin header. It cannot with a header
 * or a media type that needs a preflight (Fetch, section 4.10): an app that uses a browser's network stack sent it.
 */
function couldBeSentByPage(method: string | undefined, headers: IncomingMessage['headers']): boolean {
  const isJsonPost = method === 'POST' && /^\s*application\/json\s*(;|$)/i.test(headers['content-type'] ?? '');
  return !isJsonPost && headers['mcp-session-id'] === undefined;
}

/** A header value as it can be repeated in an error. */
const quote = (value: string): string => JSON.stringify(value.length > 200 ? `${value.slice(0, 200)}…` : value);

function forbiddenHost(host: string | undefined): Refusal {
  if (host === undefined || host === '') return new Refusal('forbidden_host');
  const name = siteOf(`http://${host}`)?.hostname;
  const flag = name === undefined || name.length > 253 ? '' : `, or start the server with --allowed-hosts ${name}`;
  return new Refusal('forbidden_host', {
    detail: `The Host ${quote(host)} is not allowed. Use a loopback name${flag}.`,
  });
}

function forbiddenOrigin(origin: string): Refusal {
  const flag =
    siteOf(origin) === null
      ? 'It names no site, and cannot be allowed.'
      : 'Start the server with --allowed-origins to allow it by this name.';
  return new Refusal('forbidden_origin', { detail: `The Origin ${quote(origin)} is not allowed. ${flag}` });
}

function crossSite(): Refusal {
  const detail =
    'A cross-site request without an Origin is not allowed: any web page could have caused it. A program sends no Sec-Fetch-Site.';
  return new Refusal('forbidden_origin', { detail });
}

/** The policy as Express middleware. Answers preflights (Fetch, section 4.8): a preflight has no credentials. */
export function enforceHostOriginPolicy(hostOriginPolicy: HostOriginPolicy) {
  return (request: Request, response: Response, next: NextFunction): void => {
    hostOriginPolicy(request);
    shareWithOrigin(request, response);
    const { origin, 'access-control-request-method': requestedMethod } = request.headers;
    if (request.method === 'OPTIONS' && origin !== undefined && requestedMethod !== undefined)
      answerPreflight(request, response);
    else next();
  };
}

/** What a page may read of an answer, besides its body. */
const exposedHeaders = 'Mcp-Session-Id, MCP-Protocol-Version, WWW-Authenticate, Retry-After, X-Request-Id, Allow';

/** Lets the page that sent an allowed request read the answer, whatever it will be. Called after the policy. */
export function shareWithOrigin({ headers }: IncomingMessage, response: ServerResponse): void {
  const origin = originOf(headers);
  if (origin === undefined) return;
  response
    .setHeader('access-control-allow-origin', origin)
    .setHeader('access-control-expose-headers', exposedHeaders)
    .setHeader('vary', 'Origin');
}

const clientHeaders =
  'Accept, Authorization, Content-Type, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Traceparent, X-Request-Id';

function answerPreflight({ headers }: IncomingMessage, response: ServerResponse): void {
  // Clients send headers that are newer than this server: what an allowed page asks for is a list of names.
  const requested = headers['access-control-request-headers'] ?? '';
  const isList =
    requested.length <= 2_000 && /^[\w!#$%&'*+.^`|~-]+([ \t]*,[ \t]*[\w!#$%&'*+.^`|~-]+)*$/.test(requested);
  if (headers['access-control-request-private-network'] === 'true')
    response.setHeader('access-control-allow-private-network', 'true');
  response
    .writeHead(204, {
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers': isList ? requested : clientHeaders,
      'access-control-max-age': '600',
    })
    .end();
}

function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0;
  // Names and values alternate.
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.length === 4 && rawHeaders[index]?.toLowerCase() === 'host') hosts += 1;
  }
  return hosts;
}

/** An entry of `--allowed-hosts` or `--allowed-origins` in the form in which requests are compared with it. */
function normalizeName(name: string): string {
  const isAddress = name.includes('://');
  const site = siteOf(isAddress ? name : `http://${name}`);
  if (name === anyName || site === null) return name.toLowerCase();
  if (!isAddress) return site.host;
  return site.isWeb ? site.origin : name.toLowerCase().replace(/\/$/, '');
}

/** The parts of an address by which it can be allowed, in lower case and without the dot of a complete host name. */
interface Site {
  /** Of a web page, not of an app. */
  readonly isWeb: boolean;
  readonly hostname: string;
  /** With the port, unless it is the default of the scheme. */
  readonly host: string;
  readonly origin: string;
}

function isNamed(names: ReadonlySet<string>, site: Site | null): boolean {
  if (site === null) return false;
  if (names.has(anyName)) return true;
  return site.isWeb && (names.has(site.hostname) || names.has(site.host) || names.has(site.origin));
}

const maxCachedUrlLength = 300;
/** Clients repeat the same hosts, and parsing the URL is the most expensive part of the policy. */
const siteCache = new LRUCache<string, { readonly site: Site | null }>({ max: 1_000 });

/** Null for a URL without a host, or with a user. */
function siteOf(url: string): Site | null {
  const parsed = siteCache.get(url) ?? { site: parseSite(url) };
  if (url.length <= maxCachedUrlLength) siteCache.set(url, parsed);
  return parsed.site;
}

function parseSite(url: string): Site | null {
  if (!URL.canParse(url)) return null;
  const { protocol, hostname: name, port, username } = new URL(url);
  const hostname = name.toLowerCase().replace(/(?<=[^.])\.$/, '');
  if (hostname === '' || username !== '') return null;
  const host = port === '' ? hostname : `${hostname}:${port}`;
  return { isWeb: protocol === 'http:' || protocol === 'https:', hostname, host, origin: `${protocol}//${host}` };
}
