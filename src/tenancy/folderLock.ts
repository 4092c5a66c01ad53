import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** A folder that another process uses. */
export class FolderInUseError extends Error {
  readonly pid: number;

  constructor(folder: string, pid: number) {
    super(`${folder} is in use by the process ${pid}: stop that server, or choose another --data-dir.`);
    this.pid = pid;
  }
}

const lockFilePattern = /^lock-(\d+)-(\d+)-[0-9a-f]+$/;
/** Two that start in the same moment may see each other and both step back. */
const maxAttempts = 4;
const maxRetryDelayMs = 60;

/**
 * Takes a folder for this process alone and resolves with what gives it back. Throws {@link FolderInUseError}.
 *
 * Each taker puts down a file named after its process (id and start time) and then looks for others: of two, the later one
 * sees the earlier one, whatever happens in between. A name is never used again, so that of a dead process may be removed
 * by anybody at any time; that is why a killed server leaves no lock behind, and why there is no race for its place.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  for (let attempt = 1; ; attempt += 1) {
    const own = `lock-${process.pid}-${await processStartTime(process.pid)}-${randomBytes(4).toString('hex')}`;
    const unlock = (): Promise<void> => rm(join(folder, own), { force: true });
    await writeFile(join(folder, own), '', { flag: 'wx', mode: 0o600 });
    try {
      const holder = await findHolder(folder, own);
      if (holder === undefined) return unlock;
      if (attempt === maxAttempts) throw new FolderInUseError(folder, holder);
    } catch (error) {
      await unlock();
      throw error;
    }
    await unlock();
    await pause(Math.random() * maxRetryDelayMs);
  }
}

/** The id of another living process that has the folder; locks of dead ones are removed. */
async function findHolder(folder: string, own: string): Promise<number | undefined> {
  for (const name of await readdir(folder)) {
    const [, pid, start] = lockFilePattern.exec(name) ?? [];
    if (pid === undefined || start === undefined || name === own) continue;
    if (await isProcessAlive(Number(pid), start)) return Number(pid);
    await rm(join(folder, name), { force: true });
  }
  return undefined;
}

async function isProcessAlive(pid: number, start: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and is somebody else's.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return (await processStartTime(pid)) === start;
}

/**
 * When a process started, in clock ticks since boot (proc(5), `starttime`): a process id alone is given again. 0 where the
 * system does not tell; there the id has to do.
 */
async function processStartTime(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in parentheses, with whatever is in it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[19] ?? '0';
}
