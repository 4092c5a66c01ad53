import {
  AnyMap,
  decodedMappings,
  traceSegment,
  type SectionedSourceMapInput,
  type SourceMapSegment,
  type TraceMap,
} from '@jridgewell/trace-mapping';
import { z } from 'zod';
import type { MappedLine } from './coveredLines.js';
import { isOfBundler, shortSourceName, SourceMapProblem } from './sourceNames.js';

/** A position in a script as it runs, or in a file that it was made from. Line and column count from 0. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A position in an original file. */
export interface OriginalPosition extends Position {
  /** The file's index in the map. */
  readonly source: number;
  /** The identifier there, if the map has it. */
  readonly name: string | undefined;
}

/** A place in a script, and the original identifier there. */
export interface NamedPosition extends Position {
  readonly name: string;
}

/** A name of code where it is declared, and the original one. */
export interface DeclaredPosition extends NamedPosition {
  readonly code: string;
}

/** One original file of a map. */
export interface MappedFile {
  /** `src/app.ts`. */
  readonly name: string;
  /** Its full address. */
  readonly url: string;
  /** Lines of its text; undefined if the map does not contain it. */
  readonly lines: number | undefined;
  /** Whether the map marks it as code of others (`ignoreList`). */
  readonly isIgnored: boolean;
}

/** Where a script ends; an inline one begins at 0, too. */
export interface ScriptEnd {
  readonly scriptUrl: string;
  readonly end: Position | undefined;
}

/** Files of one map. */
const maxFiles = 20_000;
/** Lines without code that are skipped, from the requested line on. */
const maxLinesAhead = 50;
const maxPlaces = 50;
/** Names of one part of a script; a line may have more. */
const maxNames = 10_000;

const text = z.string().nullish().catch(null);
const plainMap = z.looseObject({
  version: z.unknown(),
  mappings: z.string(),
  sources: z.array(text).max(maxFiles),
  names: z.array(z.string()).catch([]),
  sourcesContent: z.array(text).nullish().catch(null),
  sourceRoot: text,
  ignoreList: z.array(z.number()).nullish().catch(null),
});
const sectionedMap = z.looseObject({
  version: z.unknown(),
  sections: z.array(z.looseObject({ offset: z.object({ line: z.int(), column: z.int() }), map: plainMap })).max(5_000),
});

/**
 * One source map (ECMA-426), also one in sections. Everything in it is the word of a page: what does not fit together is
 * refused with a SourceMapProblem.
 */
export class MapReader {
  readonly files: readonly MappedFile[];
  readonly #map: TraceMap;

