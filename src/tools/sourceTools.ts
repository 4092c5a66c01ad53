import { z } from 'zod';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import {
  findSource,
  readSources,
  scriptText,
  type OriginalFile,
  type SourceScript,
} from '../browser/sources/sourceFiles.js';
import { isCompiledName, SourceMapProblem } from '../browser/sources/sourceNames.js';
import { functionBody, functionPattern, type TextMatch, type TextQuery } from '../browser/sources/textSearch.js';
import { compileRegex } from '../browser/patterns/regex.js';
import { messageOf, ToolError } from '../errors/errors.js';
import { cutText } from '../text.js';
import { shortUrl } from './answers.js';
import { definePageTool, type Tool } from './defineTool.js';
import { extensionId, count } from './extensionFields.js';
import { fileName } from './originalPlaces.js';
import { bytesText } from './pagination.js';

const ofExtension = extensionId.optional().describe('Its files instead');

const paging = { page: z.int().min(1).optional().describe('Page') };
const rowsPerPage = 100;

interface Page<T> {
  readonly rows: readonly T[];
  readonly fields: { total: number; page: number; pages: number };
  /** Nothing where one page has all. */
  readonly footer: readonly string[];
}

function rowsOf<T>(all: readonly T[], { page = 1 }: { page?: number | undefined }): Page<T> {
  const pages = Math.max(1, Math.ceil(all.length / rowsPerPage));
  return {
    rows: all.slice((page - 1) * rowsPerPage, page * rowsPerPage),
    fields: { total: all.length, page, pages },
    footer: pages > 1 ? [`Page ${page} of ${pages} (${all.length} in all).`] : [],
  };
}

const pageFields = { total: z.int(), page: z.int(), pages: z.int() };

const sourceRow = z.object({
  file: z.string(),
  kind: z.enum(['script', 'original']),
  url: z.string(),
  /** Of an original file: the script that was made from it. */
  script: z.string().optional(),
  context: z.string(),
  length: z.int().optional(),
  lines: z.int().optional(),
});

const listSourcesTool = definePageTool({
  name: 'list_sources',
  title: 'List sources',
  group: 'sources',
  description: 'Scripts of a page or extension, with their original files',
  input: z.object({
    text: z.string().optional().describe('Text in the name, also of libraries'),
    extensionId: ofExtension,
    ...paging,
  }),
  output: z.object({ sources: z.array(sourceRow), libraries: z.int(), problems: z.array(z.string()), ...pageFields }),
  annotations: { readOnlyHint: true },
  lock: false,
  async handler({ text, extensionId: id, ...args }, { browser, page, signal }) {
    const { scripts, originals, problems } = await readSources(browser, { page, extensionId: id }, signal);
    const wanted = text?.toLowerCase() ?? '';
    const isWanted = ({ name, url }: { name: string; url: string }): boolean =>
      `${name}\n${url}`.toLowerCase().includes(wanted);
    const isShown = (file: OriginalFile): boolean => isWanted(file) && (text !== undefined || !file.isLibrary);
    const rows = scripts.flatMap((script) => {
      const files = originals.filter((file) => file.script === script && isShown(file));
      return files.length > 0 || isWanted(script) ? [script, ...files] : [];
    });
    const libraries = text === undefined ? originals.filter(({ isLibrary }) => isLibrary).length : 0;
    const listing = rowsOf(rows, args);
    const lines = listing.rows.map((row) => ('script' in row ? `  ${row.name}` : scriptLine(row)));
    if (rows.length === 0)
      lines.push(text === undefined ? 'No scripts.' : `No script or file has "${text}" in its name.`);
    if (libraries > 0)
      lines.push(`${count(libraries, 'file')} of libraries are left out; text: "node_modules" lists them.`);
    return {
      text: [...lines, ...listing.footer].join('\n'),
      structured: {
        sources: listing.rows.map(structuredSource),
        libraries,
        problems: [...problems],
        ...listing.fields,
      },
    };
  },
});

function scriptLine({ name, url, context, length, map, inline = [] }: SourceScript): string {
  const scripts = inline.length === 0 ? [] : [count(inline.length, 'inline script')];
  const size = length === undefined ? [] : [bytesText(length)];
  const mapped =
    map === undefined
      ? []
      : ['problem' in map ? `its source map ${map.problem}` : `made from ${count(map.files.length, 'file')}`];
  const facts = [...(context === 'page' ? [] : [context]), ...scripts, ...size, ...mapped];
  return `${name === url ? shortUrl(url) : name} (${facts.join(', ')})`;
}

function structuredSource(row: SourceScript | OriginalFile): z.input<typeof sourceRow> {
  if (!('script' in row)) {
    const { name, url, context, length } = row;
    return { file: name, kind: 'script', url: shortUrl(url), context, ...(length !== undefined && { length }) };
  }
  const { name, url, lines, script } = row;
  const { context } = script;
  return {
    ...{ file: name, kind: 'original', url: shortUrl(url), script: shortUrl(script.url), context },
    ...(lines !== undefined && { lines }),
  };
}

