import { z } from 'zod';
import { inSlices } from '../patterns/slices.js';
import { readRegisteredScripts } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { ExtensionDocument } from './evaluateInTarget.js';
import { localPath, readExtensionFiles, type ExtensionFiles } from './extensionFiles.js';
import type { Extension, ExtensionInfo } from './installedExtensions.js';
import { objectsIn, stringsIn } from './manifest.js';
import { matchesAny, matchesGlob, parsePattern } from './matchPattern.js';

/** One declaration of content scripts, from the manifest or registered with `chrome.scripting`. */
export interface ContentScript {
  /** `content_scripts[0]`, or the id it was registered with. */
  readonly name: string;
  readonly files: readonly string[];
  readonly matches: readonly string[];
  readonly excludeMatches: readonly string[];
  readonly includeGlobs: readonly string[];
  readonly excludeGlobs: readonly string[];
  readonly runAt: string;
  readonly world: string;
  readonly allFrames: boolean;
  readonly asFallback: boolean;
}

/** The verdict about a declaration for a URL. */
export interface Injection {
  readonly script: ContentScript;
  readonly expected: boolean;
  /** Why, or why not; and what to do about it. */
  readonly reasons: readonly string[];
}

const registeredSchema = z.array(
  z.object({
    id: z.string(),
    matches: z.array(z.string()).default([]),
    excludeMatches: z.array(z.string()).default([]),
    js: z.array(z.string()).default([]),
    css: z.array(z.string()).default([]),
    runAt: z.string().default('document_idle'),
    world: z.string().default('ISOLATED'),
    allFrames: z.boolean().default(false),
  }),
);

/** Decides for every content script of an extension whether Chrome would inject it at a URL. */
export async function predictInjections(
  scope: CdpScope,
  extension: Extension,
  { info, url }: { info: ExtensionInfo; url: URL },
): Promise<Injection[]> {
  const files = await readExtensionFiles(extension);
  const scripts = [...declaredScripts(files), ...(extension.enabled ? await registeredScripts(scope, extension) : [])];
  const general = [...generalObstacles(extension, info, url)];
  return inSlices(judge(scripts, general, { files, url }), scope.signal);
}

function* judge(
  scripts: readonly ContentScript[],
  general: readonly string[],
  { files, url }: { files: ExtensionFiles; url: URL },
): Generator<undefined, Injection[]> {
  const judged: Injection[] = [];
  for (const script of scripts) {
    const reasons = [...general];
    for (const reason of patternMismatches(script, url)) {
      if (reason !== undefined) reasons.push(reason);
      yield;
    }
    reasons.push(...missingFiles(script, files));
    const expected = reasons.length === 0;
    judged.push({ script, expected, reasons: expected ? [`matches ${matchingPatterns(script, url)}`] : reasons });
  }
  return judged;
}

function declaredScripts({ manifest }: ExtensionFiles): ContentScript[] {
  return objectsIn(manifest.json?.['content_scripts']).map((entry, index) => ({
    name: `content_scripts[${index}]`,
    files: [...stringsIn(entry['js']), ...stringsIn(entry['css'])],
    matches: stringsIn(entry['matches']),
    excludeMatches: stringsIn(entry['exclude_matches']),
    includeGlobs: stringsIn(entry['include_globs']),
    excludeGlobs: stringsIn(entry['exclude_globs']),
    runAt: typeof entry['run_at'] === 'string' ? entry['run_at'] : 'document_idle',
    world: typeof entry['world'] === 'string' ? entry['world'] : 'ISOLATED',
    allFrames: entry['all_frames'] === true,
    asFallback: entry['match_about_blank'] === true || entry['match_origin_as_fallback'] === true,
  }));
}

async function registeredScripts(scope: CdpScope, extension: Extension): Promise<ContentScript[]> {
  const document = await ExtensionDocument.open(scope, extension);
  const scripts = await document.call(readRegisteredScripts, [], registeredSchema);
  return scripts.map(({ id, js, css, ...script }) => {
    const files = [...js, ...css];
    return { ...script, name: `registered "${id}"`, files, includeGlobs: [], excludeGlobs: [], asFallback: false };
  });
}

