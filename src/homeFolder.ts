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
