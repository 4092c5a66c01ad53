import type { Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import type { Position } from '../sources/mapReader.js';
import type { LoadingFrame } from '../sources/sourceLoader.js';
import type { MappedScript, SourceMaps } from '../sources/sourceMaps.js';
import { namesSource } from '../sources/sourceNames.js';
import { addressPattern, type Breakpoint } from './breakpoints.js';
import type { CodePlace, SourcePlace } from './pause.js';

/** A place in generated code to stop at. `column` is undefined for the first statement of the line. */
export interface StopPlace {
  /** The addresses, as a regular expression. */
  readonly urlRegex: string;
  readonly line: number;
  readonly column: number | undefined;
}

type ParsedScript = Protocol.Debugger.ScriptParsedEvent;

/** A map that is slower does not delay an answer: the generated place stands alone. */
const originalMs = 1_500;

const auxDataSchema = z.object({ frameId: z.string().optional() });

/** Original places of code that is debugged, and the other way round, from the source maps of the session. */
export class SourcePlaces {
  readonly #sources: SourceMaps;

  constructor(sources: SourceMaps) {
    this.#sources = sources;
  }

  /** Undefined where no map has it. In the order of `places`; never rejects. */
  async originals(
    script: MappedScript | undefined,
    places: readonly CodePlace[],
  ): Promise<(SourcePlace | undefined)[]> {
    if (script === undefined || script.sourceMapUrl === '') return places.map(() => undefined);
    try {
      const found = await this.#sources.originals(script, places, timeLimit(originalMs));
      return found.map((placed) => {
        if (placed === undefined || 'problem' in placed) return undefined;
        const { file, line, column, name } = placed;
        return { url: file, line, column, name };
      });
    } catch {
      return places.map(() => undefined);
    }
  }

  /** Where a line breakpoint of an original file is in a script; none if it is no file of its map. Never rejects. */
  async generated(script: MappedScript, { trigger }: Breakpoint, signal: AbortSignal): Promise<StopPlace[]> {
    if (trigger.on !== 'line') return [];
    try {
      const map = await this.#sources.open(script, signal);
      if (map === undefined || 'problem' in map) return [];
      const isNamed = trigger.file.includes('*')
        ? ({ name }: { name: string }) => new RegExp(addressPattern(trigger.file)).test(name)
        : ({ url, name }: { url: string; name: string }) => namesSource(trigger.file, url, name);
      const source = map.files.findIndex(isNamed);
      if (source === -1) return [];
      const found = await this.#sources.generated(script, { source, line: trigger.line }, signal);
      const urlRegex = `^${script.url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
      return (found?.places ?? []).map(({ line, column }) => ({ urlRegex, line: line + 1, column: column + 1 }));
    } catch {
      return [];
    }
  }

  /** The original names of the identifiers in a part of a script, by those that stand there. Never rejects. */
  async names(
    script: MappedScript | undefined,
    { startLocation: start, endLocation: end }: Protocol.Debugger.Scope,
    readText: () => Promise<string>,
  ): Promise<ReadonlyMap<string, string>> {
    const names = new Map<string, string>();
    if (script === undefined || script.sourceMapUrl === '' || start === undefined || end === undefined) return names;
    try {
      const part = { from: positionOf(start), to: positionOf(end) };
      const found = await this.#sources.names(script, part, timeLimit(originalMs));
      const lines = found.length === 0 ? [] : (await readText()).split('\n');
      for (const { line, column, name } of found) {
        const [short] = identifier.exec(lines[line]?.slice(column, column + maxIdentifier) ?? '') ?? [];
        // Where it is declared comes first.
        if (short !== undefined && !names.has(short)) names.set(short, name);
      }
    } catch {
      // Without a map that can be read, the names of the code stand alone.
    }
    return names;
  }

  /** The original name of the function of a frame, or the one that the code has. Never rejects. */
  async functionName(
    script: MappedScript | undefined,
    { functionName, functionLocation: end }: Protocol.Debugger.CallFrame,
    readText: () => Promise<string>,
  ): Promise<string> {
    if (end === undefined || functionName === '') return functionName;
    const { lineNumber, columnNumber = 0 } = end;
    const startLocation = { ...end, lineNumber, columnNumber: Math.max(0, columnNumber - maxIdentifier) };
    const endLocation = { ...end, columnNumber: columnNumber + 1 };
    const scope = { type: 'local', object: { type: 'object' }, startLocation, endLocation } as const;
    return (await this.names(script, scope, readText)).get(functionName) ?? functionName;
  }

  /** A line of an original file. Undefined where its text is not to be had. */
  async line(script: MappedScript, { url, line }: SourcePlace): Promise<string | undefined> {
    try {
      const limit = timeLimit(originalMs);
      const map = await this.#sources.open(script, limit);
      if (map === undefined || 'problem' in map) return undefined;
      const text = await this.#sources.text(
        script,
        map.files.findIndex(({ name }) => name === url),
        limit,
      );
      return text.split('\n', line).at(-1);
    } catch {
      return undefined;
    }
  }
}

const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*/u;
const maxIdentifier = 100;

const positionOf = ({ lineNumber, columnNumber = 0 }: Protocol.Debugger.Location): Position => ({
  line: lineNumber,
  column: columnNumber,
});

/** A script as its source map needs it. `frame` is that of the page or frame that runs it. */
export function mappedScript(event: ParsedScript, frame: LoadingFrame | undefined): MappedScript {
  const { url, hash, startLine, startColumn, endLine, endColumn, sourceMapURL = '' } = event;
  const line = endLine - startLine;
  const { frameId } = auxDataSchema.safeParse(event.executionContextAuxData).data ?? {};
  return {
    ...{ url, hash, sourceMapUrl: sourceMapURL },
    start: { line: startLine, column: startColumn },
    end: { line, column: line === 0 ? endColumn - startColumn : endColumn },
    frame: frame && { ...frame, ...(frameId !== undefined && { frameId }) },
  };
}
