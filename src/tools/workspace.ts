import { constants } from 'node:fs';
import { lstat, open, opendir, realpath, stat, type FileHandle } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { ChosenFiles } from '../browser/page/pageUpload.js';
import type { UrlRules } from '../browser/policy/urlRules.js';
import type { FileEncryption } from './encryptedFiles.js';
import { isPrivateFolder } from '../folders.js';
import { ToolError } from '../errors/errors.js';

/** The folders of the server's disk that the tools of every session may use. */
export interface SharedWorkspace {
  /** The folders of `--workspace`. */
  readonly folders: readonly string[];
  /** Forbidden even within `folders`: data of the server. */
  readonly closed: readonly string[];
  /** Of files with logins. */
  readonly encryption: FileEncryption;
  /** The addresses of the network that the session may reach. Absent: all. */
  readonly urls?: UrlRules | undefined;
}

/** The same for one session. */
export interface Workspace extends SharedWorkspace {
  /** The user, who alone can read what is encrypted: issuer and subject. */
  readonly owner: string;
  /** The session's own folder, once it exists; allowed even within `closed`. */
  readonly own?: string | undefined;
}

/** System folders that show the environment and open files of processes. */
const systemFolders = ['/proc', '/sys'];

/**
 * The real path of `path`, which need not exist; a relative path starts in the first folder. Throws a ToolError if it is
 * outside the folders of the workspace, also through a symbolic link, and for files of the server or of another session.
 */
export async function requireInsideWorkspace(path: string, workspace: Workspace): Promise<string> {
  const { folders, closed, own } = workspace;
  const real = await realPath(resolve(foldersOf(workspace)[0] ?? sep, path));
  if (own !== undefined && contains(await realPath(own), real)) return real;
  const isClosed = real.split(sep).some(isPrivateFolder) || (await isInOneOf([...systemFolders, ...closed], real));
  if (!isClosed && (await isInOneOf(folders, real))) return real;
  throw new ToolError(outside(path, workspace));
}

/** The allowed folders, for messages: those of `--workspace`, then the session's own. */
export function foldersOf({ folders, own }: Workspace): readonly string[] {
  return own === undefined ? folders : [...folders, own];
}

/**
 * Opens a file of the workspace. `write` creates a missing file, readable by the server's user alone. The opened file is
 * compared with the path again, so that a folder cannot be replaced by a link between check and opening. The caller closes
 * the handle.
 */
export async function openInWorkspace(path: string, workspace: Workspace, to: 'read' | 'write'): Promise<FileHandle> {
  const real = await requireInsideWorkspace(path, workspace);
  const mode = to === 'read' ? constants.O_RDONLY : constants.O_WRONLY | constants.O_CREAT;
  // Without O_NONBLOCK the opening of a pipe waits for its other end.
  const handle = await open(real, mode | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  try {
    const [opened, found] = [await handle.stat(), await lstat(real)];
    if (!opened.isFile()) throw new ToolError(`${path} is not a file. Pass the path of a file.`);
    const isSame = opened.ino === found.ino && opened.dev === found.dev && (await realpath(real)) === real;
    if (!isSame) throw new ToolError(outside(path, workspace));
    if (to === 'write') await handle.truncate();
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Entries of a folder that are checked for links. */
const maxEntries = 50_000;

/** Chrome follows the links in an extension's folder. Throws a ToolError for one that leads out of the workspace. */
export async function requireInnerLinks(folder: string, workspace: Workspace): Promise<void> {
  let entries = 0;
  for await (const entry of await opendir(folder, { recursive: true })) {
    entries += 1;
    if (entries > maxEntries)
      throw new ToolError(`${folder} has more than ${maxEntries} files. Pass a smaller folder.`);
    if (entry.isSymbolicLink()) await requireInsideWorkspace(join(entry.parentPath, entry.name), workspace);
  }
}

/** Returns the folder. Throws a ToolError for a folder of downloads, whose files a page can replace. */
export async function requireNoDownload(folder: string, { own }: Workspace): Promise<string> {
  if (own === undefined || !contains(join(await realPath(own), 'downloads'), folder)) return folder;
  throw new ToolError(
    `${folder} is in the folder of downloads, whose files a page can replace. Pass a zip as archive, its url, or a folder of the workspace.`,
  );
}

function outside(path: string, workspace: Workspace): string {
  const folders = foldersOf(workspace);
  const allowed = folders.length === 0 ? 'none' : folders.join(', ');
  return (
    `${path} is outside the folders that tools may use: ${allowed}. Move it there, or start the server with ` +
    `--workspace and its folder. Files of the server and of other sessions are never allowed.`
  );
}

async function isInOneOf(folders: readonly string[], real: string): Promise<boolean> {
  for (const folder of folders) if (contains(await realPath(resolve(folder)), real)) return true;
  return false;
}

function contains(folder: string, path: string): boolean {
  const inner = relative(folder, path);
  return inner !== '..' && !inner.startsWith('../') && !inner.startsWith('..\\') && !isAbsolute(inner);
}

/** The real path of the longest existing parent, with the rest appended. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(await realPath(parent), basename(path));
  }
}

const maxChosen = 500;

/** Files, or one folder, of the workspace. Throws a ToolError for what is neither. */
export async function chosenFiles(filePaths: readonly string[], workspace: Workspace): Promise<ChosenFiles> {
  if (filePaths.length > maxChosen) throw new ToolError(`Pass at most ${maxChosen} files, or their folder.`);
  const paths = await Promise.all(filePaths.map((path) => requireInsideWorkspace(path, workspace)));
  const [first = ''] = paths;
  if (paths.length === 1 && (await stat(first).catch(() => undefined))?.isDirectory() === true) {
    await requireInnerLinks(first, workspace);
    return { paths, isFolder: true };
  }
  for (const [index, path] of paths.entries()) {
    if ((await stat(path).catch(() => undefined))?.isFile() === true) continue;
    const named = filePaths[index] ?? path;
    throw new ToolError(`${named} is not a file. Pass the path of a file in ${foldersOf(workspace).join(' or ')}.`);
  }
  return { paths, isFolder: false };
}
