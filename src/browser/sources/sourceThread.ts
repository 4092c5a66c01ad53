import { parentPort } from 'node:worker_threads';
import { messageOf } from '../../errors/errors.js';
import { namesAround } from '../debugger/breakpointConditions.js';
import {
  MapReader,
  type DeclaredPosition,
  type MappedFile,
  type OriginalPosition,
  type Position,
  type ScriptEnd,
} from './mapReader.js';
import { SourceMapProblem } from './sourceNames.js';
import { coveredOriginals, coveredText, lineStarts, type CoveredLines, type UsedRanges } from './coveredLines.js';
import { searchText, type TextMatch, type TextQuery } from './textSearch.js';

/** The operations of the thread, by name. Each takes one argument that can be cloned. */
export interface SourceOperations {
  /** Reads a map, which stays until `drop`. */
  load(map: { key: string; json: string; mapUrl: string; script: ScriptEnd }): readonly MappedFile[];
  drop(map: { key: string }): void;
  /** For each position the original one, undefined where the script has code of its own, or a problem. */
  originals(places: {
    key: string;
    positions: readonly Position[];
  }): readonly (OriginalPosition | string | undefined)[];
  generated(place: {
    key: string;
    source: number;
    line: number;
    column: number | undefined;
  }): ReturnType<MapReader['generatedOf']>;
  names(part: { key: string; from: Position; to: Position }): ReturnType<MapReader['namesBetween']>;
  /** The names that the code at a place can use, where the map has their original ones; of the innermost scope first. */
  declared(place: { key: string; text: string; at: Position }): readonly DeclaredPosition[];
  text(file: { key: string; source: number }): string | undefined;
  /** In texts of maps, and in others. */
  search(search: {
    query: TextQuery;
    files: readonly { key: string; source: number }[];
  }): readonly (readonly TextMatch[])[];
  /** Of each original file of the map; of the text itself without one. */
  coverage(part: { key: string | undefined; text: string; used: UsedRanges }): readonly CoveredLines[];
  searchText(search: { query: TextQuery; text: string }): readonly TextMatch[];
  pdf(file: { bytes: Uint8Array }): Promise<PdfText>;
}

/** What is written in a PDF. */
export interface PdfText {
  readonly pages: number;
  /** Of its first pages, as far as the bounds go. */
  readonly lines: readonly (readonly string[])[];
}

export type SourceOperation = keyof SourceOperations;

export interface SourceRequest {
  readonly id: number;
  readonly operation: SourceOperation;
  readonly argument: never;
}

export type SourceResponse = { readonly id: number } & (
  | { readonly value: unknown }
  /** `isProblem`: of the map, and not of this program. */
  | { readonly error: string; readonly isProblem: boolean }
);

const maps = new Map<string, MapReader>();

function mapOf(key: string): MapReader {
  const map = maps.get(key);
  if (map === undefined) throw new Error(`The map ${key} is not loaded.`);
  return map;
}

function originalOrProblem(map: MapReader, position: Position): OriginalPosition | string | undefined {
  try {
    return map.originalOf(position);
  } catch (error) {
    if (error instanceof SourceMapProblem) return error.message;
    throw error;
  }
}

const operations: SourceOperations = {
  load({ key, json, mapUrl, script }) {
    const map = new MapReader(json, mapUrl, script);
    maps.set(key, map);
    return map.files;
  },
  drop: ({ key }) => void maps.delete(key),
  originals: ({ key, positions }) => positions.map((position) => originalOrProblem(mapOf(key), position)),
  generated: ({ key, source, line, column }) => mapOf(key).generatedOf(source, line, column),
  names: ({ key, from, to }) => mapOf(key).namesBetween(from, to),
  declared: ({ key, text, at }) => declaredAround(mapOf(key), text, at),
  text: ({ key, source }) => mapOf(key).text(source),
  search: ({ query, files }) => {
    const until = performance.now() + searchMs;
    return files.map(({ key, source }) =>
      performance.now() > until ? [] : searchText(mapOf(key).text(source) ?? '', query),
    );
  },
  coverage: ({ key, text, used }) =>
    key === undefined ? [coveredText(text, used)] : coveredOriginals(text, used, mapOf(key).mappedLines()),
  searchText: ({ query, text }) => searchText(text, query),
  pdf: ({ bytes }) => readPdf(bytes),
};

function declaredAround(map: MapReader, text: string, at: Position): DeclaredPosition[] {
  const starts = lineStarts(text);
  return namesAround(text, (starts[at.line] ?? text.length) + at.column).flatMap(({ name: code, offset }) => {
    const line = starts.findLastIndex((start) => start <= offset);
    const place = { line, column: offset - (starts[line] ?? 0) };
    const name = map.nameAt(place);
    return name === undefined ? [] : [{ ...place, code, name }];
  });
}

const maxPdfChars = 500_000;
const maxPdfPages = 500;

/** A PDF comes from a page and may be malformed: one that cannot be read throws a SourceMapProblem. */
async function readPdf(bytes: Uint8Array): Promise<PdfText> {
  // Loaded with the first PDF.
  const { getDocumentProxy } = await import('unpdf');
  const document = await getDocumentProxy(bytes, { verbosity: 0, isEvalSupported: false, stopAtErrors: false }).catch(
    (error: unknown) => {
      const isLocked = error instanceof Error && error.name === 'PasswordException';
      throw new SourceMapProblem(isLocked ? 'cannot be read without its password' : 'is not a PDF that can be read');
    },
  );
  const lines: string[][] = [];
  let chars = 0;
  while (lines.length < Math.min(document.numPages, maxPdfPages) && chars < maxPdfChars) {
    const { items } = await (await document.getPage(lines.length + 1)).getTextContent();
    const text = items.map((item) => ('str' in item ? `${item.str}${item.hasEOL ? '\n' : ''}` : '')).join('');
    lines.push(text.split('\n').filter((line) => line.trim() !== ''));
    chars += text.length;
  }
  return { pages: document.numPages, lines };
}

/** Time for the texts of one search together; the remaining ones are not searched. */
const searchMs = 8_000;

parentPort?.on('message', (request: SourceRequest) => void respond(request));

async function respond({ id, operation, argument }: SourceRequest): Promise<void> {
  let response: SourceResponse;
  try {
    response = { id, value: await operations[operation](argument) };
  } catch (error) {
    response = { id, error: messageOf(error), isProblem: error instanceof SourceMapProblem };
  }
  parentPort?.postMessage(response);
}
