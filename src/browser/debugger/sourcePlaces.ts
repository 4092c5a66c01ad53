import type { Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { compileRegex } from '../patterns/regex.js';
import type { MappedFile, NamedPosition, Position } from '../sources/mapReader.js';
import type { LoadingFrame } from '../sources/sourceLoader.js';
import type { MappedScript, SourceMaps } from '../sources/sourceMaps.js';
import { bestNamed, isCompiledName, isResemblance } from '../sources/sourceNames.js';
import { escapeRegex, pathPattern, type Breakpoint } from './breakpoints.js';
import { inCodeOf, type Expressions } from './breakpointConditions.js';
import type { CodePlace, SourcePlace } from './pause.js';

/** A place in generated code to stop at. `column` is undefined for the first statement of the line. */
export interface StopPlace {
  /** The addresses, as a regular expression. */
  readonly urlRegex: string;
  readonly line: number;
  readonly column: number | undefined;
  /** Those of the breakpoint, where the code there has other names for their variables. */
  readonly expressions?: Expressions | undefined;
}

type ParsedScript = Protocol.Debugger.ScriptParsedEvent;

/** A script, and how its text is read. Rejects for one that is too long. */
export interface ReadableScript {
  readonly script: MappedScript;
  readonly readText: () => Promise<string>;
}

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

  /**
   * Where a line breakpoint of an original file is in a script: nowhere if nothing was made of the line, undefined if it
   * is no file of its map. Never rejects.
   */
  async generated(
    { script, readText }: ReadableScript,
    breakpoint: Breakpoint,
    signal: AbortSignal,
  ): Promise<LocatedPlace | undefined> {
    const { trigger } = breakpoint;
    if (trigger.on !== 'line' || isCompiledName(trigger.file)) return undefined;
    try {
      const map = await this.#sources.open(script, signal);
      if (map === undefined || 'problem' in map) return undefined;
      const { match, files } = filesNamed(trigger.file, map.files);
      const [file] = files;
      // The end of a path may be that of several; what an absolute one only resembles must be one.
      if (file === undefined || (files.length > 1 && isResemblance(match))) return undefined;
      const { line, column } = trigger;
      const found = await this.#sources.generated(script, { source: map.files.indexOf(file), line, column }, signal);
      const urlRegex = `^${escapeRegex(script.url)}$`;
      const places = (found?.places ?? []).map((at) => ({ urlRegex, line: at.line + 1, column: at.column + 1 }));
      const named = await this.#withExpressions(places, breakpoint, { script, readText, signal });
      return { url: script.url, match, places: named };
    } catch {
      return undefined;
    }
  }

  /** With the names of the code at each place in the expressions of a breakpoint. Never rejects. */
  async #withExpressions(
    places: readonly StopPlace[],
    { condition, log }: Breakpoint,
    { script, readText, signal }: ReadableScript & { readonly signal: AbortSignal },
  ): Promise<StopPlace[]> {
    const text = condition === undefined && log === undefined ? undefined : await readText().catch(() => undefined);
    if (text === undefined) return [...places];
    return Promise.all(
      places.map(async (place) => {
        const at = { line: place.line - 1, column: (place.column ?? 1) - 1 };
        const declared = await this.#sources.declared(script, { text, at }, signal).catch(() => []);
        const codeNames = new Map<string, string>();
        for (const { code, name } of declared) if (!codeNames.has(name)) codeNames.set(name, code);
        return { ...place, expressions: inCodeOf({ condition, log }, codeNames) };
      }),
    );
  }

  /** The original names of the variables of a scope, by those that they have in the code. Never rejects. */
  async names(
    script: MappedScript | undefined,
    { startLocation: start, endLocation: end }: Protocol.Debugger.Scope,
    readText: () => Promise<string>,
  ): Promise<ReadonlyMap<string, string>> {
    const names = new Map<string, string>();
    if (script === undefined || script.sourceMapUrl === '' || start === undefined || end === undefined) return names;
    const [from, to] = [positionOf(start), positionOf(end)];
    const at = { line: to.line, column: Math.max(0, to.column - 1) };
    try {
      const declared = await this.#sources.declared(script, { text: await readText(), at }, timeLimit(originalMs));
      // Of two scopes with one name, the outer one is that which ends there.
      for (const { code, name, ...place } of declared)
        if (!isBefore(place, from) && isBefore(place, to)) names.set(code, name);
    } catch {
      // The code keeps its own names.
    }
    return names;
  }

  /** The original name of the function of a frame, or the one that the code has. Never rejects. */
  async functionName(
    script: MappedScript | undefined,
    { functionName, functionLocation: end }: Protocol.Debugger.CallFrame,
    readText: () => Promise<string>,
  ): Promise<string> {
    if (end === undefined) return functionName;
    if (functionName === '') return this.#nameOfAnonymous(script, positionOf(end), readText);
    const { line, column } = positionOf(end);
    const part = { from: { line, column: Math.max(0, column - maxIdentifier) }, to: { line, column: column + 1 } };
    const { found, lines } = await this.#named(script, part, readText);
    const isOfFunction = (place: Position): boolean =>
      identifier.exec(lines[place.line]?.slice(place.column, place.column + maxIdentifier) ?? '')?.[0] === functionName;
    return found.find(isOfFunction)?.name ?? functionName;
  }

  /** A function that lost its name, as one that was put into its only call; empty where the original has none either. */
  async #nameOfAnonymous(
    script: MappedScript | undefined,
    at: Position,
    readText: () => Promise<string>,
  ): Promise<string> {
    const [original] = await this.originals(script, [{ url: '', line: at.line + 1, column: at.column + 1 }]);
    if (script === undefined || original === undefined) return '';
    const [line, text] = await Promise.all([this.line(script, original), readText().catch(() => '')]);
    const row = at.line - script.start.line;
    const before = text.split('\n', row + 1)[row]?.slice(0, at.column - (row === 0 ? script.start.column : 0)) ?? '';
    if (!/\bfunction[\s*]*$/.test(before.slice(-maxIdentifier))) return '';
    const written = (line ?? '').slice(original.column - 1, original.column + maxIdentifier);
    return namedFunction.exec(written)?.[1] ?? '';
  }

  /** The original identifiers of a part of a script, and its lines; none without a map that can be read. */
  async #named(
    script: MappedScript | undefined,
    part: { readonly from: Position; readonly to: Position },
    readText: () => Promise<string>,
  ): Promise<{ readonly found: readonly NamedPosition[]; readonly lines: readonly string[] }> {
    const nothing = { found: [], lines: [] };
    if (script === undefined || script.sourceMapUrl === '') return nothing;
    try {
      const found = await this.#sources.names(script, part, timeLimit(originalMs));
      return found.length === 0 ? nothing : { found, lines: (await readText()).split('\n') };
    } catch {
      return nothing;
    }
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

/** Where a breakpoint of an original file is in one script. */
export interface LocatedPlace {
  readonly url: string;
  /** How well the file of the breakpoint names the original one. */
  readonly match: number;
  readonly places: readonly StopPlace[];
}

/** Where the breakpoints of original files are, by the target of the code and their ids. */
export class LocatedPlaces {
  readonly #places = new WeakMap<object, Map<number, readonly LocatedPlace[]>>();

  /** In the files that it names best. Undefined where no script of the target was made of the file. */
  of(target: object, id: number): readonly StopPlace[] | undefined {
    const all = this.#places.get(target)?.get(id);
    const best = all?.reduce((most, { match }) => Math.max(most, match), 0);
    return all?.filter(({ match }) => match === best).flatMap(({ places }) => places);
  }

  /** Adds the places in one script, in place of those that it had. */
  add(target: object, id: number, found: LocatedPlace): void {
    const all = this.#places.get(target) ?? new Map<number, readonly LocatedPlace[]>();
    this.#places.set(target, all);
    const others = (all.get(id) ?? []).filter(({ url }) => url !== found.url);
    all.set(id, [...others, found]);
  }
}

type NamedFiles = ReturnType<typeof bestNamed<MappedFile>>;

/** The files of a map that a breakpoint is for. */
function filesNamed(file: string, files: readonly MappedFile[]): NamedFiles {
  if (!file.includes('*')) return bestNamed(file, files);
  const matches = compileRegex(`(^|/)${pathPattern(file)}$`, '');
  return { match: Number.POSITIVE_INFINITY, files: files.filter(({ name }) => matches(name)) };
}

const namedFunction = /^\s*(?:(?:export|default|async|function)\b[\s*]*)*([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*[(<]/u;
const identifier = /^[\p{ID_Start}$_][\p{ID_Continue}$]*/u;
const maxIdentifier = 100;

const isBefore = (one: Position, other: Position): boolean =>
  one.line < other.line || (one.line === other.line && one.column < other.column);

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
