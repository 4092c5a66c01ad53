import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** The home folder of the user; a folder of theirs in the temporary one if they have none, as in some containers. */
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
