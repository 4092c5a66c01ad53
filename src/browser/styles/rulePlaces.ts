import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { timeLimit } from '../../clock.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { readBeginning, readExtensionFiles } from '../extensions/extensionFiles.js';
import { listExtensions, type Extension } from '../extensions/installedExtensions.js';
import type { LoadingFrame } from '../sources/sourceLoader.js';
import type { MappedScript, Placed, SourceMaps } from '../sources/sourceMaps.js';
import type { StyleBlock, WrittenPlace } from './cascade.js';
import { injectedPlace } from './matchedStyles.js';

const maxExtensions = 20;
/** Files of one extension. */
const maxFiles = 200;
const maxBytes = 512 * 1024;

/**
 * Says which extension has the rules that were injected into a page, by the files in which they are written: Chrome names
 * neither. A rule that no file has stays as it is. Never rejects.
 */
export async function placeInjectedRules(scope: CdpScope, blocks: readonly StyleBlock[]): Promise<StyleBlock[]> {
  if (!blocks.some(isInjected)) return [...blocks];
  const extensions = await listExtensions(scope).catch(() => []);
  const places = new Map<StyleBlock, string>();
  for (const extension of extensions.slice(0, maxExtensions)) {
    for await (const { path, text } of styleFiles(extension)) {
      for (const block of blocks) {
        const line = isInjected(block) && !places.has(block) ? lineOfRule(text, block) : undefined;
        if (line !== undefined) places.set(block, `extension ${extension.id} (${extension.name}), ${path}:${line}`);
      }
    }
  }
  return blocks.map((block) => ({ ...block, place: places.get(block) ?? block.place }));
}

const isInjected = ({ place }: StyleBlock): boolean => place.startsWith(injectedPlace);

/** Style sheets, then scripts, which inject rules as text. */
async function* styleFiles(extension: Extension): AsyncGenerator<{ path: string; text: string }> {
  const files = await readExtensionFiles(extension).catch(() => undefined);
  if (files === undefined) return;
  const ofKind = (kind: RegExp): string[] => [...files.paths].filter((path) => kind.test(path));
  for (const path of [...ofKind(/\.css$/), ...ofKind(/\.m?js$/)].slice(0, maxFiles)) {
    const bytes = await readBeginning(join(files.folder, path), maxBytes).catch(() => undefined);
    if (bytes !== undefined) yield { path, text: bytes.toString('utf8') };
  }
}

/** The line of a rule with this selector and its first declaration. */
function lineOfRule(text: string, { name, declarations }: StyleBlock): number | undefined {
  const [first] = declarations;
  for (let at = text.indexOf(name); at !== -1; at = text.indexOf(name, at + 1)) {
    const end = text.indexOf('}', at);
    const body = text.slice(at + name.length, end === -1 ? undefined : end);
    const isRule = /^\s*\{/.test(body) && (first === undefined || body.includes(first.name));
    if (isRule) return text.slice(0, at).split('\n').length;
  }
  return undefined;
}

/** Rules with their places, and the document that they are in. */
interface PlacedStyles {
  readonly layout: { readonly url: string };
  readonly blocks: readonly StyleBlock[];
  readonly inherited: readonly { readonly ancestor: string; readonly blocks: readonly StyleBlock[] }[];
}

/** Maps that come later are in the next answer. */
const mapsMs = 3_000;

/**
 * Says where rules are in the files that their style sheets were made from (Sass, Less, bundlers), by source maps. Without
 * one the place stays as it is. Rejects only with the signal's reason.
 */
export async function placeOriginalRules<Styles extends PlacedStyles>(
  sources: SourceMaps,
  frame: LoadingFrame,
  styles: Styles,
  signal: AbortSignal,
): Promise<Styles> {
  const bySheet = new Map<string, WrittenPlace[]>();
  for (const { written } of [styles.blocks, ...styles.inherited.map(({ blocks }) => blocks)].flat()) {
    if (written === undefined) continue;
    const known = bySheet.get(written.sheet.styleSheetId) ?? [];
    bySheet.set(written.sheet.styleSheetId, [...known, written]);
  }
  const limit = AbortSignal.any([signal, timeLimit(mapsMs)]);
  const originals = new Map<WrittenPlace, string>();
  await Promise.all(
    [...bySheet.values()].map(async (places) => {
      const [first] = places;
      if (first === undefined) return;
      const sheet = sheetWithMap(first.sheet, styles.layout.url, frame);
      const found = await sources.originals(sheet, places, limit).catch((): Placed[] => []);
      for (const [index, place] of places.entries()) {
        const original = found[index];
        if (original !== undefined && 'file' in original) originals.set(place, `${original.file}:${original.line}`);
      }
    }),
  );
  signal.throwIfAborted();
  const placed = (block: StyleBlock): StyleBlock => {
    const original = block.written && originals.get(block.written);
    return original === undefined ? block : { ...block, place: `${original} (${block.place})` };
  };
  const inherited = styles.inherited.map(({ ancestor, blocks }) => ({ ancestor, blocks: blocks.map(placed) }));
  return { ...styles, blocks: styles.blocks.map(placed), inherited };
}

function sheetWithMap(
  { sourceURL, sourceMapURL = '', startLine, startColumn, endLine, endColumn, length }: WrittenPlace['sheet'],
  documentUrl: string,
  frame: LoadingFrame,
): MappedScript {
  const lastLine = endLine - startLine;
  return {
    url: sourceURL || documentUrl,
    sourceMapUrl: sourceMapURL,
    hash: createHash('sha256').update(`${length} ${sourceMapURL}`).digest('hex'),
    start: { line: startLine, column: startColumn },
    end: { line: lastLine, column: lastLine === 0 ? endColumn - startColumn : endColumn },
    frame,
  };
}
