import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { sampleExtensionFolder } from '../../src/selftest/pageServer.js';
import { RawStdio } from '../support/rawStdio.js';
import { waitUntil } from './support/serverProcess.js';
import { mainProgram } from '../support/root.js';

const initialize = {
  jsonrpc: '2.0',
  id: 'first',
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
};
const call = (name: string, args: object) => ({
  jsonrpc: '2.0',
  id: name,
  method: 'tools/call',
  params: { name, arguments: args },
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'greenroom-e2e-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

function start(...flags: string[]) {
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(
    process.execPath,
    [mainProgram, 'stdio', ...flags],
    {
      env: { ...process.env, TMPDIR: folder },
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  const log: string[] = [];
  child.stderr.setEncoding('utf8').on('data', (text: string) => log.push(text));
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  return { child, log, exited, client: new RawStdio(child.stdin, child.stdout) };
}

/** Processes whose command line names the test's folder: browsers of the server. */
async function browsers(): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return commands.filter((command) => command.includes(`--user-data-dir=${folder}`));
}

const expectNothingLeft = () =>
  waitUntil(async () => (await browsers()).length === 0 && (await readdir(folder)).length === 0);

test('[C-STDIO] the official client works a page and an extension; after it nothing is left', async () => {
  const client = new Client({ name: 'e2e', version: '1.0.0' });
  const errors: Error[] = [];
  // What is no message on the output comes here.
  client.onerror = (error) => void errors.push(error);
  const env = Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => !!entry[1]));
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [mainProgram, 'stdio', '--structured', '--log-level', 'debug'],
    env: { ...env, TMPDIR: folder },
    stderr: 'ignore',
  });
  await client.connect(transport);
  expect(await browsers()).toEqual([]);
  const installed = await client.callTool({ name: 'install_extension', arguments: { path: sampleExtensionFolder } });
  expect(installed.isError).not.toBe(true);
  await client.callTool({ name: 'new_page', arguments: { url: 'data:text/html,<title>Hello</title>' } });
  const answer = await client.callTool({ name: 'evaluate_script', arguments: { function: '() => document.title' } });
  expect(answer).toMatchObject({ structuredContent: { result: '"Hello"' } });
  expect((await browsers()).length).toBeGreaterThan(0);
  await client.close();
  await expectNothingLeft();
  expect(errors).toEqual([]);
});

test('[C-STDIO][S5] kill -9 of the parent: neither the server nor its browser nor a folder is left', async () => {
  // A parent in between, which holds the other ends of the pipes and reports the pid of the server.
  const script = `
    const { spawn } = require('node:child_process');
    const child = spawn(process.execPath, [${JSON.stringify(mainProgram)}, 'stdio', '--lease', 'eager'], { stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdin.write(${JSON.stringify(`${JSON.stringify(initialize)}\n`)});
    child.stdout.once('data', () => console.log(child.pid));`;
  const parent = spawn(process.execPath, ['-e', script], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [output] = (await once(parent.stdout, 'data')) as [Buffer];
  const pid = Number(output.toString());
  expect((await browsers()).length).toBeGreaterThan(0);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  await expectNothingLeft();
  await waitUntil(async () => !(await readdir('/proc')).includes(String(pid)));
});

test('[C-STDIO][C-DRAIN] SIGTERM: the exit is calm, and the browser gone', async () => {
  const { child, client, exited } = start('--lease', 'eager');
  client.send(initialize);
  await client.answer('first');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
  await expectNothingLeft();
});

test('[C-STDIO][S8] without a browser the first request is answered with the cause, and the exit code is 1', async () => {
  const { client, exited } = start('--lease', 'eager', '--executable-path', '/bin/false');
  client.send(initialize);
  expect(await client.answer('first')).toMatchObject({ error: { data: { reason: 'browser_failed' } } });
  expect(await exited).toEqual([1, null]);
  await expectNothingLeft();
});

test('[C-STDIO] with a lazy lease the same failure is the answer of the tool, and the session goes on', async () => {
  const { client, exited } = start('--executable-path', '/bin/false');
  client.send(initialize);
  expect(await client.answer('first')).toMatchObject({ result: { serverInfo: { name: 'greenroom' } } });
  client.send(call('list_pages', {}));
  expect(await client.answer('list_pages')).toMatchObject({ result: { isError: true } });
  client.closeInput();
  expect(await exited).toEqual([0, null]);
});

test('[C-STDIO][C-CONFIG] a wrong flag is one line on standard error, and nothing on standard output', async () => {
  const { client, log, exited } = start('--lease', 'never');
  expect(await exited).toEqual([2, null]);
  expect(log.join('')).toMatch(/^greenroom: --lease: "never" is not allowed\. Allowed: .*\n$/);
  expect(client.text).toBe('');
});