/** What prevents all scripts of the extension. */
function* generalObstacles(extension: Extension, info: ExtensionInfo, url: URL): Generator<string> {
  const { protocol, hostname, pathname } = url;
  if (!extension.enabled) yield 'the extension is disabled: call set_extension_enabled';
  if (hostname === 'chromewebstore.google.com' || (hostname === 'chrome.google.com' && /^\/webstore/.test(pathname))) {
    yield 'Chrome lets no extension into the Web Store';
  } else if (protocol === 'file:' && !info.fileAccess.isActive) {
    yield 'files need "Allow access to file URLs", which no extension gets from this server';
  } else if (!['http:', 'https:', 'file:', 'ftp:', 'about:', 'data:', 'blob:'].includes(protocol)) {
    yield `Chrome lets no extension into ${protocol} pages`;
  }
  const access = info.permissions.runtimeHostPermissions;
  const granted = access?.hosts.filter((host) => host.granted).map(({ host }) => host) ?? [];
  if (access !== undefined && access.hostAccess !== 'ON_ALL_SITES' && !matchesAny(granted, url)) {
    yield `the user's site access (${access.hostAccess}) withholds this host: grant it with set_extension_permissions`;
  }
}

function* patternMismatches(script: ContentScript, url: URL): Generator<string | undefined> {
  const { matches, excludeMatches, includeGlobs, excludeGlobs, asFallback } = script;
  for (const text of [...matches, ...excludeMatches]) {
    const pattern = parsePattern(text);
    yield typeof pattern === 'string' ? `"${text}" is no match pattern: ${pattern}` : undefined;
  }
  if (['about:', 'data:', 'blob:'].includes(url.protocol)) {
    yield asFallback
      ? 'the page has no address of its own: the script runs where its opener matches'
      : `${url.protocol} pages need match_origin_as_fallback (or match_about_blank)`;
    return;
  }
  if ((yield* firstFit(matches, url)) === undefined)
    yield `no pattern of matches fits (${matches.join(', ')})${yield* nearMissHint(matches, url)}`;
  const excluded = yield* firstFit(excludeMatches, url);
  if (excluded !== undefined) yield `exclude_matches "${excluded}" fits`;
  if (includeGlobs.length > 0 && !(yield* fitsAny(includeGlobs, url)))
    yield `no include_globs fits (${includeGlobs.join(', ')})`;
  if (yield* fitsAny(excludeGlobs, url)) yield `exclude_globs fits (${excludeGlobs.join(', ')})`;
}

function* fitsAny(globs: readonly string[], url: URL): Generator<undefined, boolean> {
  for (const glob of globs) {
    if (matchesGlob([glob], url)) return true;
    yield;
  }
  return false;
}

/** The first pattern that fits as `changed` writes it. */
function* firstFit(
  patterns: readonly string[],
  url: URL,
  changed = (pattern: string) => pattern,
): Generator<undefined, string | undefined> {
  for (const pattern of patterns) {
    if (matchesAny([changed(pattern)], url)) return pattern;
    yield;
  }
  return undefined;
}

/** The closest pattern is the most helpful. */
function* nearMissHint(matches: readonly string[], url: URL): Generator<undefined, string> {
  if (!/^https?:$/.test(url.protocol)) return '';
  const other = new URL(url);
  other.protocol = url.protocol === 'http:' ? 'https:' : 'http:';
  if ((yield* firstFit(matches, other)) !== undefined) return ': the scheme differs, use *://';
  const withPath = yield* firstFit(matches, url, (pattern) => `${pattern.split('/', 3).join('/')}/*`);
  if (withPath !== undefined)
    return `: the path of ${withPath} differs${withPath.endsWith('*') ? '' : ', end it with *'}`;
  const below = yield* firstFit(matches, url, (pattern) => pattern.replace('://', '://*.'));
  return below === undefined ? `: none is for the host ${url.host}` : `: ${below} leaves out subdomains, use *.`;
}

function* missingFiles({ files }: ContentScript, { paths }: ExtensionFiles): Generator<string> {
  const absent = files.filter((file) => !paths.has(localPath(file)));
  if (absent.length > 0) yield `the file ${absent.join(', ')} does not exist`;
  if (files.length === 0) yield 'it names no js and no css';
}

const matchingPatterns = ({ matches }: ContentScript, url: URL): string =>
  matches.filter((pattern) => matchesAny([pattern], url)).join(', ');