/** Lines and characters of one answer, and of one line in it. */
const defaultLines = 100;
const maxLines = 600;
const maxChars = 32_000;
const maxLineChars = 400;
const maxColumnChars = 4_000;

const getSourceTool = definePageTool({
  name: 'get_source',
  title: 'Source text',
  group: 'sources',
  description: 'Lines of an original file or of a script',
  input: z.object({
    file: z.string().min(1).describe('src/app.ts, app.js or a URL'),
    from: z.int().min(1).optional().describe('First line'),
    to: z.int().min(1).optional().describe('Last line'),
    column: z.int().min(1).optional().describe('Start in a long line'),
    extensionId: ofExtension,
  }),
  output: z.object({
    file: z.string(),
    kind: z.enum(['script', 'original']),
    url: z.string(),
    script: z.string().optional(),
    from: z.int(),
    to: z.int(),
    total: z.int(),
    text: z.string(),
  }),
  annotations: { readOnlyHint: true },
  lock: false,
  async handler({ file, from = 1, to, column, extensionId: id }, { browser, page, signal }) {
    const sources = await readSources(browser, { page, extensionId: id ?? extensionIn(file) }, signal);
    const found = findSource(file, sources);
    const text = await textOf(found, browser, signal);
    const lines = text.split('\n');
    if (from > lines.length) throw new ToolError(`${found.name} has ${count(lines.length, 'line')}: from is ${from}.`);
    const part = column === undefined ? linesFrom(lines, from, to) : columnsFrom(lines[from - 1] ?? '', from, column);
    const isOriginal = 'script' in found;
    const origin = isOriginal ? `, original of ${scriptNameOf(found.script)}` : '';
    return {
      text: `${found.name}${origin}, lines ${from} to ${part.to} of ${lines.length}:\n${part.text}`,
      structured: {
        ...{
          file: found.name,
          kind: isOriginal ? ('original' as const) : ('script' as const),
          url: shortUrl(found.url),
        },
        ...(isOriginal && { script: shortUrl(found.script.url) }),
        ...{ from, to: part.to, total: lines.length, text: part.text },
      },
    };
  },
});

/** What reaches the script where the name alone reaches its original file. */
const scriptNameOf = ({ name, url }: SourceScript): string => (isCompiledName(name) ? name : fileName(url));

/** The id of the extension that an address names. */
const extensionIn = (file: string): string | undefined => /^chrome-extension:\/\/([a-p]{32})\//.exec(file)?.[1];

async function textOf(
  source: SourceScript | OriginalFile,
  browser: SessionBrowser,
  signal: AbortSignal,
): Promise<string> {
  try {
    if (!('script' in source)) return await scriptText(source, signal);
    return await browser.sources.text(source.script, source.index, signal);
  } catch (error) {
    if (!(error instanceof SourceMapProblem)) throw error;
    const what =
      'script' in source ? `The text of ${source.name} is not in its source map, and its address` : source.name;
    throw new ToolError(`${what} ${error.message}.`, { cause: error });
  }
}

interface TextLines {
  readonly text: string;
  readonly to: number;
}

function linesFrom(lines: readonly string[], from: number, wantedTo = from + defaultLines - 1): TextLines {
  const last = Math.min(lines.length, Math.max(from, wantedTo), from + maxLines - 1);
  const shown: string[] = [];
  let chars = 0;
  for (const [index, line] of lines.slice(from - 1, last).entries()) {
    const plain = line.replace(/\r$/, '');
    const rest = plain.length - maxLineChars;
    const cut =
      rest > 0 ? `${cutText(plain, maxLineChars)}… (${rest} more; column: ${maxLineChars + 1} reads on)` : plain;
    chars += cut.length + 8;
    if (chars > maxChars && index > 0) break;
    shown.push(`${from + index}: ${cut}`);
  }
  const to = from + shown.length - 1;
  const more = to < lines.length ? [`from: ${to + 1} reads on.`] : [];
  return { text: [...shown, ...more].join('\n'), to };
}

function columnsFrom(line: string, from: number, column: number): TextLines {
  if (column > line.length) throw new ToolError(`Line ${from} has ${line.length} characters: column is ${column}.`);
  const part = cutText(line.slice(column - 1), maxColumnChars);
  const end = column + part.length;
  const more = end <= line.length ? [`column: ${end} reads on (${line.length} in all).`] : [];
  return { text: [`${from}:${column}: ${part}`, ...more].join('\n'), to: from };
}

const maxProblems = 8;

const matchRow = z.object({ file: z.string(), line: z.int(), column: z.int(), text: z.string() });

/** Time for the scripts of one search; the remaining ones are counted. */
const searchMs = 12_000;

