import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, ToolError } from '../../errors/errors.js';
import { readManifestFile, type ParsedManifest } from './manifest.js';

/** The manifest and the names of all files in an extension's folder. */
export interface ExtensionFiles {
  readonly folder: string;
  readonly manifest: ParsedManifest;
  /** Relative to the folder, separated by `/`; what a link leads to counts as a file, as it does for Chrome. */
  readonly paths: ReadonlySet<string>;
  /** What was not listed because of the limit. */
  readonly cut: string | undefined;
}

const maxFiles = 20_000;
const maxDepth = 40;

/** Reads the folder of an extension. Throws a ToolError if it is not on this disk, as with a remote browser. */
export async function readExtensionFiles({
  name,
  path: folder,
}: {
  readonly name: string;
  readonly path: string;
}): Promise<ExtensionFiles> {
  const manifest = await readManifestFile(folder).catch((error: unknown) => {
    throw new ToolError(`The files of ${name} cannot be read in ${folder}: ${messageOf(error)}`, { cause: error });
  });
  const { paths, isWhole } = await listFolder(folder, maxFiles);
  return { folder, manifest, paths, cut: isWhole ? undefined : `Only the first ${maxFiles} files were looked at.` };
}

export interface FolderListing {
  /** Relative, separated by `/`. */
  readonly paths: ReadonlySet<string>;
  /** Real paths: the folder and those in it. */
  readonly folders: ReadonlySet<string>;
  /** False if there are more files than the limit allows. */
  readonly isWhole: boolean;
}

/** The files in a folder, except git's. A folder that is reached again by a link is not listed again. */
export async function listFolder(folder: string, limit: number): Promise<FolderListing> {
  const paths = new Set<string>();
  const seen = new Set<string>();
  const folders = [''];
  for (let inner = folders.shift(); inner !== undefined; inner = folders.shift()) {
    const real = await realpath(join(folder, inner)).catch(() => undefined);
    if (real === undefined || seen.has(real) || inner.split('/').length > maxDepth) continue;
    seen.add(real);
    const entries = await readdir(join(folder, inner), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const path = inner === '' ? entry.name : `${inner}/${entry.name}`;
      const target = entry.isSymbolicLink() ? await stat(join(folder, path)).catch(() => undefined) : entry;
      if (target?.isDirectory() === true && entry.name !== '.git') folders.push(path);
      if (target?.isFile() !== true) continue;
      if (paths.size >= limit) return { paths, folders: seen, isWhole: false };
      paths.add(path);
    }
  }
  return { paths, folders: seen, isWhole: true };
}

/** The beginning of a file. */
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

/** A path of a manifest, a script or a document, relative to the folder of the extension. */
export function localPath(path: string): string {
  const [file = ''] = path.split(/[?#]/, 1);
  const parts: string[] = [];
  for (const part of file.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}
