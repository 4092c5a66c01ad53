import { createHash } from 'node:crypto';
import { noop, untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { withCdpScope } from '../cdp/cdpScope.js';
import { findExtension } from '../extensions/installedExtensions.js';
import { readExtensionFiles } from '../extensions/extensionFiles.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { SessionBrowser } from '../pool/sessionBrowser.js';
import type { MappedFile, Position } from './mapReader.js';
import type { Script } from './scriptRegistry.js';
import { endOf, mappedScriptOf, type MappedScript, type OpenMap } from './sourceMaps.js';
import { bestNamed, compiledName, shortSourceName, similarNames, SourceMapProblem } from './sourceNames.js';

/** A script with its source map. */
export interface SourceScript extends MappedScript {
  /** A short name: `app.js`; that of compiled code says so where its original file has the same. */
  readonly name: string;
  /** Where it runs: `page`, `iframe`, `worker`, `content script`, or `extension` for a file of an extension. */
  readonly context: string;
  /** Characters, where known. */
  readonly length: number | undefined;
  /** Undefined where it names none. */
  readonly map: OpenMap | undefined;
  /** Of a document: the inline scripts in it, in their order. */
  readonly inline?: readonly SourceScript[];
  /** Of a document with inline scripts, its whole text: places count in it. Throws a SourceMapProblem. */
  text(signal: AbortSignal): Promise<string>;
}

/** An original file in the source map of a script. */
export interface OriginalFile extends MappedFile {
  readonly script: SourceScript;
  readonly key: string;
  readonly index: number;
  /** Code of others: of a package, or marked so by the map. */
  readonly isLibrary: boolean;
}

/** Scripts of one answer. */
const maxScripts = 1_000;
/** How long source maps are waited for. */
const mapsMs = 8_000;
/** A longer text is loaded in parts: the browser sends it as one message otherwise. */
const maxMessageChars = 8 * 1024 ** 2;
/** Bytes, of which a text has at most as many characters. */
const documentLength = `performance.getEntriesByType('navigation')[0]?.decodedBodySize`;
/** How long a document is waited for: its scripts alone will do. */
const documentMs = 3_000;

/**
 * What runs in a page, its frames and workers, each script once; of an extension the scripts in its folder, also while its
 * worker sleeps. Waits for the source maps for some seconds; a late one has a problem that says so.
 */
export async function sourceScripts(
  browser: SessionBrowser,
  { page, extensionId }: { readonly page: SessionPage; readonly extensionId?: string | undefined },
  signal: AbortSignal,
): Promise<SourceScript[]> {
  const found =
    extensionId === undefined
      ? await scriptsOfPage(browser, page, signal)
      : await scriptsOfExtension(browser, extensionId, signal);
  const limit = timeLimit(mapsMs);
  const waiting = AbortSignal.any([signal, limit]);
  return Promise.all(
    found.map(async (script) => {
      const map = await browser.sources.open(script, waiting).catch(() => {
        signal.throwIfAborted();
        return { problem: 'has not arrived yet' };
      });
      const isNameOfOriginal = map && 'files' in map && map.files.some(({ name }) => name === script.name);
      return { ...script, map, name: isNameOfOriginal ? compiledName(script.name) : script.name };
    }),
  );
}

/** What an answer may be about. */
export interface Sources {
  readonly scripts: readonly SourceScript[];
  readonly originals: readonly OriginalFile[];
  /** Why source maps are not used, a line each. */
  readonly problems: readonly string[];
}

export async function readSources(
  browser: SessionBrowser,
  of: { readonly page: SessionPage; readonly extensionId?: string | undefined },
  signal: AbortSignal,
): Promise<Sources> {
  const scripts = await sourceScripts(browser, of, signal);
  const problems = scripts.flatMap(({ name, map }) =>
    map !== undefined && 'problem' in map ? [`${name}: its source map ${map.problem}`] : [],
  );
  return { scripts, originals: originalFiles(scripts), problems };
}

/** An original file, if one has the name as well as a script has. Throws a ToolError that names similar sources. */
export function findSource(file: string, { scripts, originals, problems }: Sources): SourceScript | OriginalFile {
  const all: readonly (SourceScript | OriginalFile)[] = [...originals, ...scripts];
  const best = bestNamed(file, all).files;
  const ofOriginals = best.filter((each) => 'script' in each);
  const candidates = ofOriginals.length > 0 ? ofOriginals : best;
  const addresses = [...new Set(candidates.map(({ url }) => url))];
  // Scripts of several builds may be made from one file; the newest counts.
  const last = candidates.findLast(({ url }) => url === addresses[0]);
  if (last !== undefined && addresses.length === 1) return last;
  if (addresses.length > 1) {
    throw new ToolError(
      `${addresses.length} files are called ${file}. Pass one in full: ${few(addresses).join(', ')}.`,
    );
  }
  const similar = similarNames(
    file,
    all.map(({ name }) => name),
  );
  throw new ToolError(
    [
      `There is no source ${file}.`,
      ...(similar.length > 0 ? [`Similar: ${few(similar).join(', ')}.`] : []),
      ...few(problems).map((problem) => `${problem}.`),
      'list_sources shows what is loaded.',
    ].join(' '),
  );
}

const few = (texts: readonly string[]): readonly string[] => texts.slice(0, 8);

/** The text of a script, without a source map that is written in it. Throws a SourceMapProblem. */
export async function scriptText(script: SourceScript, signal: AbortSignal): Promise<string> {
  return (await script.text(signal)).replaceAll(/(\/\/[#@] sourceMappingURL=data:[^,\s]{0,100},)\S+$/gm, '$1…');
}

/** The original files of scripts; those of libraries last. */
function originalFiles(scripts: readonly SourceScript[]): OriginalFile[] {
  const files = scripts.flatMap((script) => {
    const { map } = script;
    if (map === undefined || 'problem' in map) return [];
    return map.files.map((file, index) => ({
      ...file,
      ...{ script, index, key: map.key },
      isLibrary: file.isIgnored || /(?:^|\/)(?:node_modules|webpack|vite)\//.test(file.url + file.name),
    }));
  });
  return [...files.filter(({ isLibrary }) => !isLibrary), ...files.filter(({ isLibrary }) => isLibrary)];
}

async function scriptsOfPage(browser: SessionBrowser, page: SessionPage, signal: AbortSignal): Promise<SourceScript[]> {
  await untilAborted(page.scripts.refresh(), AbortSignal.any([signal, timeLimit(mapsMs)])).catch(noop);
  signal.throwIfAborted();
  // Code without a name is listed only if a source map names its files.
  const live = page.scripts
    .list()
    .filter((script) => script.url + script.sourceMapUrl !== '' && page.scripts.isLive(script));
  const each = new Map(live.map((script) => [`${script.url} ${script.hash}`, script]));
  const scripts = await Promise.all(
    [...each.values()].slice(-maxScripts).map(async (script) => ({
      ...(await mappedScriptOf(page, script)),
      name: script.url === '' ? '(inline)' : shortSourceName(script.url, page.url()),
      context: contextOf(script),
      length: script.length,
      map: undefined,
      text: (reading: AbortSignal) => textOf(browser, page, script, reading),
    })),
  );
  return withDocuments(page, scripts);
}

/** In place of inline scripts, their documents, last: a script that a page has added may have the same address. */
function withDocuments(page: SessionPage, scripts: readonly SourceScript[]): SourceScript[] {
  const documents = new Map<string, SourceScript[]>();
  const others: SourceScript[] = [];
  for (const script of scripts) {
    const { url, sourceMapUrl, start } = script;
    const isInline = sourceMapUrl === '' && (start.line > 0 || start.column > 0);
    if (isInline) documents.set(url, [...(documents.get(url) ?? []), script]);
    else others.push(script);
  }
  return [...others, ...[...documents.values()].map((inline) => documentOf(page, inline))];
}

function documentOf(page: SessionPage, scripts: readonly SourceScript[]): SourceScript {
  const inline = scripts.toSorted((a, b) => a.start.line - b.start.line || a.start.column - b.start.column);
  const [first] = inline;
  if (first === undefined) throw new RangeError('a document without scripts');
  return {
    ...first,
    ...{ inline, start: { line: 0, column: 0 }, end: undefined },
    length: inline.reduce((sum, { length = 0 }) => sum + length, 0),
    text: async (signal) => (await documentText(page, first, signal)) ?? (await textInPlace(inline, signal)).text,
  };
}

/** As its server sent it (CDP Page.getResourceContent). Undefined where Chrome has it no more, or it is very long. */
async function documentText(
  page: SessionPage,
  { url, frame }: SourceScript,
  signal: AbortSignal,
): Promise<string | undefined> {
  const read = async (): Promise<string | undefined> => {
    const document = (await page.frames.documents()).find(({ frameId }) => frameId === frame?.frameId);
    if (document?.url !== url) return undefined;
    const { cdp, frameId } = document;
    const contextId = await page.isolatedWorldOf(cdp, frameId);
    const { result } = await cdp.send('Runtime.evaluate', { expression: documentLength, contextId });
    if (!(Number(result.value) + url.length <= maxMessageChars)) return undefined;
    const { content, base64Encoded } = await cdp.send('Page.getResourceContent', { frameId, url });
    return base64Encoded ? undefined : content.replaceAll('\r\n', '\n');
  };
  const limit = AbortSignal.any([signal, timeLimit(documentMs)]);
  const text = await untilAborted(read(), limit).catch(() => undefined);
  signal.throwIfAborted();
  return text;
}

/**
 * Inline scripts at the lines and columns of their document, with blanks between them, and the offset of each in this
 * text. Another script as it is.
 */
export async function textInPlace(
  scripts: readonly SourceScript[],
  signal: AbortSignal,
): Promise<{ readonly text: string; readonly offsets: readonly number[] }> {
  let text = '';
  let at: Position = { line: 0, column: 0 };
  const offsets: number[] = [];
  for (const { start, text: read } of scripts) {
    // Chrome places the code of an attribute only roughly: never before what is there already.
    const line = Math.max(start.line, at.line);
    const before = line === at.line ? at.column : 0;
    const column = Math.max(start.column, before);
    text += '\n'.repeat(line - at.line) + ' '.repeat(column - before);
    offsets.push(text.length);
    const part = await read(signal);
    text += part;
    const end = endOf(part);
    at = { line: line + end.line, column: end.column + (end.line === 0 ? column : 0) };
  }
  return { text, offsets };
}

const contextOf = ({ kind, isIsolated }: Script): string => (isIsolated ? 'content script' : kind);

/** From the script engine; a very long one, or one whose session is busy with others, from its address. */
async function textOf(
  browser: SessionBrowser,
  page: SessionPage,
  script: Script,
  signal: AbortSignal,
): Promise<string> {
  const { session, scriptId, url, hash, length } = script;
  if (length <= maxMessageChars && page.scripts.isLive(script)) {
    const reading = session.send('Debugger.getScriptSource', { scriptId }).catch(() => undefined);
    const source = await untilAborted(reading, signal);
    if (source !== undefined) return source.scriptSource;
  }
  const { frame } = await mappedScriptOf(page, script);
  const text = await browser.sources.loadText(url, frame, signal);
  if (createHash('sha256').update(text).digest('hex') === hash) return text;
  throw new SourceMapProblem('is gone: its address has another text now');
}

async function scriptsOfExtension(browser: SessionBrowser, id: string, signal: AbortSignal): Promise<SourceScript[]> {
  const extension = await withCdpScope(browser.browser, signal, (scope) => findExtension(scope, id));
  const { paths } = await readExtensionFiles(extension);
  const names = [...paths].filter((path) => /\.m?js$/.test(path)).slice(0, maxScripts);
  const scripts: SourceScript[] = [];
  // One after the other: each is held as a whole.
  for (const name of names) {
    const url = `chrome-extension://${id}/${name.split('/').map(encodeURIComponent).join('/')}`;
    const script = await browser.sources.extensionScript(url, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (script === undefined) continue;
    const { text, ...mapped } = script;
    scripts.push({
      ...{ ...mapped, name, context: 'extension', length: text.length, map: undefined },
      text: async (reading) => (await browser.sources.extensionScript(url, reading)).text,
    });
  }
  return scripts;
}
