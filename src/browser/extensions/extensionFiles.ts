import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { messageOf, ToolError } from '../../errors.js';
import type { Extension } from './extensions.js';

/** Text of a file of the extension, by its path in it, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** An extension's folder, read once. */
export interface ExtensionFiles {
  /** As it stands on the disk, which need not be what Chrome has loaded; undefined when it is no JSON object. */
  readonly manifest: Readonly<Record<string, unknown>> | undefined;
  readonly manifestProblem: string | undefined;
  /** Every path. */
  readonly paths: ReadonlySet<string>;
  /** Scripts and documents. */
  readonly sources: readonly SourceFile[];
  /** Code was left out because there is too much. */
  readonly cut: boolean;
  read(path: string): Promise<Buffer | undefined>;
}

const maxFiles = 5_000;
const maxSourceBytes = 16 * 1024 ** 2;

/** Reads the folder of an extension. Throws a ToolError where it is not on this disk, as with a browser elsewhere. */
export async function readExtensionFiles({ name, path: folder }: Extension): Promise<ExtensionFiles> {
  const text = await readFile(join(folder, 'manifest.json'), 'utf8').catch((error: unknown) => {
    throw new ToolError(`The files of ${name} cannot be read in ${folder}: ${messageOf(error)}`, { cause: error });
  });
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && !entry.parentPath.split(sep).includes('node_modules'))
    .slice(0, maxFiles)
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'));
  const known = new Set(paths);
  const { sources, cut } = await readSources(folder, paths);
  return {
    ...parseManifest(text),
    paths: known,
    sources,
    cut: cut || entries.length > maxFiles,
    // A manifest may name anything, as `../../etc/passwd`.
    read: async (path) => (known.has(path) ? readFile(join(folder, path)).catch(() => undefined) : undefined),
  };
}

async function readSources(folder: string, paths: readonly string[]): Promise<{ sources: SourceFile[]; cut: boolean }> {
  const sources: SourceFile[] = [];
  let left = maxSourceBytes;
  for (const path of paths.filter((candidate) => /\.(m?js|html?)$/i.test(candidate))) {
    const { size } = await stat(join(folder, path));
    left -= size;
    if (left < 0) return { sources, cut: true };
    sources.push({ path, text: await readFile(join(folder, path), 'utf8') });
  }
  return { sources, cut: false };
}

function parseManifest(text: string): Pick<ExtensionFiles, 'manifest' | 'manifestProblem'> {
  try {
    // Chrome allows lines that are comments.
    const manifest: unknown = JSON.parse(text.replace(/^\uFEFF/, '').replace(/^\s*\/\/.*$/gm, ''));
    if (isObject(manifest)) return { manifest, manifestProblem: undefined };
    return { manifest: undefined, manifestProblem: 'it is no object' };
  } catch (error) {
    return { manifest: undefined, manifestProblem: messageOf(error) };
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The strings among the items of a list. */
export function stringsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** The objects among the items of a list. */
export function objectsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

export const objectAt = (value: unknown, key: string): Record<string, unknown> => {
  const found = isObject(value) ? value[key] : undefined;
  return isObject(found) ? found : {};
};
