import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Another process has locked the folder. */
export class FolderInUseError extends Error {
  readonly pid: number;

  constructor(folder: string, pid: number) {
    super(`${folder} is in use by the process ${pid}: stop that server, or choose another --data-dir.`);
    this.pid = pid;
  }
}

const lockFilePattern = /^lock-(\d+)-(\d+)-[0-9a-f]+$/;
/** Two processes that start at the same moment may both see the other's lock file and retry. */
const maxAttempts = 4;
const maxRetryDelayMs = 60;

/**
 * Locks a folder for this process. Resolves with the function that unlocks it. Throws {@link FolderInUseError}.
 *
 * Each process creates a lock file named after its process id and start time, then looks for the lock files of others. Of
 * two processes, the later one always sees the file of the earlier one. A name is never used again, so any process may
 * remove the file of a dead process at any time: a killed server leaves no lock behind, and removing it causes no race.
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

/** The id of another live process that has locked the folder. Removes the locks of dead processes. */
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
    // EPERM: the process is alive and belongs to another user.
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  return (await processStartTime(pid)) === start;
}

/**
 * The start time of a process, in clock ticks since boot (proc(5), `starttime`): process ids are reused. 0 where the system
 * has no /proc; only the id counts there.
 */
async function processStartTime(pid: number): Promise<string> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The second field is the program's name in parentheses; it may contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[19] ?? '0';
}
