import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { RecordedCoverage, SheetCoverage } from '../browser/profiling/pageCoverage.js';
import { joinedRanges, type CoveredLines, type UsedRanges } from '../browser/sources/coveredLines.js';
import { sourceScripts, textInPlace } from '../browser/sources/sourceFiles.js';
import { endOf, type MappedScript, type OpenMap } from '../browser/sources/sourceMaps.js';
import { shortSourceName } from '../browser/sources/sourceNames.js';
import { definePageTool, type Tool } from './defineTool.js';
import { count } from './extensionFields.js';

const startCoverageTool = definePageTool({
  name: 'start_coverage',
  title: 'Start coverage',
  group: 'audit',
  description:
    'Record which code and which style rules of a page are used, until stop_coverage. Code of the load: navigate_page afterwards',
  input: z.object({}),
  output: z.object({ recording: z.boolean() }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler(_args, { page, signal }) {
    await page.coverage.start(signal);
    return {
      text: 'Recording coverage. Act on the page, then call stop_coverage.',
      structured: { recording: true },
    };
  },
});

const lineRange = z.string().describe('Such as 3-9');

const coverageRow = z.object({
  file: z.string(),
  kind: z.enum(['script', 'style']),
  /** For an original file: the script or style sheet that was built from it. */
  from: z.string().optional(),
  usedLines: z.int(),
  lines: z.int(),
  used: z.array(lineRange),
  unused: z.array(lineRange),
});

type CoverageRow = z.infer<typeof coverageRow>;

const rowsPerPage = 50;
/** Ranges of lines in the text of one row. */
const maxRanges = 12;
const maxStructuredRanges = 200;

const stopCoverageTool = definePageTool({
  name: 'stop_coverage',
  title: 'Stop coverage',
  group: 'audit',
  description:
    'Stop recording; which lines of each original file ran, and which style rules were applied, since start_coverage',
  input: z.object({
    text: z.string().optional().describe('Text in the name, also of libraries'),
    page: z.int().min(1).optional().describe('Page'),
  }),
  output: z.object({
    files: z.array(coverageRow),
    libraries: z.int(),
    total: z.int(),
    page: z.int(),
    pages: z.int(),
  }),
  annotations: { readOnlyHint: false },
  async handler({ text, page: wantedPage = 1 }, { browser, page, signal }) {
    const recorded = await page.coverage.stop(signal);
    const rows = [
      ...(await scriptRows({ browser, page }, recorded, signal)),
      ...(await styleRows({ browser, page }, recorded.sheets, signal)),
    ];
    const isLibrary = ({ file }: CoverageRow): boolean => /(?:^|\/)node_modules\//.test(file);
    const wanted = rows.filter((row) =>
      text === undefined ? !isLibrary(row) : row.file.toLowerCase().includes(text.toLowerCase()),
    );
    const libraries = text === undefined ? rows.filter(isLibrary).length : 0;
    // What ran comes first.
    const sorted = wanted.toSorted((a, b) => b.usedLines - a.usedLines);
    const pages = Math.max(1, Math.ceil(sorted.length / rowsPerPage));
    const shown = sorted.slice((wantedPage - 1) * rowsPerPage, wantedPage * rowsPerPage);
    const lines = shown.map(rowText);
    if (lines.length === 0) lines.push('No code and no style rules of the page are known.');
    if (libraries > 0) lines.push(`${count(libraries, 'file')} of libraries are left out.`);
    if (pages > 1) lines.push(`Page ${wantedPage} of ${pages} (${sorted.length} in all).`);
    return {
      text: lines.join('\n'),
      structured: { files: shown, libraries, total: sorted.length, page: wantedPage, pages },
    };
  },
});

function rowText({ file, kind, from, usedLines, lines, used, unused }: CoverageRow): string {
  const [verb, negated] = kind === 'script' ? ['ran', 'did not run'] : ['applied', 'not applied'];
  const origin = from === undefined ? '' : ` (${from})`;
  const share = `${file}${origin}: ${usedLines} of ${count(lines, 'line')} ${verb}`;
  if (usedLines === 0 || usedLines === lines) return share;
  const [name, ranges] = usedLines <= lines / 2 ? [verb, used] : [negated, unused];
  const more = ranges.length > maxRanges ? `, and ${ranges.length - maxRanges} more` : '';
  return `${share}; ${name}: ${ranges.slice(0, maxRanges).join(', ')}${more}`;
}

interface Where {
  readonly browser: SessionBrowser;
  readonly page: SessionPage;
}

async function scriptRows(
  { browser, page }: Where,
  { scripts: recorded }: RecordedCoverage,
  signal: AbortSignal,
): Promise<CoverageRow[]> {
  const used = new Map<string, [number, number][]>();
  const live = page.scripts.list().filter((script) => page.scripts.isLive(script));
  for (const { scriptId, url, used: ranges } of recorded) {
    const script = live.findLast((each) => each.scriptId === scriptId && each.url === url);
    const of = used.get(script?.hash ?? '') ?? [];
    for (const [from, to] of ranges) of.push([from, to]);
    used.set(script?.hash ?? '', of);
  }
  const rows: CoverageRow[] = [];
  // One after the other: each text is held as a whole.
  for (const script of await sourceScripts(browser, { page }, signal)) {
    const parts = script.inline ?? [script];
    const read = await textInPlace(parts, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (read === undefined) continue;
    const moved = parts.flatMap(({ hash }, index) => {
      const offset = read.offsets[index] ?? 0;
      return (used.get(hash) ?? []).map(([from, to]): [number, number] => [from + offset, to + offset]);
    });
    const ranges = joinedRanges(moved);
    rows.push(...(await coveredRows(browser, { ...script, kind: 'script' }, { text: read.text, ranges }, signal)));
  }
  return rows;
}

async function styleRows(
  { browser, page }: Where,
  sheets: readonly SheetCoverage[],
  signal: AbortSignal,
): Promise<CoverageRow[]> {
  const rows: CoverageRow[] = [];
  const { mainId } = page.frames;
  for (const { header, text, used } of sheets) {
    const url = header.sourceURL || page.url();
    // Of the browser and of extensions.
    if (header.origin !== 'regular' || text.trim() === '') continue;
    const sheet: MappedScript = {
      ...{ url, sourceMapUrl: header.sourceMapURL ?? '', start: { line: 0, column: 0 }, end: endOf(text) },
      hash: createHash('sha256').update(text).digest('hex'),
      frame: { targetId: mainId, frameId: mainId },
    };
    const map = await browser.sources.open(sheet, signal);
    const name = `${shortSourceName(url, page.url())}${header.isInline ? ' <style>' : ''}`;
    rows.push(...(await coveredRows(browser, { name, map, kind: 'style' }, { text, ranges: used }, signal)));
  }
  return rows;
}

async function coveredRows(
  browser: SessionBrowser,
  { name, map, kind }: { name: string; map: OpenMap | undefined; kind: 'script' | 'style' },
  { text, ranges }: { text: string; ranges: UsedRanges },
  signal: AbortSignal,
): Promise<CoverageRow[]> {
  const opened = map === undefined || 'problem' in map ? undefined : map;
  const covered = await browser.sources.reader.call('coverage', { key: opened?.key, text, used: ranges }, signal);
  return covered.map((lines) => rowOf(lines, { name, kind, original: opened?.files[lines.source ?? -1]?.name }));
}

function rowOf(
  { used, unused, usedLines, lines }: CoveredLines,
  { name, kind, original }: { name: string; kind: 'script' | 'style'; original: string | undefined },
): CoverageRow {
  const texts = (ranges: CoveredLines['used']): string[] =>
    ranges.slice(0, maxStructuredRanges).map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`));
  return {
    file: original ?? name,
    kind,
    ...(original !== undefined && { from: name }),
    ...{ usedLines, lines, used: texts(used), unused: texts(unused) },
  };
}

export const coverageTools: readonly Tool[] = [startCoverageTool, stopCoverageTool];
