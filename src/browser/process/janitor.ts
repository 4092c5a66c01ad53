import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../errors/errors.js';
import { privateFolders } from './privateFolders.js';

/** Also of servers of other versions. */
const runFolderPrefix = 'greenroom-';
const ownerFile = 'owner';

/**
 * The folder that holds everything the browsers of one server process write. Owned by the orchestrator, which closes it
 * last. When this process ends in any other way, `kill -9` too, the janitor does the same within seconds.
 */
export interface RunFolder {
  readonly path: string;
  /** A path for one more browser; whoever takes it makes and removes the folder. */
  nextBrowserFolder(): string;
  /** Ends what still runs out of this folder and removes it. Idempotent; resolves when it is gone. */
  close(): Promise<void>;
}

/**
 * Waits for the end of its input, which comes when the server ends in whatever way, then kills every process that was
 * started with a profile in the folder and removes the folder. The folder comes by environment, so that no command line
 * but a browser's carries it. Runs in a session of its own and ignores the signals that end a terminal's programs.
 */
const janitorScript = `
trap '' INT TERM HUP
while read -r _; do :; done
mark="--user-data-dir=$GREENROOM_RUN/"
running() {
  if [ -d /proc/self ]; then
    printf '%s' "$mark" | grep -slFf - /proc/[0-9]*/cmdline | cut -d/ -f3
  else
    ps -axo pid=,command= | while read -r pid command; do
      case "$command" in *"$mark"*) echo "$pid" ;; esac
    done
  fi
}
tries=0
while [ $tries -lt 80 ]; do
  for pid in $(running); do kill -9 "-$pid" 2>/dev/null; kill -9 "$pid" 2>/dev/null; done
  rm -rf "$GREENROOM_RUN" 2>/dev/null
  [ -e "$GREENROOM_RUN" ] || exit 0
  tries=$((tries + 1))
  sleep 0.1
done
exit 1
`;

/** Makes a run folder under `parent` and starts its janitor. */
export async function openRunFolder(parent: string): Promise<RunFolder> {
  const path = await mkdtemp(join(parent, privateFolders.run));
  const child = startJanitor(path, 'pipe');
  await writeFile(join(path, ownerFile), await processIdentity(process.pid));
  // The janitor must not keep a process alive that has nothing else to do.
  child.process.unref();
  let browsers = 0;
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // Now it is waited for.
    child.process.ref();
    child.process.stdin?.end();
    await child.ended;
    await removeFolder(path);
  };
  return {
    path,
    nextBrowserFolder: () => join(path, String((browsers += 1))),
    close: () => (closing ??= close()),
  };
}

/** The run folders under `parent` whose server is gone without its janitor: a second net, cast when a server starts. */
export async function findLeftovers(parent: string): Promise<string[]> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(runFolderPrefix));
  const checked = await Promise.all(names.map(async (name) => ((await isLeftover(join(parent, name))) ? name : '')));
  return checked.filter((name) => name !== '').map((name) => join(parent, name));
}

/** Ends what still runs out of these folders and removes them. */
export async function removeLeftovers(folders: readonly string[]): Promise<void> {
  await Promise.all(
    folders.map(async (path) => {
      await startJanitor(path, 'ignore').ended;
      await removeFolder(path);
    }),
  );
}

interface Janitor {
  readonly process: ChildProcess;
  /** Resolves when it has done its work, or could not be started. */
  readonly ended: Promise<void>;
}

/** With its input ignored it has nothing to wait for and cleans up at once. */
function startJanitor(path: string, input: 'pipe' | 'ignore'): Janitor {
  const child = spawn('/bin/sh', ['-c', janitorScript], {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin', GREENROOM_RUN: path },
    detached: true,
    stdio: [input, 'ignore', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    // Windows has no sh: there Chrome ends with its pipe, and the next server's start removes the folder.
    child.once('error', () => resolve());
  });
  child.stdin?.on('error', () => child.stdin?.destroy());
  return { process: child, ended };
}

/** What the janitor did not manage, or where there is none. */
async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** A folder without an owner is just being made, or somebody else's. */
async function isLeftover(path: string): Promise<boolean> {
  const owner = await readFile(join(path, ownerFile), 'utf8').catch(() => undefined);
  if (owner === undefined) return false;
  return (await processIdentity(Number.parseInt(owner, 10))) !== owner;
}

/** A process id alone is used again, in a container at once: where it can be read, the time of its start is added. */
async function processIdentity(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // The second field is the name in parentheses and may hold anything; the 22nd is the time of the start.
    const startedAt = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return startedAt === undefined ? '' : `${pid} ${startedAt}`;
  }
  try {
    process.kill(pid, 0);
    return String(pid);
  } catch (error) {
    return codeOf(error) === 'EPERM' ? String(pid) : '';
  }
}
