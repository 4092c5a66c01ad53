import type { IncomingMessage } from 'node:http';
import type { NextFunction, Request, Response } from 'express';
import { LRUCache } from 'lru-cache';
import { Refusal } from '../errors/errors.js';

/** Throws `invalid_parameter`, `forbidden_host` or `forbidden_origin`. Independent of authentication. */
export type HostOriginPolicy = (request: Pick<IncomingMessage, 'headers' | 'rawHeaders'>) => void;

/**
 * The Host and Origin check of every route and upgrade. Refuses what a foreign web page could send: a Host that is not
 * allowed (DNS rebinding), an Origin that is not allowed, and a cross-site request without an Origin (an image, a script, a
 * link: `Sec-Fetch-Site`). Requests without these headers do not come from a page, and pass.
 */
export function createHostOriginPolicy(
  allowedHosts: readonly string[],
  allowedOrigins: readonly string[],
): HostOriginPolicy {
  const hosts = new Set(allowedHosts.map((host) => host.toLowerCase()));
  const origins = new Set(allowedOrigins.map((origin) => origin.toLowerCase()));
  return ({ headers, rawHeaders }) => {
    // Node reads the first one; a proxy may have checked another (RFC 9112, section 3.2).
    if (countHosts(rawHeaders) > 1) throw new Refusal('invalid_parameter', { detail: 'Send one Host header.' });
    const host = hostNameOf(`http://${headers.host ?? ''}`);
    if (host === null || !hosts.has(host)) throw new Refusal('forbidden_host');
    const { origin, 'sec-fetch-site': fetchSite } = headers;
    if (origin === undefined && fetchSite === 'cross-site') throw new Refusal('forbidden_origin');
    if (origin !== undefined) {
      const site = hostNameOf(origin);
      const isAllowed = site !== null && (origins.has(site) || origins.has(origin.toLowerCase()));
      if (!isAllowed) throw new Refusal('forbidden_origin');
    }
  };
}

/** The policy as Express middleware. */
export function enforceHostOriginPolicy(hostOriginPolicy: HostOriginPolicy) {
  return (request: Request, _response: Response, next: NextFunction): void => {
    hostOriginPolicy(request);
    next();
  };
}

function countHosts(rawHeaders: readonly string[]): number {
  let hosts = 0;
  // Names and values alternate.
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.length === 4 && rawHeaders[index]?.toLowerCase() === 'host') hosts += 1;
  }
  return hosts;
}

const maxCachedUrlLength = 300;
/** Clients repeat the same hosts, and parsing the URL is the most expensive part of the policy. */
const hostNameCache = new LRUCache<string, { readonly host: string | null }>({ max: 1_000 });

/** The host of a URL in lower case, without the port; null for a URL without a host, or with a user. */
function hostNameOf(url: string): string | null {
  const parsed = hostNameCache.get(url) ?? { host: parseHost(url) };
  if (url.length <= maxCachedUrlLength) hostNameCache.set(url, parsed);
  return parsed.host;
}

function parseHost(url: string): string | null {
  if (!URL.canParse(url)) return null;
  const { hostname, username } = new URL(url);
  return hostname === '' || username !== '' ? null : hostname;
}
