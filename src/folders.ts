import { mkdir, stat } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { codeOf } from './errors/errors.js';

/** The home folder of the user; without one, as in some containers, a folder of the user in the temporary folder. */
export function homeFolder(): string {
  try {
    return homedir();
  } catch {
    // Neither HOME nor an entry in passwd.
    return join(tmpdir(), `greenroom-home-${process.getuid?.() ?? 'user'}`);
  }
}

/**
 * The name prefixes of the folders that a server creates for itself and its sessions, mostly in the temporary folder.
 */
export const privateFolders = {
  run: 'greenroom-run-',
  session: 'greenroom-session-',
  resource: 'greenroom-resource-',
} as const;

/** Whether a folder of this name holds profiles, archives or results, which no session may open by path. */
export function isPrivateFolder(name: string): boolean {
  return Object.values(privateFolders).some((prefix) => name.startsWith(prefix));
}

/**
 * Creates a folder, by default for this user alone, and its missing parents; resolves with the first created one.
 * Node's own `recursive` never ends where the system answers ENOENT in an existing folder, as in /proc.
 */
export async function createFolder(folder: string, mode = 0o700): Promise<string | undefined> {
  const path = resolve(folder);
  try {
    await mkdir(path, { mode });
    return path;
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await isFolder(path))) return undefined;
    if (codeOf(error) !== 'ENOENT' || dirname(path) === path || (await isFolder(dirname(path)))) throw error;
    const created = await createFolder(dirname(path), mode);
    await mkdir(path, { mode });
    return created ?? path;
  }
}

const isFolder = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
