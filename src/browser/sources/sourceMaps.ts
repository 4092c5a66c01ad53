import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { CDPSession } from 'puppeteer-core';
import { Lock, noop, untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import type { SessionPage } from '../page/sessionPage.js';
import type { DeclaredPosition, MappedFile, NamedPosition, Position } from './mapReader.js';
import { SourceMapProblem } from './sourceNames.js';
import type { Script } from './scriptRegistry.js';
import { loadBytes, type LoadedFrom, type LoadingFrame } from './sourceLoader.js';
import { SourceReader } from './sourceReader.js';

/** A script whose source map is needed. */
export interface MappedScript {
  readonly url: string;
  /** As the script names it; empty if it names none. */
  readonly sourceMapUrl: string;
  /** Distinguishes versions of the script. */
  readonly hash: string;
  /** Where an inline script begins in its document, from 0. */
  readonly start: Position;
  /** Where it ends, without `start`. */
  readonly end: Position | undefined;
  readonly frame: LoadingFrame | undefined;
}

/** A source map that was read, or why it was not. */
export type OpenMap =
  | { readonly key: string; readonly files: readonly MappedFile[] }
  /** The end of the sentence `Its source map …`. */
  | { readonly problem: string };

/** Counts from 1. */
export interface OriginalPlace {
  /** A short name: `src/app.ts`. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The identifier there, if the map has it. */
  readonly name: string | undefined;
}

/** The original place, why there is none though a map is named, or neither. */
export type Placed = OriginalPlace | { readonly problem: string } | undefined;

const maxFileBytes = 64 * 1024 ** 2;
/** Of the maps that a session has open. */
const maxOpenBytes = 96 * 1024 ** 2;
const maxMaps = 1_000;
/** Files that are loaded at once: a host has few connections, and the page needs them too. */
const maxLoads = 4;
/** For one map, from its request to its last byte. */
const loadMs = 10_000;
/** With the time that it waits for others. */
const waitMs = 30_000;
/** A map that failed is loaded again after this. */
const failedMs = 15_000;

interface Entry {
  readonly map: Promise<OpenMap>;
  bytes: number;
}

/**
 * The source maps of one session: loaded when they are first wanted, kept within bounds, read in a thread. Whatever a map
 * does (huge, slow, broken, of another build), an answer comes, with the reason. Owned by the session's browser, which
 * closes it.
 */
export class SourceMaps {
  readonly reader: SourceReader;
  readonly #from: LoadedFrom;
  readonly #maps: LRUCache<string, Entry>;
  readonly #loads = Array.from({ length: maxLoads }, () => new Lock());
  #nextLoad = 0;

  constructor(from: LoadedFrom) {
    this.#from = from;
    this.#maps = new LRUCache<string, Entry>({
      max: maxMaps,
      dispose: ({ map }, _key, reason) => {
        if (reason !== 'set') void map.then((open) => this.#drop(open));
      },
    });
    this.reader = new SourceReader(() => this.#maps.clear());
  }

  /** The map of a script. Never rejects but with the signal's reason. */
  async open(script: MappedScript, signal: AbortSignal): Promise<OpenMap | undefined> {
    if (script.sourceMapUrl === '') return undefined;
    const mapUrl = absolute(script.sourceMapUrl, script.url);
    const key = `${script.hash} ${mapUrl.length > 2_000 ? '' : mapUrl} ${script.url}`;
    const entry = this.#maps.get(key) ?? this.#load(key, mapUrl, script);
    return untilAborted(entry.map, signal);
  }

  /** The original places of places in one script, which count from 1. */
  async originals(
    script: MappedScript,
    places: readonly { readonly line: number; readonly column: number }[],
    signal: AbortSignal,
  ): Promise<Placed[]> {
    const map = await this.open(script, signal);
    if (map === undefined) return places.map(() => undefined);
    if ('problem' in map) return places.map(() => map);
    const { key, files } = map;
    const positions = places.map((place) => withinScript(place, script.start));
    try {
      const found = await this.reader.call('originals', { key, positions }, signal);
      return found.map((position) => {
        if (position === undefined) return undefined;
        if (typeof position === 'string') return { problem: position };
        const { source, line, column, name } = position;
        return { file: files[source]?.name ?? '', line: line + 1, column: column + 1, name };
      });
    } catch (error) {
      signal.throwIfAborted();
      return places.map(() => ({ problem: problemOf(error) }));
    }
  }

  /**
   * Where a line of an original file, or what it has at a column, is in the script; or the next line that has code. Lines
   * and columns count from 1, also in the answer; places are as CDP counts them, from 0 in the document.
   */
  async generated(
    script: MappedScript,
    { source, line, column }: { readonly source: number; readonly line: number; readonly column: number | undefined },
    signal: AbortSignal,
  ): Promise<{ readonly line: number; readonly places: readonly Position[] } | undefined> {
    const map = await this.open(script, signal);
    if (map === undefined || 'problem' in map) return undefined;
    const wanted = { key: map.key, source, line: line - 1, column: column && column - 1 };
    const found = await this.reader.call('generated', wanted, signal);
    return found && { line: found.line + 1, places: found.places.map((place) => withinDocument(place, script.start)) };
  }

  /** The original identifiers of a part of the script. Places count from 0, `part` in the document, the others in the script. */
  async names(
    script: MappedScript,
    part: { readonly from: Position; readonly to: Position },
    signal: AbortSignal,
  ): Promise<readonly NamedPosition[]> {
    const map = await this.open(script, signal);
    if (map === undefined || 'problem' in map) return [];
    const [from, to] = [part.from, part.to].map(({ line, column }) =>
      withinScript({ line: line + 1, column: column + 1 }, script.start),
    );
    return from && to ? this.reader.call('names', { key: map.key, from, to }, signal) : [];
  }

  /**
   * The names that the code at a place can use, where the map has their original ones; of the innermost scope first.
   * Places count from 0, in the document.
   */
  async declared(
    script: MappedScript,
    { text, at }: { readonly text: string; readonly at: Position },
    signal: AbortSignal,
  ): Promise<readonly DeclaredPosition[]> {
    const map = await this.open(script, signal);
    if (map === undefined || 'problem' in map) return [];
    const inner = withinScript({ line: at.line + 1, column: at.column + 1 }, script.start);
    const found = await this.reader.call('declared', { key: map.key, text, at: inner }, signal);
    return found.map((each) => ({ ...each, ...withinDocument(each, script.start) }));
  }

  /** The text of an original file: from the map, or from its address. Throws a SourceMapProblem. */
  async text(script: MappedScript, source: number, signal: AbortSignal): Promise<string> {
    const map = await this.open(script, signal);
    if (map === undefined) throw new SourceMapProblem('is not named by the script');
    if ('problem' in map) throw new SourceMapProblem(map.problem);
    const text = await this.reader.call('text', { key: map.key, source }, signal);
    return text ?? (await this.loadText(map.files[source]?.url ?? '', script.frame, signal));
  }

  /** The text of a file at an address. Throws a SourceMapProblem. */
  async loadText(url: string, frame: LoadingFrame | undefined, signal: AbortSignal): Promise<string> {
    return (await this.loadBytes(url, frame, signal)).toString('utf8');
  }

  /** A file at an address. Throws a SourceMapProblem. */
  loadBytes(url: string, frame: LoadingFrame | undefined, signal: AbortSignal): Promise<Buffer> {
    const load = (): Promise<Buffer> => {
      const limit = AbortSignal.any([signal, timeLimit(loadMs)]);
      return loadBytes(this.#from, url, { frame, maxBytes: maxFileBytes, signal: limit });
    };
    const lock = this.#loads[(this.#nextLoad += 1) % maxLoads];
    return url.startsWith('data:') || lock === undefined ? load() : lock.run(signal, load);
  }

  /** A script of an extension by its file, so that also a service worker that sleeps has one. Throws a SourceMapProblem. */
  async extensionScript(url: string, signal: AbortSignal): Promise<MappedScript & { readonly text: string }> {
    const text = await this.loadText(withoutFragment(url), undefined, signal);
    return {
      ...{ url, text, frame: undefined, start: { line: 0, column: 0 } },
      sourceMapUrl: mapUrlIn(text),
      hash: createHash('sha256').update(text).digest('hex'),
      end: endOf(text),
    };
  }

  /** Ends the thread. Idempotent. */
  close(): void {
    this.reader.close();
  }

  #load(key: string, mapUrl: string, script: MappedScript): Entry {
    const entry: Entry = { map: Promise.resolve({ problem: '' }), bytes: 0 };
    const map = this.#read(key, mapUrl, script, entry).catch((error: unknown): OpenMap => {
      // Its server may run again, or its file be there.
      if ([entry, undefined].includes(this.#maps.peek(key))) this.#maps.set(key, entry, { ttl: failedMs });
      return { problem: problemOf(error) };
    });
    Object.assign(entry, { map });
    this.#maps.set(key, entry);
    return entry;
  }

  async #read(key: string, mapUrl: string, script: MappedScript, entry: Entry): Promise<OpenMap> {
    const json = await this.loadText(mapUrl, script.frame, timeLimit(waitMs));
    entry.bytes = json.length;
    this.#makeRoom(entry);
    const base = mapUrl.startsWith('data:') ? script.url : mapUrl;
    const files = await this.reader.call('load', {
      ...{ key, json, mapUrl: base },
      script: { scriptUrl: script.url, end: script.end },
    });
    return { key, files };
  }

  #makeRoom(newest: Entry): void {
    let bytes = 0;
    // The most recently used first.
    for (const [key, entry] of [...this.#maps.entries()]) {
      bytes += entry.bytes;
      if (bytes > maxOpenBytes && entry !== newest) this.#maps.delete(key);
    }
  }

  #drop(map: OpenMap): void {
    if ('key' in map && this.reader.isRunning) void this.reader.call('drop', { key: map.key }).catch(noop);
  }
}