const searchSourcesTool = definePageTool({
  name: 'search_sources',
  title: 'Search sources',
  group: 'sources',
  description: 'Search all loaded code: original files, and scripts that have none',
  input: z.object({
    text: z.string().min(1).optional().describe('Ignores case'),
    regex: z.string().min(1).optional().describe('Instead of text'),
    file: z.string().optional().describe('Text in file names'),
    extensionId: ofExtension,
    ...paging,
  }),
  output: z.object({
    matches: z.array(matchRow),
    searched: z.int(),
    notSearched: z.int(),
    problems: z.array(z.string()),
    ...pageFields,
  }),
  annotations: { readOnlyHint: true },
  lock: false,
  async handler({ file, extensionId: id, ...args }, { browser, page, signal }) {
    const query = queryOf(args);
    const sources = await readSources(browser, { page, extensionId: id }, signal);
    const isNamed = ({ name, url }: { name: string; url: string }): boolean =>
      file === undefined || `${name}\n${url}`.toLowerCase().includes(file.toLowerCase());
    const originals = sources.originals.filter((source) => isNamed(source) && source.lines !== undefined);
    const covered = new Set(sources.originals.filter(({ lines }) => lines !== undefined).map(({ script }) => script));
    const inOriginals = await searchOriginals(browser, originals, query, signal);
    // What only the bundler made, such as a short name, is in no original.
    const isWanted = (script: SourceScript): boolean => inOriginals.length === 0 || !covered.has(script);
    const scripts = sources.scripts.filter((script) => isNamed(script) && isWanted(script));
    const { matches: inScripts, notSearched } = await searchScripts(browser, scripts, query, signal);
    const matches = [...inOriginals, ...inScripts];
    const listing = rowsOf(matches, args);
    const searched = originals.length + scripts.length - notSearched;
    const lines = listing.rows.map((match) => `${match.file}:${match.line}:${match.column}: ${match.text}`);
    if (lines.length === 0) lines.push(`Nothing found in ${count(searched, 'file')}.`);
    if (notSearched > 0) lines.push(`${count(notSearched, 'script')} could not be read in time: name fewer with file.`);
    return {
      text: [...lines, ...sources.problems.slice(0, maxProblems), ...listing.footer].join('\n'),
      structured: {
        ...{ matches: [...listing.rows], searched, notSearched, problems: [...sources.problems] },
        ...listing.fields,
      },
    };
  },
});

type Match = z.infer<typeof matchRow>;

function queryOf({ text, regex }: { text?: string | undefined; regex?: string | undefined }): TextQuery {
  if (text !== undefined && regex === undefined) return { text };
  if (regex === undefined || text !== undefined) throw new ToolError('Pass either text or regex.');
  try {
    compileRegex(regex, 'i');
  } catch (error) {
    throw new ToolError(`regex ${JSON.stringify(regex)}: ${messageOf(error)} Or search by text.`, { cause: error });
  }
  return { regex, flags: 'i' };
}

const matchesOf = (file: string, found: readonly TextMatch[]): Match[] =>
  found.map(({ line, column, excerpt }) => ({ file, line, column, text: excerpt }));

/** Equal files in several maps are listed once. */
async function searchOriginals(
  browser: SessionBrowser,
  originals: readonly OriginalFile[],
  query: TextQuery,
  signal: AbortSignal,
): Promise<Match[]> {
  if (originals.length === 0) return [];
  const files = originals.map(({ key, index }) => ({ key, source: index }));
  const found = await browser.sources.reader.call('search', { query, files }, signal);
  const matches = originals.flatMap(({ name }, index) => matchesOf(name, found[index] ?? []));
  return [
    ...new Map(matches.map((match) => [`${match.file}:${match.line}:${match.column} ${match.text}`, match])).values(),
  ];
}

async function searchScripts(
  browser: SessionBrowser,
  scripts: readonly SourceScript[],
  query: TextQuery,
  signal: AbortSignal,
): Promise<{ matches: Match[]; notSearched: number }> {
  const matches: Match[] = [];
  const until = performance.now() + searchMs;
  let notSearched = 0;
  // One after the other: each is held as a whole.
  for (const script of scripts) {
    const text = performance.now() > until ? undefined : await scriptText(script, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (text === undefined) notSearched += 1;
    else
      matches.push(...matchesOf(script.name, await browser.sources.reader.call('searchText', { query, text }, signal)));
  }
  return { matches, notSearched };
}

/** Where the bodies of the functions and methods of a name begin; in scripts only where no original file has one. */
export async function findFunctions(
  browser: SessionBrowser,
  { page, name }: { readonly page: SessionPage; readonly name: string },
  signal: AbortSignal,
): Promise<{ readonly file: string; readonly line: number; readonly column: number | undefined }[]> {
  const query = { regex: functionPattern(name), flags: '' };
  const sources = await readSources(browser, { page }, signal);
  const own = sources.originals.filter(({ lines, isLibrary }) => lines !== undefined && !isLibrary);
  const inOriginals = await searchOriginals(browser, own, query, signal);
  const found =
    inOriginals.length > 0 ? inOriginals : (await searchScripts(browser, sources.scripts, query, signal)).matches;
  return Promise.all(
    found.slice(0, maxFunctions).map(async ({ file, line }) => {
      const text = await textOf(findSource(file, sources), browser, signal);
      return { file, ...functionBody(text, line, name) };
    }),
  );
}

const maxFunctions = 8;

export const sourceTools: readonly Tool[] = [listSourcesTool, getSourceTool, searchSourcesTool];
