import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { Readable, Writable } from 'node:stream';
import { readdir, readFile } from 'node:fs/promises';
import { codeOf, messageOf } from '../../errors/errors.js';
import { PipeTransport } from './pipeTransport.js';

/** A Chrome process started by this server. Owned by its creator, which calls `kill` and awaits `exited`. */
export interface ChromeProcess {
  readonly pid: number | undefined;
  readonly transport: PipeTransport;
  /** Resolves when the process is gone or could not be started. Never rejects. */
  readonly exited: Promise<void>;
  /** The last lines that Chrome wrote to stderr, or why it did not start. */
  stderrTail(): string;
  /** How it exited, and the last line that it wrote to stderr. Undefined while it runs. */
  exitCause(): string | undefined;
  /** Kills Chrome with its child processes. A clean exit would save nothing: the profile is removed. */
  kill(): void;
}

const maxStderrLines = 8;

/** Starts Chrome in a process group of its own, with CDP on file descriptors 3 and 4. */
export function startChrome(executablePath: string, args: readonly string[], temporaryFolder: string): ChromeProcess {
  const [command, commandArgs] = withOwnEnvironment(executablePath, args, temporaryFolder);
  const child = spawn(command, commandArgs, {
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
  });
  let stderrLines: string[] = [];
  const appendLines = (text: string): void => {
    stderrLines = [...stderrLines, ...text.split('\n').filter((line) => line.trim() !== '')].slice(-maxStderrLines);
  };
  child.stderr?.setEncoding('utf8').on('data', appendLines);
  const [toBrowser, fromBrowser] = [child.stdio[3], child.stdio[4]];
  if (!(toBrowser instanceof Writable && fromBrowser instanceof Readable))
    throw new Error('The Chrome process has no pipes.');
  const transport = new PipeTransport(toBrowser, fromBrowser);
  transport.ondrop = (cause) => {
    appendLines(cause);
    killProcessGroup(child);
  };
  let exitCause: string | undefined;
  return {
    pid: child.pid,
    transport,
    exited: whenExited(child, appendLines, (status) => {
      const last = stderrLines.at(-1);
      exitCause = `Chrome exited with ${status}${last === undefined ? '' : `; its last output: ${last}`}.`;
      // SIGKILL comes from `kill()`, whose caller knows why.
      if (last === undefined && status !== 'SIGKILL')
        appendLines(`it exited with ${status} and wrote nothing to stderr.`);
    }),
    stderrTail: () => stderrLines.join('\n'),
    exitCause: () => exitCause,
    kill: () => killProcessGroup(child),
  };
}

/** The environment variables that Chrome gets. The others may contain tokens and passwords. */
const neededVariables = [
  ...['PATH', 'LANG', 'LANGUAGE', 'LC_ALL', 'LC_CTYPE', 'TZ', 'USER', 'LOGNAME', 'LD_LIBRARY_PATH'],
  ...['FONTCONFIG_FILE', 'FONTCONFIG_PATH', 'CHROME_DEVEL_SANDBOX', '__CF_USER_TEXT_ENCODING'],
  ...['DISPLAY', 'WAYLAND_DISPLAY', 'XDG_RUNTIME_DIR', 'XDG_SESSION_TYPE', 'DBUS_SESSION_BUS_ADDRESS'],
  ...['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
];

const passNeeded = neededVariables.map((name) => `\${${name}+"${name}=$${name}"}`).join(' ');

/**
 * Arguments: Chrome's temporary folder, its home folder or an empty string for the user's, then the command.
 * Certificates that the user trusts are linked into a home folder of Chrome's own. `exec` replaces the shell, so that
 * Chrome has the process id of the child.
 */
const startScript = `
temporary=$1 home=\${2:-$HOME} cookie=\${XAUTHORITY:-$HOME/.Xauthority}
if [ -n "$2" ] && [ -d "$HOME/.pki" ]; then ln -sf "$HOME/.pki" "$2/.pki"; fi
shift 2
exec env -i ${passNeeded} \${DISPLAY+"XAUTHORITY=$cookie"} HOME="$home" TMPDIR="$temporary" "$@"
`;

/**
 * A killed Chrome leaves a socket folder in its temporary folder, which is therefore one that is removed with the
 * profile. Its home folder is the same, so that a session writes nothing to the user's home; a snap needs the user's
 * home to find its own files. On macOS the long path does not fit into a socket name, and the keychain is in the user's
 * home.
 */
function withOwnEnvironment(executable: string, args: readonly string[], folder: string): [string, readonly string[]] {
  if (process.platform === 'win32') return [executable, args];
  const isLinux = process.platform === 'linux';
  const home = isLinux && !executable.startsWith('/snap/') ? folder : '';
  return ['/bin/sh', ['-c', startScript, 'chrome', isLinux ? folder : tmpdir(), home, executable, ...args]];
}

function whenExited(
  child: ChildProcess,
  onError: (message: string) => void,
  onExit: (status: string) => void,
): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      onExit(signal ?? `code ${code}`);
      resolve();
    });
    child.once('error', (error) => {
      onError(messageOf(error));
      resolve();
    });
  });
}

function killProcessGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  if (process.platform === 'win32') {
    spawn('taskkill', ['/pid', String(child.pid), '/T', '/F'], { stdio: 'ignore' }).once('error', () => child.kill());
    return;
  }
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: the process group is gone already.
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

interface ProcessStatus {
  readonly pid: number;
  readonly parent: number;
  readonly bytes: number;
}

/**
 * Resident memory of these processes and their descendants, in bytes; shared pages count for each process. Null without
 * proc(5), which only Linux has.
 */
export async function residentMemory(pids: Iterable<number>): Promise<number | null> {
  const names = await readdir('/proc').catch(() => undefined);
  if (names === undefined) return null;
  const found = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map(readStatus));
  const processes = found.filter((status) => status !== undefined);
  const tree = new Set(pids);
  let size = 0;
  // Parents may be listed after their children: repeat until no process is added.
  while (size !== tree.size) {
    size = tree.size;
    for (const { pid, parent } of processes) if (tree.has(parent)) tree.add(pid);
  }
  return processes.reduce((sum, { pid, bytes }) => (tree.has(pid) ? sum + bytes : sum), 0);
}

/** Undefined if the process has exited meanwhile. */
async function readStatus(name: string): Promise<ProcessStatus | undefined> {
  const text = await readFile(`/proc/${name}/status`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const lines = text.split('\n');
  const field = (key: string): number =>
    Number.parseInt(lines.find((line) => line.startsWith(`${key}:`))?.slice(key.length + 1) ?? '0');
  return { pid: Number(name), parent: field('PPid'), bytes: field('VmRSS') * 1024 };
}