/** Of a script that a page has parsed. */
export async function mappedScriptOf(page: SessionPage, script: Script): Promise<MappedScript> {
  const { startLine, startColumn, endLine, endColumn } = script;
  const line = endLine - startLine;
  return {
    // A script that a page writes has no address of its own.
    url: script.url === '' ? page.url() : script.url,
    sourceMapUrl: script.sourceMapUrl,
    hash: script.hash,
    start: { line: startLine, column: startColumn },
    end: { line, column: line === 0 ? endColumn - startColumn : endColumn },
    frame: await loadingFrameOf(page, script),
  };
}

/** The frame of the script, if it still exists; otherwise the page. Workers load through the page. */
async function loadingFrameOf(page: SessionPage, { kind, session, frameId }: Script): Promise<LoadingFrame> {
  const { mainId } = page.frames;
  const own = { targetId: mainId, frameId: mainId };
  if (frameId === undefined || !page.hasFrame(frameId)) return own;
  if (kind === 'page') return { targetId: mainId, frameId };
  const targetId = await targetOf(session);
  return targetId === undefined ? own : { targetId, frameId };
}

async function targetOf(session: CDPSession): Promise<string | undefined> {
  return session.send('Target.getTargetInfo').then(
    ({ targetInfo }) => targetInfo.targetId,
    () => undefined,
  );
}

