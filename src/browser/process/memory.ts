import { readdir, readFile } from 'node:fs/promises';

interface ProcessStatus {
  readonly pid: number;
  readonly parent: number;
  readonly bytes: number;
}

/**
 * Resident memory of these processes with all their descendants, in bytes; what they share is counted for each. Null
 * where the system does not tell (proc(5) is Linux's).
 */
export async function residentMemory(pids: Iterable<number>): Promise<number | null> {
  const names = await readdir('/proc').catch(() => undefined);
  if (names === undefined) return null;
  const found = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map(readStatus));
  const processes = found.filter((status) => status !== undefined);
  const tree = new Set(pids);
  let size = 0;
  // Parents may be listed after their children: until a round finds nobody new.
  while (size !== tree.size) {
    size = tree.size;
    for (const { pid, parent } of processes) if (tree.has(parent)) tree.add(pid);
  }
  return processes.reduce((sum, { pid, bytes }) => (tree.has(pid) ? sum + bytes : sum), 0);
}

/** Undefined if the process has ended meanwhile. */
async function readStatus(name: string): Promise<ProcessStatus | undefined> {
  const text = await readFile(`/proc/${name}/status`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split('\n');
  const field = (key: string): number =>
    Number.parseInt(lines.find((line) => line.startsWith(`${key}:`))?.slice(key.length + 1) ?? '0');
  return { pid: Number(name), parent: field('PPid'), bytes: field('VmRSS') * 1024 };
}
