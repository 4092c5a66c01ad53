import type { IncomingMessage } from 'node:http';
import type { NextFunction, Request, Response } from 'express';
import { LRUCache } from 'lru-cache';
import { Refusal } from '../errors/errors.js';

/** Throws `invalid_parameter`, `forbidden_host` or `forbidden_origin`; says nothing of who asks. */
export type HostOriginPolicy = (request: Pick<IncomingMessage, 'headers' | 'rawHeaders'>) => void;

/**
 * The one rule of every door, requests and upgrades alike. Refuses what a foreign web page could make: a Host that is not
 * ours (DNS rebinding), an Origin that is not allowed, and what a page fetches without an Origin (an image, a script, a
 * link): the browser calls that cross-site. Requests with neither are not from a page and pass.
 */
export function createHostOriginPolicy(
  allowedHosts: readonly string[],
  allowedOrigins: readonly string[],
): HostOriginPolicy {
  const hosts = new Set(allowedHosts.map((host) => host.toLowerCase()));
  const origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));
  return ({ headers, rawHeaders }) => {
    // Node keeps the first; whoever stands before it may have looked at another one (RFC 9112, section 3.2).
    if (countHosts(rawHeaders) > 1) throw new Refusal('invalid_parameter', { detail: 'Send one Host header.' });
    const host = hostNameOf(`http://${headers.host ?? ''}`);
    if (host === null || !hosts.has(host)) throw new Refusal('forbidden_host');
    const { origin, 'sec-fetch-site': fetchSite } = headers;
    if (origin === undefined && fetchSite === 'cross-site') throw new Refusal('forbidden_origin');
    if (origin !== undefined) {
      const site = hostNameOf(origin);
      const allowed = site !== null && (origins.has(site) || origins.has(origin.toLowerCase()));
      if (!allowed) throw new Refusal('forbidden_origin');
    }
  };
}

/** The rule in front of every route. */
export function enforceHostOriginPolicy(hostOriginPolicy: HostOriginPolicy) {
  return (request: Request, _response: Response, next: NextFunction): void => {
    hostOriginPolicy(request);
    next();
  };
}

/** Names stand at even places. */
function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at]?.length === 4 && rawHeaders[at]?.toLowerCase() === 'host') hosts += 1;
  }
  return hosts;
}

/** Characters of a URL that is remembered. */
const maxCachedUrlLength = 300;
/** A client names the same hosts with every request, and a URL costs more to parse than all the rest of the rule. */
const hostNameCache = new LRUCache<string, { readonly host: string | null }>({ max: 1_000 });

/** The host of a URL in lower case, without its port; null if there is none. */
function hostNameOf(url: string): string | null {
  const known = hostNameCache.get(url) ?? { host: parseHost(url) };
  if (url.length <= maxCachedUrlLength) hostNameCache.set(url, known);
  return known.host;
}

function parseHost(url: string): string | null {
  if (!URL.canParse(url)) return null;
  const { hostname, username } = new URL(url);
  return hostname === '' || username !== '' ? null : hostname;
}
