import { compileGlob } from '../patterns/urlPattern.js';

/** A match pattern of a manifest: `https://*.example.com/*`, `<all_urls>`. */
export interface MatchPattern {
  matches(url: URL): boolean;
  /** Whether it matches every host. */
  readonly everyHost: boolean;
}

const webSchemes = ['http', 'https'];
const schemes = [...webSchemes, 'file', 'ftp', 'ws', 'wss', 'chrome-extension'];

/** The parsed pattern, or why it is invalid. */
export function parsePattern(pattern: string): MatchPattern | string {
  if (pattern === '<all_urls>') {
    return { matches: (url) => [...webSchemes, 'file', 'ftp'].includes(schemeOf(url)), everyHost: true };
  }
  const [, scheme, host, path] = /^([^:]+):\/\/([^/]*)(\/.*)?$/.exec(pattern) ?? [];
  if (scheme === undefined || host === undefined) return 'it is not scheme://host/path';
  if (path === undefined) return `the path is missing: write ${pattern}/*`;
  if (scheme !== '*' && !schemes.includes(scheme)) return `the scheme ${scheme} is not one of *, ${schemes.join(', ')}`;
  if (host === '' && scheme !== 'file') return 'the host is missing';
  const parts = partsOfHost(host);
  if (typeof parts === 'string') return parts;
  const { name, port } = parts;
  const isWeb = ['*', ...webSchemes].includes(scheme);
  const fitsPath = compileGlob(path);
  return {
    matches: (url) =>
      (scheme === '*' ? webSchemes.includes(schemeOf(url)) : scheme === schemeOf(url)) &&
      hostMatches(name, url.hostname) &&
      (port === undefined || port === '*' || port === portOf(url)) &&
      fitsPath(url.pathname + url.search),
    everyHost: name === '*' && isWeb,
  };
}

/** The name and the port of a host, or why it is invalid. */
function partsOfHost(host: string): { readonly name: string; readonly port: string | undefined } | string {
  const port = /:(\d+|\*)$/.exec(host)?.[1];
  if (port === undefined && /^[^[]*:/.test(host)) return 'the port is neither a number nor *';
  const name = port === undefined ? host : host.slice(0, -port.length - 1);
  const isMisplaced = name.slice(1).includes('*') || /^\*[^.]/.test(name);
  return isMisplaced ? '* may stand only at the start of the host, before a dot' : { name, port };
}

/** Whether a URL matches any of the patterns; invalid ones match nothing. */
export function matchesAny(patterns: readonly string[], url: URL): boolean {
  return patterns.some((text) => {
    const pattern = parsePattern(text);
    return typeof pattern !== 'string' && pattern.matches(url);
  });
}

/** `include_globs` and `exclude_globs`: also `?` for one character; the whole URL counts. */
export function matchesGlob(globs: readonly string[], url: URL): boolean {
  return globs.some((glob) => compileGlob(glob, { questionMark: true })(url.href));
}

const schemeOf = (url: URL): string => url.protocol.slice(0, -1);

const portOf = ({ port, protocol }: URL): string => port || (protocol === 'https:' ? '443' : '80');

function hostMatches(pattern: string, host: string): boolean {
  if (pattern === '*' || pattern === host) return true;
  return pattern.startsWith('*.') && (host === pattern.slice(2) || host.endsWith(pattern.slice(1)));
}
