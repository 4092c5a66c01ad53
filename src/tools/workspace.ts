import { constants } from 'node:fs';
import { lstat, open, opendir, realpath, type FileHandle } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { isPrivateFolder } from '../browser/process/privateFolders.js';
import { ToolError } from '../errors/errors.js';

/** What tools of one session may touch on the server's disk. */
export interface Workspace {
  /** As the operator named them. */
  readonly folders: readonly string[];
  /** Closed although they may lie in one of `folders`: what the server keeps there is nobody's to read. */
  readonly closed: readonly string[];
  /** The session's own folder, once it has one; reached although it lies in what is closed to all others. */
  readonly own?: string | undefined;
}

/** The system's own: through them any process shows its environment and its open files. */
const systemFolders = ['/proc', '/sys'];

/**
 * The real path behind `path`, which need not exist yet; a relative one starts in the first folder. Throws a ToolError
 * unless it lies in one of the workspace's folders, also when a symbolic link leads out of them, and for what belongs to
 * the server or to another session.
 */
export async function requireInsideWorkspace(path: string, workspace: Workspace): Promise<string> {
  const { folders, closed, own } = workspace;
  const real = await realPath(resolve(foldersOf(workspace)[0] ?? sep, path));
  if (own !== undefined && contains(await realPath(own), real)) return real;
  const isClosed = real.split(sep).some(isPrivateFolder) || (await isInOneOf([...systemFolders, ...closed], real));
  if (!isClosed && (await isInOneOf(folders, real))) return real;
  throw new ToolError(outside(path, workspace));
}

/** Where a path may lie, for messages: what the operator named, then the session's own folder. */
export function foldersOf({ folders, own }: Workspace): readonly string[] {
  return own === undefined ? folders : [...folders, own];
}

/**
 * Opens a file of the workspace; one that is written is made if need be, for the server's user alone. What was opened is
 * compared with the path again, so that nobody can exchange a folder for a link between the check and the opening.
 */
export async function openInWorkspace(path: string, workspace: Workspace, to: 'read' | 'write'): Promise<FileHandle> {
  const real = await requireInsideWorkspace(path, workspace);
  const mode = to === 'read' ? constants.O_RDONLY : constants.O_WRONLY | constants.O_CREAT;
  // A pipe would wait for its other end.
  const handle = await open(real, mode | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  try {
    const [opened, found] = [await handle.stat(), await lstat(real)];
    if (!opened.isFile()) throw new ToolError(`${path} is no file. Give the path of a file.`);
    const isSame = opened.ino === found.ino && opened.dev === found.dev && (await realpath(real)) === real;
    if (!isSame) throw new ToolError(outside(path, workspace));
    if (to === 'write') await handle.truncate();
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Entries of a folder that are looked at for links. */
const maxEntries = 50_000;

/** Chrome follows the links in an extension's folder, wherever they lead. Throws a ToolError for one that leads out. */
export async function requireInnerLinks(folder: string, workspace: Workspace): Promise<void> {
  let entries = 0;
  for await (const entry of await opendir(folder, { recursive: true })) {
    entries += 1;
    if (entries > maxEntries)
      throw new ToolError(`${folder} has more than ${maxEntries} files. Pass a smaller folder.`);
    if (entry.isSymbolicLink()) await requireInsideWorkspace(join(entry.parentPath, entry.name), workspace);
  }
}

function outside(path: string, workspace: Workspace): string {
  const folders = foldersOf(workspace);
  const allowed = folders.length === 0 ? 'none are named' : folders.join(', ');
  return (
    `${path} is outside the folders that tools may use: ${allowed}. Move it there, or start the server with ` +
    `--workspace, which names more of them. What the server and other sessions keep on the disk is closed in any case.`
  );
}

async function isInOneOf(folders: readonly string[], real: string): Promise<boolean> {
  for (const folder of folders) if (contains(await realPath(resolve(folder)), real)) return true;
  return false;
}

function contains(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith('../') && !way.startsWith('..\\') && !isAbsolute(way);
}

/** Links are followed as far as the path exists. */
async function realPath(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(await realPath(parent), basename(path));
  }
}
