import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execPath } from 'node:process';
import { createInterface } from 'node:readline';

/**
 * What `greenroom serve` loads until it answers /ready: everything that a start needs, and nothing for later. A package
 * that appears here has to be worth its time at every start; one for a browser, a token or a trace is imported where it is
 * first used.
 */
const expected = [
  '@modelcontextprotocol/sdk',
  '@opentelemetry/api',
  'commander',
  'express',
  'lru-cache',
  'negotiator',
  'p-retry',
  'prom-client',
  'proxy-addr',
  'rate-limiter-flexible',
  'winston',
  'ws',
  'xstate',
  'zod',
];

/** Files of ours and of others together. */
const mostFiles = 865;

test('a start loads the packages that it uses, and no others', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-startup-'));
  const record = join(folder, 'loaded');
  try {
    await startAndStop(folder, record);
    const files = [...new Set((await readFile(record, 'utf8')).split('\n'))].filter((file) => file !== '');
    const { dependencies } = JSON.parse(await readFile('package.json', 'utf8')) as { dependencies: object };
    const loaded = Object.keys(dependencies).filter((name) =>
      files.some((file) => file.includes(`/node_modules/${name}/`)),
    );
    expect(loaded.toSorted()).toEqual(expected);
    expect(files.length).toBeLessThan(mostFiles);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

/** The command as it is installed, with a browser that is named, so that none is looked for; it leases none. */
async function startAndStop(folder: string, record: string): Promise<void> {
  const hook = join(process.cwd(), 'dist/test/support/recordLoads.js');
  const flags = ['--port', '0', '--lease', 'lazy', '--log-format', 'json', '--data-dir', folder];
  const server = spawn(
    execPath,
    ['--import', hook, 'dist/src/main.js', 'serve', ...flags, '--executable-path', execPath],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, RECORD_LOADS: record } },
  );
  const ended = once(server, 'exit');
  try {
    for await (const line of createInterface({ input: server.stderr })) {
      const { message, mcp } = JSON.parse(line) as { message: string; mcp?: string };
      if (message !== 'ready' || mcp === undefined) continue;
      expect((await fetch(new URL('/ready', mcp))).status).toBe(200);
      break;
    }
  } finally {
    server.kill('SIGTERM');
    await ended;
  }
}
