import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { Readable, Writable } from 'node:stream';
import { readdir, readFile } from 'node:fs/promises';
import { codeOf, messageOf } from '../../errors/errors.js';
import { PipeTransport } from './pipeTransport.js';

/** A running Chrome of ours. Owned by whoever started it, who calls `kill` and waits for `ended`. */
export interface ChromeProcess {
  readonly pid: number | undefined;
  readonly transport: PipeTransport;
  /** Resolves when the process is gone or could not be started. Never rejects. */
  readonly exited: Promise<void>;
  /** The last lines that Chrome wrote, or why it did not start. */
  stderrTail(): string;
  /** Ends Chrome with all its children at once: its profile is thrown away, so there is nothing to save. */
  kill(): void;
}

const maxStderrLines = 8;

/** Starts Chrome in a process group of its own, with the protocol on file descriptors 3 and 4. */
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
  if (!(toBrowser instanceof Writable && fromBrowser instanceof Readable)) throw new Error('Chrome has no pipes.');
  const transport = new PipeTransport(toBrowser, fromBrowser);
  transport.ondrop = (because) => {
    appendLines(because);
    killProcessGroup(child);
  };
  return {
    pid: child.pid,
    transport,
    exited: whenExited(child, (cause) => {
      if (stderrLines.length === 0) appendLines(cause);
    }),
    stderrTail: () => stderrLines.join('\n'),
    kill: () => killProcessGroup(child),
  };
}

/** What Chrome needs of the server's environment. Everything else stays here: there are tokens and passwords in it. */
const neededVariables = [
  ...['PATH', 'LANG', 'LANGUAGE', 'LC_ALL', 'LC_CTYPE', 'TZ', 'USER', 'LOGNAME', 'LD_LIBRARY_PATH'],
  ...['FONTCONFIG_FILE', 'FONTCONFIG_PATH', 'CHROME_DEVEL_SANDBOX', '__CF_USER_TEXT_ENCODING'],
  ...['DISPLAY', 'WAYLAND_DISPLAY', 'XDG_RUNTIME_DIR', 'XDG_SESSION_TYPE', 'DBUS_SESSION_BUS_ADDRESS'],
  ...['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY'],
];

const passNeeded = neededVariables.map((name) => `\${${name}+"${name}=$${name}"}`).join(' ');

/**
 * The first argument is Chrome's temporary folder, the second its home, or nothing for the user's. The certificates that
 * the user trusts are linked into a home of Chrome's own. The shell replaces itself by Chrome, whose process id is then
 * that of the child.
 */
const start = `
temporary=$1 home=\${2:-$HOME} cookie=\${XAUTHORITY:-$HOME/.Xauthority}
if [ -n "$2" ] && [ -d "$HOME/.pki" ]; then ln -sf "$HOME/.pki" "$2/.pki"; fi
shift 2
exec env -i ${passNeeded} \${DISPLAY+"XAUTHORITY=$cookie"} HOME="$home" TMPDIR="$temporary" "$@"
`;

/**
 * Chrome leaves a socket folder in the temporary folder when it is killed; this one is removed with the profile. Its home
 * is there too, so that nothing of a session ends in the user's; a snap finds its own files only from the user's home.
 * On macOS the long path would not fit a socket name, and the keychain is in the user's home.
 */
function withOwnEnvironment(executable: string, args: readonly string[], folder: string): [string, readonly string[]] {
  if (process.platform === 'win32') return [executable, args];
  const isLinux = process.platform === 'linux';
  const home = isLinux && !executable.startsWith('/snap/') ? folder : '';
  return ['/bin/sh', ['-c', start, 'chrome', isLinux ? folder : tmpdir(), home, executable, ...args]];
}

function whenExited(child: ChildProcess, onCause: (cause: string) => void): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      // SIGKILL is ours, and says nothing of why.
      if (signal !== 'SIGKILL') onCause(`it ended with ${signal ?? `exit code ${code}`}, without a word.`);
      resolve();
    });
    child.once('error', (error) => {
      onCause(messageOf(error));
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
    // No such group: it is gone already, which is what was asked for.
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

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
