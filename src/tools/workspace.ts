import { realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { ToolError } from '../errors.js';

/**
 * The real path behind `path`, which need not exist yet; a relative one starts in the first folder. Throws a ToolError
 * unless it lies in one of the workspace folders, also when a symbolic link leads out of them.
 */
export async function insideWorkspace(path: string, workspace: readonly string[]): Promise<string> {
  const real = await realPath(resolve(workspace[0] ?? '', path));
  for (const folder of workspace) {
    if (contains(await realPath(resolve(folder)), real)) return real;
  }
  throw new ToolError(
    `${path} is outside the folders that tools may use: ${workspace.join(', ')}. Move it there, or start the server with --workspace.`,
  );
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
