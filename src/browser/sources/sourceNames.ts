/** How files of source maps, and what is wrong with a map, are told in answers. */

/** Why a source map cannot be used: the end of the sentence `Its source map …`. */
export class SourceMapProblem extends Error {}

/** Schemes under which bundlers name files that have no address. */
const bundlerScheme = /^(?:webpack|webpack-internal|turbopack|rspack|ng|rollup|parcel|vite|metro|capacitor):\/\/\/?/;

/** `_N_E` or `my-app` before a relative path, and `[project]` or `(app-client)` before any: the name of the build. */
const buildName = /^[^/]*\/(?=\.{1,2}\/)/;
const bracketedBuild = /^(?:\([^)/]*\)|\[[^\]/]*\])\//;

/**
 * A short name: `src/app.ts` of `webpack:///./src/app.ts?a1b2`, of `http://host/src/app.ts?t=17` and of
 * `chrome-extension://id/src/app.ts`. `scriptUrl` is the script that was made from it.
 */
export function shortSourceName(source: string, scriptUrl: string): string {
  const plain = withoutQuery(source);
  const name = bundlerScheme.test(plain)
    ? withoutBuild(plain.replace(bundlerScheme, ''))
    : withoutOrigin(plain, scriptUrl);
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

/** Whether `wanted`, as a client writes it, names this file: in full, short, or its last parts. */
export function namesSource(wanted: string, source: string, shortName: string): boolean {
  const name = wanted.replace(/^(?:\.\/)+/, '').replaceAll('\\', '/');
  if (wanted === source || name === shortName) return true;
  return name !== '' && (shortName.endsWith(`/${name}`) || withoutQuery(source).endsWith(`/${name}`));
}
