import { spawn } from 'node:child_process';

/** The official programs want a newer Node than this package does; npm carries one. */
const node = 'node@22';

export interface Ran {
  readonly code: number | null;
  readonly output: string;
}

/** Runs a program of a package that is fetched for it, on Node 22; ends it when its time is up. */
export function runOfficial(
  { program, version, cwd, timeoutMs }: { program: string; version: string; cwd: string; timeoutMs: number },
  args: readonly string[],
): Promise<Ran> {
  const packages = [`--package=${node}`, `--package=${version}`];
  return new Promise((resolve, reject) => {
    const child = spawn('npm', ['exec', '--yes', ...packages, '--', program, ...args], {
      cwd,
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: timeoutMs,
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}