  /** Throws a SourceMapProblem. */
  constructor(json: string, mapUrl: string, { scriptUrl, end }: ScriptEnd) {
    this.#map = parse(json, mapUrl);
    if (end !== undefined) requireWithin(this.#map, end);
    const ignored = new Set(this.#map.ignoreList ?? []);
    this.files = this.#map.resolvedSources.map((resolved, index) => ({
      ...nameOf(this.#map.sources[index] ?? null, resolved, scriptUrl),
      lines: countLines(this.#map.sourcesContent?.[index]),
      isIgnored: ignored.has(index),
    }));
  }

  /** Undefined where the script has code of its own. Throws a SourceMapProblem for a place that cannot be. */
  originalOf({ line, column }: Position): OriginalPosition | undefined {
    const segment = traceSegment(this.#map, line, column);
    if (segment === null || segment.length === 1) return undefined;
    const [, source, originalLine, originalColumn, nameIndex] = segment;
    const file = this.files[source];
    if (file === undefined) throw new SourceMapProblem('names a file that it does not list');
    if (originalLine < 0 || originalColumn < 0 || originalLine >= (file.lines ?? Number.POSITIVE_INFINITY)) {
      throw new SourceMapProblem(`names line ${originalLine + 1} of ${file.name}, which has ${file.lines ?? 0}`);
    }
    const name = nameIndex === undefined ? undefined : this.#map.names[nameIndex];
    return { source, line: originalLine, column: originalColumn, name };
  }

  /**
   * The places in the script that a line of an original file became, or the part of it that has a column; of the next
   * line that became one, if this did not. Code that was copied, as into several functions, has several.
   */
  generatedOf(
    source: number,
    line: number,
    column?: number,
  ): { readonly line: number; readonly places: readonly Position[] } | undefined {
    let found: { line: number; distance: number; places: Position[] } | undefined;
    for (const [segment, generatedLine] of this.#segments()) {
      if (segment.length === 1 || segment[1] !== source) continue;
      const [generatedColumn, , originalLine, originalColumn] = segment;
      if (originalLine < line || originalLine > line + maxLinesAhead) continue;
      const wanted = originalLine === line ? column : undefined;
      const distance = (originalLine - line) * farAway ** 2 + distanceOf(originalColumn, wanted);
      if (found === undefined || distance < found.distance) found = { line: originalLine, distance, places: [] };
      if (distance === found.distance && found.places.length < maxPlaces)
        found.places.push({ line: generatedLine, column: generatedColumn });
    }
    return found && { line: found.line, places: found.places };
  }

  /** The original identifier of what begins at a place. */
  nameAt({ line, column }: Position): string | undefined {
    const segment = traceSegment(this.#map, line, column);
    return segment?.length === 5 && segment[0] === column ? this.#map.names[segment[4]] : undefined;
  }

  /** The original identifiers of a part of the script, where the map tells them. */
  namesBetween(from: Position, to: Position): NamedPosition[] {
    const names: NamedPosition[] = [];
    const mappings = decodedMappings(this.#map);
    for (let line = from.line; line <= to.line && line < mappings.length && names.length < maxNames; line++) {
      for (const segment of mappings[line] ?? []) {
        const [column] = segment;
        const name = segment.length === 5 ? this.#map.names[segment[4]] : undefined;
        const isBefore = line === from.line && column < from.column;
        const isAfter = line === to.line && column >= to.column;
        if (name !== undefined && !isBefore && !isAfter) names.push({ line, column, name });
      }
    }
    return names;
  }

  /** Undefined if the map does not contain it. */
  text(source: number): string | undefined {
    return this.#map.sourcesContent?.[source] ?? undefined;
  }

  /** Every place in the script that was made from a file, in order. */
  *mappedLines(): Generator<MappedLine> {
    for (const [segment, line] of this.#segments()) {
      if (segment.length === 1 || this.files[segment[1]] === undefined) continue;
      yield { at: { line, column: segment[0] }, source: segment[1], line: segment[2] };
    }
  }

  *#segments(): Generator<[SourceMapSegment, number]> {
    for (const [line, segments] of decodedMappings(this.#map).entries())
      for (const segment of segments) yield [segment, line];
  }
}

const farAway = 2 ** 20;

/** What begins before a column and has it is nearer than what begins after it. */
function distanceOf(column: number, wanted = 0): number {
  return column <= wanted ? wanted - column : farAway + column;
}

function parse(json: string, mapUrl: string): TraceMap {
  let data: unknown;
  try {
    // A prefix that keeps the map from being run as a script.
    data = JSON.parse(json.replace(/^\)\]\}'?[^\n]*\n?/, ''));
  } catch {
    throw new SourceMapProblem('is no JSON');
  }
  const isSectioned = typeof data === 'object' && data !== null && 'sections' in data;
  const checked = (isSectioned ? sectionedMap : plainMap).safeParse(data);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    throw new SourceMapProblem(`is broken: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`.trim());
  }
  try {
    const map = new AnyMap(checked.data as SectionedSourceMapInput, mapUrl);
    decodedMappings(map);
    return map;
  } catch {
    throw new SourceMapProblem('is broken: its mappings cannot be read');
  }
}

/** A map that continues after the end of the script belongs to another build. */
function requireWithin(map: TraceMap, end: Position): void {
  const mappings = decodedMappings(map);
  const lastLine = mappings.findLastIndex((segments) => segments.length > 0);
  const lastColumn = mappings[lastLine]?.at(-1)?.[0] ?? 0;
  const isBeyond = lastLine > end.line || (lastLine === end.line && lastColumn > end.column);
  if (isBeyond) throw new SourceMapProblem('is of another build: it continues after the end of the script');
}

function nameOf(source: string | null, resolved: string, scriptUrl: string): Pick<MappedFile, 'url' | 'name'> {
  if (source === null || source === '') return { url: '', name: '(no name)' };
  // As it is written: resolved, `webpack://app/./src/a.ts` loses what tells the name of the build from a folder.
  const isWritten = /^[a-z]:[\\/]/i.test(source) || isOfBundler(source);
  const url = (isWritten ? source : resolved).replaceAll('\\', '/');
  return { url, name: shortSourceName(url, scriptUrl) };
}

function countLines(content: string | null | undefined): number | undefined {
  if (typeof content !== 'string') return undefined;
  let lines = 1;
  for (let at = content.indexOf('\n'); at !== -1; at = content.indexOf('\n', at + 1)) lines += 1;
  return lines;
}
