import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initialize } from '../support/messages.js';
import { mainProgram } from '../support/root.js';
import { RawSse } from '../support/rawSse.js';
import { RawStdio } from '../support/rawStdio.js';
import { startServerProcess } from './support/serverProcess.js';

/** Loaded before the server: a promise that nobody handles is rejected when SIGUSR2 comes. */
const source = "process.on('SIGUSR2', () => void Promise.reject(new TypeError('planted defect')));";
const planted = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(source)}` };

const defectIn = (lines: readonly string[]) =>
  lines.filter((line) => line.includes('planted defect')).map((line) => JSON.parse(line) as Record<string, unknown>);

const defect = {
  level: 'error',
  message: 'unhandled rejection: internal error, the server stops',
  error: 'planted defect',
  stack: expect.stringContaining('TypeError: planted defect\n    at '),
};

test('[C-DRAIN][S5] an unhandled rejection is logged with its stack, and the server drains and exits with 1', async () => {
  const server = await startServerProcess([], undefined, planted);
  try {
    const stream = await new RawSse(server.url).whenInitialized();
    server.child.kill('SIGUSR2');
    expect(await server.exited).toEqual([1, null]);
    await stream.whenClosed();
    expect(stream.text).toContain('The server is shutting down.');
    expect(defectIn(server.log)).toMatchObject([defect]);
    expect(server.log.at(-1)).toContain('"stopped"');
    expect([await server.browsers(), await server.leftovers()]).toEqual([[], []]);
  } finally {
    await server.dispose();
  }
});

test('[C-STDIO][S5] over stdio too: the client is told, and the exit code is 1', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-e2e-'));
  const child = spawn(process.execPath, [mainProgram, 'stdio', '--log-format', 'json'], {
    env: { ...process.env, TMPDIR: folder, ...planted },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => log.push(text));
  const exited = once(child, 'exit');
  const client = new RawStdio(child.stdin, child.stdout);
  client.send(initialize('first'));
  await client.answer('first');
  child.kill('SIGUSR2');
  expect(await exited).toEqual([1, null]);
  expect(defectIn(log.join('').split('\n'))).toMatchObject([defect]);
  await rm(folder, { recursive: true, force: true });
});
