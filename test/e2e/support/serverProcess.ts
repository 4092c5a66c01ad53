import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { chromium } from '../../support/chromium.js';
import { mainProgram } from '../../support/root.js';

export interface ServerProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Resolves with code and signal when the process has ended. */
  readonly exited: Promise<readonly [number | null, NodeJS.Signals | null]>;
  /** Everything it wrote to its log, line by line. */
  readonly log: readonly string[];
  /** Browser processes of this server that are alive. */
  browsers(): Promise<number[]>;
  /** What is left in the server's temporary folder. */
  leftovers(): Promise<string[]>;
  /** Ends the process, however it fares, and removes its temporary folder. */
  dispose(): Promise<void>;
}

/** A real server process with a temporary folder of its own, so that its browsers and files can be told from others. */
export async function startServerProcess(
  flags: readonly string[] = [],
  program = mainProgram,
  env: NodeJS.ProcessEnv = {},
): Promise<ServerProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-e2e-'));
  const args = [program, 'serve', '--port', '0', '--log-format', 'json', ...flags];
  const child = spawn(process.execPath, args, {
    env: { ...process.env, TMPDIR: folder, CHROME_PATH: chromium, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  const log: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      log.push(line);
      const ready = /"sse":"(http:[^"]+)\/sse"/.exec(line)?.[1];
      if (ready !== undefined) resolve(ready);
    });
    void exited.then(([code]) => reject(new Error(`the server ended with ${code}: ${log.join('\n')}`)));
  });
  const browsers = (): Promise<number[]> => processesWith(folder);
  return {
    url,
    child,
    exited,
    log,
    browsers,
    leftovers: () => readdir(folder),
    dispose: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
      await waitUntil(async () => (await browsers()).length === 0);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Processes whose command line names the folder. */
async function processesWith(folder: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    pids.map(async (pid) => ({ pid, command: await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') })),
  );
  return commands.filter(({ command }) => command.includes(`--user-data-dir=${folder}`)).map(({ pid }) => Number(pid));
}

/** Waits for what nobody tells of from outside (processes of the operating system), for as long as the test may take. */
export async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await pause(50);
}
