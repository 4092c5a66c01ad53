import { spawn, type ChildProcess } from 'node:child_process';
import { Readable, Writable } from 'node:stream';
import { codeOf, messageOf } from '../../errors.js';
import { PipeTransport } from './pipeTransport.js';

/** A running Chrome of ours. Owned by whoever started it, who calls `kill` and waits for `ended`. */
export interface ChromeProcess {
  readonly pid: number | undefined;
  readonly transport: PipeTransport;
  /** Resolves when the process is gone or could not be started. Never rejects. */
  readonly ended: Promise<void>;
  /** The last lines that Chrome wrote, or why it did not start. */
  lastWords(): string;
  /** Ends Chrome with all its children at once: its profile is thrown away, so there is nothing to save. */
  kill(): void;
}

const keptLines = 8;

/** Starts Chrome in a process group of its own, with the protocol on file descriptors 3 and 4. */
export function startChrome(executablePath: string, args: readonly string[], temporaryFolder: string): ChromeProcess {
  const [command, commandArgs] = withTemporaryFolder(executablePath, args, temporaryFolder);
  const child = spawn(command, commandArgs, {
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'],
  });
  let words: string[] = [];
  const note = (text: string): void => {
    words = [...words, ...text.split('\n').filter((line) => line.trim() !== '')].slice(-keptLines);
  };
  child.stderr?.setEncoding('utf8').on('data', note);
  const [toBrowser, fromBrowser] = [child.stdio[3], child.stdio[4]];
  if (!(toBrowser instanceof Writable && fromBrowser instanceof Readable)) throw new Error('Chrome has no pipes.');
  const transport = new PipeTransport(toBrowser, fromBrowser);
  transport.ondrop = (because) => {
    note(because);
    killGroup(child);
  };
  return {
    pid: child.pid,
    transport,
    ended: untilEnded(child, (cause) => {
      if (words.length === 0) note(cause);
    }),
    lastWords: () => words.join('\n'),
    kill: () => killGroup(child),
  };
}

/**
 * Chrome leaves a socket folder in the temporary folder when it is killed; this one is removed with the profile. `env`
 * replaces itself by Chrome and keeps the rest of the environment. Elsewhere the long path would not fit a socket name.
 */
function withTemporaryFolder(executable: string, args: readonly string[], folder: string): [string, readonly string[]] {
  if (process.platform !== 'linux') return [executable, args];
  return ['/usr/bin/env', [`TMPDIR=${folder}`, executable, ...args]];
}

function untilEnded(child: ChildProcess, note: (cause: string) => void): Promise<void> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      // SIGKILL is ours, and says nothing of why.
      if (signal !== 'SIGKILL') note(`it ended with ${signal ?? `exit code ${code}`}, without a word.`);
      resolve();
    });
    child.once('error', (error) => {
      note(messageOf(error));
      resolve();
    });
  });
}

function killGroup(child: ChildProcess): void {
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
