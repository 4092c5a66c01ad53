import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { messageOf, ToolError } from '../../errors/errors.js';
import { withoutCommentLines } from './sourceText.js';

/** The text of a file, with its path relative to the extension's folder, separated by `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
}

/** An extension's folder, read once. */
export interface ExtensionFiles {
  /** As on the disk, which may differ from what Chrome has loaded; undefined if it is not a JSON object. */
  readonly manifest: Readonly<Record<string, unknown>> | undefined;
  readonly manifestProblem: string | undefined;
  /** Every path. */
  readonly paths: ReadonlySet<string>;
  /** Scripts and documents. */
  readonly sources: readonly SourceFile[];
  /** What was not read because of the limits. */
  readonly cut: string | undefined;
  /** The beginning of a file, at most 8 MB. */
  read(path: string, maxBytes?: number): Promise<Buffer | undefined>;
}

const maxFiles = 5_000;
const mebibyte = 1024 ** 2;
const maxSourceBytes = 16 * mebibyte;
/** Of one script or document. */
const maxFileBytes = 4 * mebibyte;
const maxManifestBytes = mebibyte;
/** Of a table of texts. */
const maxReadBytes = 8 * mebibyte;

/** Reads the folder of an extension. Throws a ToolError if it is not on this disk, as with a remote browser. */
export async function readExtensionFiles({
  name,
  path: folder,
}: {
  readonly name: string;
  readonly path: string;
}): Promise<ExtensionFiles> {
  const text = await readManifestText(folder).catch((error: unknown) => {
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
    cut: entries.length > maxFiles ? `Only the first ${maxFiles} files were looked at.` : cut,
    // A manifest may name anything, as `../../etc/passwd`.
    read: async (path, maxBytes = maxReadBytes) =>
      known.has(path) ? readBeginning(join(folder, path), maxBytes).catch(() => undefined) : undefined,
  };
}

/** The text of the manifest in a folder. Throws a ToolError above the size limit. */
export async function readManifestText(folder: string): Promise<string> {
  const path = join(folder, 'manifest.json');
  const { size } = await stat(path);
  if (size <= maxManifestBytes) return readFile(path, 'utf8');
  throw new ToolError(`manifest.json has ${size} bytes, and at most ${maxManifestBytes} are read. Shorten it.`);
}

export async function readBeginning(path: string, maxBytes: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.min(size, maxBytes)));
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

async function readSources(folder: string, paths: readonly string[]): Promise<Pick<ExtensionFiles, 'sources' | 'cut'>> {
  const sources: SourceFile[] = [];
  let remainingBytes = maxSourceBytes;
  let cut: string | undefined;
  for (const path of paths.filter((candidate) => /\.(m?js|html?)$/i.test(candidate))) {
    const { size } = await stat(join(folder, path));
    remainingBytes -= Math.min(size, maxFileBytes);
    if (remainingBytes < 0)
      return { sources, cut: `Only the first ${maxSourceBytes / mebibyte} MB of code were looked at.` };
    if (size > maxFileBytes) cut = `Of ${path} only the first ${maxFileBytes / mebibyte} MB were looked at.`;
    sources.push({ path, text: (await readBeginning(join(folder, path), maxFileBytes)).toString('utf8') });
  }
  return { sources, cut };
}

export function parseManifest(text: string): Pick<ExtensionFiles, 'manifest' | 'manifestProblem'> {
  try {
    const manifest: unknown = JSON.parse(withoutCommentLines(text.replace(/^\uFEFF/, '')));
    if (isJsonObject(manifest)) return { manifest, manifestProblem: undefined };
    return { manifest: undefined, manifestProblem: 'it is no object' };
  } catch (error) {
    return { manifest: undefined, manifestProblem: messageOf(error) };
  }
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The strings among the items of a list. */
export function stringsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

/** The objects among the items of a list. */
export function objectsIn(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

export const objectAt = (value: unknown, key: string): Record<string, unknown> => {
  const found = isJsonObject(value) ? value[key] : undefined;
  return isJsonObject(found) ? found : {};
};
