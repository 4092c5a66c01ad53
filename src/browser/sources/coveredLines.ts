/** Ranges of a text that ran or were applied: start, and end (exclusive). Sorted, without overlaps. */
export type UsedRanges = readonly (readonly [number, number])[];

/** Lines of one file, as ranges from 1; lines without code are in no range and do not connect ranges. */
export interface CoveredLines {
  /** Index of the original file; undefined for the text itself. */
  readonly source: number | undefined;
  readonly used: readonly (readonly [number, number])[];
  readonly unused: readonly (readonly [number, number])[];
  readonly usedLines: number;
  readonly lines: number;
}

/** A place in the text and the line of the original file that it was made from. */
export interface MappedLine {
  readonly at: { readonly line: number; readonly column: number };
  readonly source: number;
  /** From 0. */
  readonly line: number;
}

/** Of each original file: the lines of which a part was used. */
export function coveredOriginals(text: string, used: UsedRanges, mapped: Iterable<MappedLine>): CoveredLines[] {
  const starts = lineStarts(text);
  const files = new Map<number, Map<number, boolean>>();
  for (const { at, source, line } of mapped) {
    const lines = files.get(source) ?? new Map<number, boolean>();
    files.set(source, lines);
    const offset = (starts[at.line] ?? text.length) + at.column;
    lines.set(line, (lines.get(line) ?? false) || touches(used, offset, offset + 1));
  }
  return [...files].map(([source, lines]) => summaryOf(source, lines));
}

/** Lines without code: blank ones, comments, closing brackets, at-rules that only enclose others. */
const noCode = /^(?:[)\]};,]*|\/\/.*|\/?\*.*|@.*\{)$/;

/** Of a text without a source map. */
export function coveredText(text: string, used: UsedRanges): CoveredLines {
  const lines = new Map<number, boolean>();
  let start = 0;
  for (const [index, line] of text.split('\n').entries()) {
    const first = line.search(/\S/);
    // A long line is of minified code.
    const isCode = first !== -1 && (line.length > 500 || !noCode.test(line.trim()));
    if (isCode) lines.set(index, touches(used, start + first, start + line.length));
    start += line.length + 1;
  }
  return summaryOf(undefined, lines);
}

/** The union of several lists of ranges. */
export function joinedRanges(ranges: readonly (readonly [number, number])[]): UsedRanges {
  const joined: [number, number][] = [];
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else if (to > from) joined.push([from, to]);
  }
  return joined;
}

/** Whether one of the ranges has a part between two offsets. */
function touches(used: UsedRanges, from: number, to: number): boolean {
  let [low, high] = [0, used.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((used[middle]?.[1] ?? 0) > from) high = middle;
    else low = middle + 1;
  }
  return (used[low]?.[0] ?? Number.POSITIVE_INFINITY) < to;
}

/** The offsets at which the lines of a text begin. */
export function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

function summaryOf(source: number | undefined, lines: ReadonlyMap<number, boolean>): CoveredLines {
  const ranges: { readonly used: boolean; from: number; to: number }[] = [];
  let usedLines = 0;
  for (const [line, used] of [...lines].sort(([a], [b]) => a - b)) {
    if (used) usedLines += 1;
    const last = ranges.at(-1);
    if (last?.used === used) last.to = line + 1;
    else ranges.push({ used, from: line + 1, to: line + 1 });
  }
  const of = (wanted: boolean): [number, number][] =>
    ranges.filter(({ used }) => used === wanted).map(({ from, to }) => [from, to]);
  return { source, used: of(true), unused: of(false), usedLines, lines: lines.size };
}
