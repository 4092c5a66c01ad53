import { z } from 'zod';
import { untilAborted } from '../async.js';
import { timeLimit } from '../clock.js';
import { frameInText, type CodeLocation } from '../browser/collectors/consoleMessage.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import { mappedScriptOf, type MappedScript, type OriginalPlace, type Placed } from '../browser/sources/sourceMaps.js';

/** The original place beside a generated one, as data. */
export const originalOutput = z.object({
  file: z.string(),
  line: z.int(),
  column: z.int(),
  name: z.string().optional(),
});

/** How long an answer waits for source maps. Those that come later are in the next one. */
const waitMs = 3_000;
/** Places that one answer looks up. */
const maxPlaces = 2_000;
/** Lines of one text that are searched for stack frames. */
const maxTextLines = 200;

type Location = Pick<CodeLocation, 'url' | 'line' | 'column' | 'script'>;

/**
 * The original places of what one answer names. Where a source map is missing, broken or late, the generated place stays,
 * and `problems` says why.
 */
export class OriginalPlaces {
  readonly #placed = new Map<string, Placed>();
  readonly #problems = new Map<string, string>();

  /** Looks up all locations, and those of the stacks within texts. */
  static async find(
    { browser, page }: { readonly browser: SessionBrowser; readonly page?: SessionPage | undefined },
    {
      locations,
      texts = [],
    }: { readonly locations: Iterable<Location | undefined>; readonly texts?: Iterable<string> },
    signal: AbortSignal,
  ): Promise<OriginalPlaces> {
    const found = new OriginalPlaces();
    const wanted = [...locations, ...[...texts].flatMap(framesIn)].filter(isComplete).slice(0, maxPlaces);
    const limit = timeLimit(waitMs);
    const looking = AbortSignal.any([signal, limit]);
    await Promise.all(
      [...groupByScript(wanted)].map(async ([key, places]) => {
        const [first] = places;
        if (first === undefined) return;
        try {
          const script = await scriptOf(first, browser, page, looking);
          if (script === undefined) return;
          const originals = await browser.sources.originals(script, places, looking);
          for (const [index, place] of places.entries()) found.#add(place, originals[index]);
        } catch {
          signal.throwIfAborted();
          if (limit.aborted) found.#problems.set(key, `${fileName(first.url)}: its source map has not arrived yet`);
        }
      }),
    );
    return found;
  }

  /** Why places have no original one, a line each. */
  get problems(): string[] {
    return [...new Set(this.#problems.values())];
  }

  of(location: Location | undefined): OriginalPlace | undefined {
    const placed = location && this.#placed.get(keyOf(location));
    return placed === undefined || 'problem' in placed ? undefined : placed;
  }

  /** `src/app.ts:12:7, app.js:1:2345`, or the generated place alone as `inFull` writes it. */
  text(location: Location, inFull: string): string {
    const original = this.of(location);
    return original === undefined
      ? inFull
      : `${placeText(original)}, ${fileName(location.url)}:${location.line}:${location.column}`;
  }

  /** A text with the original places of the stacks in it. */
  inText(text: string): string {
    if (this.#placed.size === 0 || !text.includes('\n')) return text;
    return text
      .split('\n')
      .map((line) => {
        const frame = frameInText(line);
        const original = this.of(frame);
        return frame === undefined || original === undefined
          ? line
          : line.replace(`${frame.url}:${frame.line}:${frame.column}`, () => placeText(original));
      })
      .join('\n');
  }

  /** For structured answers: nothing, or `{ original }`. */
  field(location: Location | undefined): { original?: z.input<typeof originalOutput> } {
    const original = this.of(location);
    if (original === undefined) return {};
    const { name, ...place } = original;
    return { original: { ...place, ...(name !== undefined && { name }) } };
  }

  #add(place: Location, placed: Placed): void {
    this.#placed.set(keyOf(place), placed);
    if (placed !== undefined && 'problem' in placed)
      this.#problems.set(place.url, `${fileName(place.url)}: its source map ${placed.problem}`);
  }
}

export const placeText = ({ file, line, column }: Pick<OriginalPlace, 'file' | 'line' | 'column'>): string =>
  `${file}:${line}:${column}`;

/** The last part of an address: `app.js`. */
export function fileName(url: string): string {
  const path = url === '' || url.startsWith('data:') ? '(inline)' : (url.split(/[?#]/, 1)[0] ?? url);
  return path.slice(path.lastIndexOf('/') + 1) || path;
}

type Complete = Location & { readonly line: number; readonly column: number };

const isComplete = (location: Location | undefined): location is Complete =>
  location?.line !== undefined &&
  location.column !== undefined &&
  (location.url !== '' || location.script !== undefined);

const keyOf = ({ url, line, column, script }: Location): string => `${script ?? url} ${line} ${column}`;

function groupByScript(places: readonly Complete[]): Map<string, Complete[]> {
  const groups = new Map<string, Map<string, Complete>>();
  for (const place of places) {
    const group = groups.get(`${place.script ?? place.url}`) ?? new Map<string, Complete>();
    groups.set(`${place.script ?? place.url}`, group.set(keyOf(place), place));
  }
  return new Map([...groups].map(([key, group]) => [key, [...group.values()]]));
}

function framesIn(text: string): Location[] {
  if (!text.includes('\n')) return [];
  return text.split('\n', maxTextLines).flatMap((line) => frameInText(line) ?? []);
}

async function scriptOf(
  { url, script: key }: Location,
  browser: SessionBrowser,
  page: SessionPage | undefined,
  signal: AbortSignal,
): Promise<MappedScript | undefined> {
  const pages = page === undefined ? browser.pages() : [page];
  for (const candidate of pages) {
    if (key === undefined) await untilAborted(candidate.scripts.refresh(), signal);
    const known = key === undefined ? candidate.scripts.named(url) : candidate.scripts.get(key);
    if (known !== undefined) return mappedScriptOf(candidate, known);
  }
  return url.startsWith('chrome-extension://') ? browser.sources.extensionScript(url, signal) : undefined;
}
