/** How scripts and files of source maps, and what is wrong with a map, are told in answers. */

/** Why a source map cannot be used: the end of the sentence `Its source map …`. */
export class SourceMapProblem extends Error {}

/** Names of scripts that drivers run in a page: the server, and puppeteer. Code of a client is none of them. */
export const driverScript = /^(?:pptr:|__puppeteer|greenroom(?:\.js$|:))/;

/** Schemes under which bundlers name files that have no address. */
const bundlerScheme = /^(?:webpack|webpack-internal|turbopack|rspack|ng|rollup|parcel|vite|metro|capacitor):\/\/\/?/;

export const isOfBundler = (source: string): boolean => bundlerScheme.test(source);

/** `_N_E` or `my-app` before a relative path, and `[project]` or `(app-client)` before any: the name of the build. */
const buildName = /^[^/]*\/(?=\.{1,2}\/)/;
const bracketedBuild = /^(?:\([^)/]*\)|\[[^\]/]*\])\//;

/**
 * A short name: `src/app.ts` of `webpack:///./src/app.ts?a1b2`, of `http://host/src/app.ts?t=17` and of
 * `chrome-extension://id/src/app.ts`. `scriptUrl` is the script that was made from it.
 */
export function shortSourceName(source: string, scriptUrl: string): string {
  const plain = withoutQuery(source);
  const name = isOfBundler(plain) ? withoutBuild(plain.replace(bundlerScheme, '')) : withoutOrigin(plain, scriptUrl);
  const short = name.replace(/^(?:\.{1,2}\/)+/, '').replace(/^\/@fs(?=\/)/, '');
  return short === '' ? source : decoded(short);
}

/** A query or fragment distinguishes versions of a file (`?t=17`, `?vue&type=script`), which its name does not need. */
function withoutQuery(source: string): string {
  const end = source.search(/[?#]/);
  return end < 1 ? source : source.slice(0, end);
}

function withoutBuild(path: string): string {
  return path.replace(buildName, '').replace(bracketedBuild, '');
}

function withoutOrigin(address: string, scriptUrl: string): string {
  if (address.startsWith('file:///')) return address.slice('file://'.length);
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(address) || !URL.canParse(address)) return address;
  const { protocol, host, pathname } = new URL(address);
  const isSame = URL.canParse(scriptUrl) && new URL(scriptUrl).host === host;
  const path = pathname.replace(/^\/(?!@fs\/)/, '');
  return isSame || protocol === 'chrome-extension:' ? path : `${host}/${path}`;
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** Behind the name of a script whose original file has the same one, so that both can be named. */
const compiledMark = ' (compiled)';

export const compiledName = (name: string): string => `${name}${compiledMark}`;
export const isCompiledName = (name: string): boolean => name.endsWith(compiledMark);
export const withoutCompiled = (name: string): string =>
  isCompiledName(name) ? name.slice(0, -compiledMark.length) : name;

/** Of a name that is the end of another: less than the whole one, more than any number of common parts. */
const endOfName = 1_000;

/**
 * How well `wanted`, as a client writes it, names a file: Infinity in full or by its short name; less by the end of its
 * path, and least by the last parts that an absolute path has in common with it; 0 not at all.
 */
export function nameMatch(wanted: string, source: string, shortName: string): number {
  const name = pathOf(isOfBundler(wanted) ? shortSourceName(wanted, '') : wanted.replace(/^file:\/\//, ''));
  const own = pathOf(shortName);
  if (wanted === source || name === own) return Number.POSITIVE_INFINITY;
  if (name === '') return 0;
  if (own.endsWith(`/${name}`) || withoutQuery(source).endsWith(`/${name}`)) return endOfName;
  return /^(?:\/|file:\/\/|[a-z]:[\\/])/i.test(wanted) ? commonParts(name.split('/'), own.split('/')) : 0;
}

/** Whether a name only ends as a file does, below other folders. */
export const isResemblance = (match: number): boolean => match < endOfName;

/** Those of files that a name fits best. */
export function bestNamed<File extends { readonly url: string; readonly name: string }>(
  wanted: string,
  files: readonly File[],
): { readonly match: number; readonly files: readonly File[] } {
  const matches = files.map(({ url, name }) => nameMatch(wanted, url, name));
  const match = matches.reduce((best, each) => Math.max(best, each), 0);
  return { match, files: match === 0 ? [] : files.filter((_, index) => matches[index] === match) };
}

/** Names with the last part of one that fits none. */
export function similarNames(wanted: string, names: Iterable<string>): string[] {
  const part = pathOf(wanted).split('/').at(-1)?.toLowerCase() ?? '';
  return [...new Set(names)].filter((name) => name.toLowerCase().includes(part));
}

const pathOf = (name: string): string => name.replaceAll('\\', '/').replace(/^(?:\.?\/)+/, '');

/** The last part alone is shared by files that have nothing to do with each other; a whole name fits best. */
function commonParts(wanted: readonly string[], own: readonly string[]): number {
  let count = 0;
  while (count < own.length && own.at(-count - 1) === wanted.at(-count - 1)) count += 1;
  if (count === own.length) return count + 0.5;
  return count > 1 ? count : 0;
}
