import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf, Refusal } from '../../errors/errors.js';
import { privateFolders } from '../../folders.js';

/** The prefix of the run folders of every version of this server. */
const runFolderPrefix = 'greenroom-';
const ownerFile = 'owner';

/**
 * The folder for everything that the browsers of one server process write. Owned by the browser pool, which closes it
 * last. When the server process ends otherwise, also by `kill -9`, the janitor cleans up within seconds.
 */
export interface RunFolder {
  readonly path: string;
  /** A path for one more browser. The caller creates and removes the folder. */
  nextBrowserFolder(): string;
  /** Kills the processes of this folder and removes it. Idempotent; resolves when it is gone. */
  close(): Promise<void>;
}

/**
 * Waits for the end of its standard input, which comes when the server process ends, in whatever way. Then kills every
 * process that was started with a profile in the folder and removes the folder. The folder is passed in the
 * environment, so that only command lines of browsers contain it. Runs in a session of its own and ignores the signals
 * of a terminal.
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

/** With the identity of its owner, or not at all. */
async function createRunFolder(parent: string): Promise<string> {
  let path: string | undefined;
  try {
    path = await mkdtemp(join(parent, privateFolders.run));
    await writeFile(join(path, ownerFile), await processIdentity(process.pid));
    return path;
  } catch (error) {
    if (path !== undefined) await rm(path, { recursive: true, force: true });
    const detail = `The temporary folder ${parent} cannot be written: ${messageOf(error)}. Free space on that disk, or set TMPDIR to a folder of another one.`;
    throw new Refusal('browser_failed', { detail }, { cause: error });
  }
}

/** Creates a run folder below `parent` and starts its janitor. Throws `browser_failed` if it cannot be written. */
export async function openRunFolder(parent: string): Promise<RunFolder> {
  const path = await createRunFolder(parent);
  const child = startJanitor(path, 'pipe');
  // The janitor must not keep the server process alive.
  child.process.unref();
  let browsers = 0;
  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    // From here on the process stays alive until the janitor is done.
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

/**
 * The run folders below `parent` whose server has died and whose janitor did not clean up. Called when a server starts.
 */
export async function findLeftovers(parent: string): Promise<string[]> {
  const names = (await readdir(parent)).filter((name) => name.startsWith(runFolderPrefix));
  const checked = await Promise.all(names.map(async (name) => ((await isLeftover(join(parent, name))) ? name : '')));
  return checked.filter((name) => name !== '').map((name) => join(parent, name));
}

/** Kills the processes of these folders and removes the folders. */
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
  /** Resolves when the janitor is done, or could not be started. */
  readonly ended: Promise<void>;
}

/** With `ignore` it cleans up immediately. */
function startJanitor(path: string, input: 'pipe' | 'ignore'): Janitor {
  const child = spawn('/bin/sh', ['-c', janitorScript], {
    cwd: '/',
    env: { PATH: '/usr/bin:/bin', GREENROOM_RUN: path },
    detached: true,
    stdio: [input, 'ignore', 'ignore'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    // Windows has no sh. There Chrome exits with its pipe, and the next start of a server removes the folder.
    child.once('error', () => resolve());
  });
  child.stdin?.on('error', () => child.stdin?.destroy());
  return { process: child, ended };
}

/** Removes what the janitor left, or everything where there is no janitor. */
async function removeFolder(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** A folder without an owner file is being created, or is not a run folder. */
async function isLeftover(path: string): Promise<boolean> {
  const owner = await readFile(join(path, ownerFile), 'utf8').catch(() => undefined);
  if (owner === undefined) return false;
  return (await processIdentity(Number.parseInt(owner, 10))) !== owner;
}

/**
 * Process ids are reused, in containers soon: the start time is added where it can be read. Empty if the process does
 * not exist.
 */
async function processIdentity(pid: number): Promise<string> {
  if (process.platform === 'linux') {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    // proc(5): field 2 is the name in parentheses and may contain anything; field 22 is the start time.
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