/** `//# sourceMappingURL=app.js.map`, the last one. */
function mapUrlIn(text: string): string {
  const at = Math.max(text.lastIndexOf('//# sourceMappingURL='), text.lastIndexOf('//@ sourceMappingURL='));
  if (at === -1) return '';
  const newline = text.indexOf('\n', at);
  return text.slice(text.indexOf('=', at) + 1, newline === -1 ? undefined : newline).trim();
}

export function endOf(text: string): Position {
  const last = text.lastIndexOf('\n');
  let line = 0;
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) line += 1;
  return { line, column: text.length - last - 1 };
}

const withoutFragment = (url: string): string => url.split(/[?#]/, 1)[0] ?? url;

function absolute(url: string, base: string): string {
  if (url.startsWith('data:')) return url;
  return URL.canParse(url, base) ? new URL(url, base).href : url;
}

/** From 0; `place` counts from 1, in an inline script from the beginning of the document. */
function withinScript({ line, column }: { line: number; column: number }, start: Position): Position {
  const inner = line - 1 - start.line;
  return { line: inner, column: column - 1 - (inner === 0 ? start.column : 0) };
}

function withinDocument({ line, column }: Position, start: Position): Position {
  return { line: line + start.line, column: column + (line === 0 ? start.column : 0) };
}

function problemOf(error: unknown): string {
  if (error instanceof SourceMapProblem) return error.message;
  return error instanceof Error && error.name === 'TimeoutError'
    ? `did not arrive within ${loadMs / 1_000} s`
    : 'could not be loaded';
}
