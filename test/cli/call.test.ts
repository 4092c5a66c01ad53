import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { call } from '../../src/cli/call.js';
import { findRunningServer } from '../../src/server/portHolder.js';
import { endNamedSession, listNamedSessions } from '../../src/cli/namedSessions.js';
import { selftest } from '../../src/selftest/runSelftest.js';
import { ToolError } from '../../src/errors/errors.js';
import { defineTextTool, defineTool } from '../../src/tools/defineTool.js';
import { FakeBrowserPool } from '../support/fakeBrowserPool.js';
import { startTestServer, whenAllEnded, type TestServer } from '../support/testServer.js';
import { serveGuarded } from '../tenancy/support/guardedServer.js';
import { mainProgram } from '../support/root.js';

const echo = defineTool({
  name: 'echo',
  needs: 'nothing',
  group: 'session',
  description: 'Says a word with the id of its session.',
  input: z.strictObject({ word: z.string() }),
  output: z.strictObject({}),
  annotations: { readOnlyHint: true },
  async handler({ word }, { session }) {
    if (word === 'bad') throw new ToolError('That word is not said.');
    return { text: `${word} ${session.id}`, structured: {} };
  },
});

const draw = defineTextTool({
  name: 'draw',
  description: 'Draws.',
  input: z.strictObject({}),
  annotations: { readOnlyHint: true },
  async handler() {
    return {
      text: '',
      content: [{ type: 'image', mimeType: 'image/png', data: Buffer.from('picture').toString('base64') }],
    };
  },
});

const say = (word: string) => ({ tool: 'echo', args: { word } });

describe('greenroom call', () => {
  let pool: FakeBrowserPool;
  let served: TestServer;
  let lines: string[];
  const write = (line: string): void => void lines.push(line);

  beforeEach(async () => {
    lines = [];
    pool = new FakeBrowserPool();
    served = await startTestServer({ pool, tools: [echo, draw] });
  });
  afterEach(() => served.close());

  test.each(['', '/', '/sse', '/sse?userId=alice'])('takes the address of a server that ends in "%s"', async (end) => {
    expect(await call({ url: `${served.url}${end}`, calls: [say('hello')], write })).toBe(0);
    expect(lines).toEqual([expect.stringMatching(/^hello /)]);
  });

  test('calls its tools in order in one session, and stops at the first that fails', async () => {
    expect(await call({ url: served.url, calls: [say('one'), say('two'), say('bad'), say('four')], write })).toBe(1);
    const [one = '', two = '', ...rest] = lines;
    expect([one.split(' ')[0], two.split(' ')[0], rest]).toEqual(['one', 'two', ['That word is not said.']]);
    expect(one.split(' ')[1]).toBe(two.split(' ')[1]);
  });

  test('an unknown tool is one line, without the code of the protocol and with the command that lists the tools', async () => {
    const calling = call({ url: served.url, calls: [{ tool: 'nothing', args: {} }], write });
    await expect(calling).rejects.toThrow(/^Unknown tool: nothing\. List the tools: greenroom tools$/);
  });

  test('with a name, a session is kept from one command to the next, listed and ended', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'greenroom-named-'));
    const kept = { folder };
    const notes: string[] = [];
    const options = {
      url: served.url,
      session: { name: 'work', kept },
      write,
      note: (line: string) => notes.push(line),
    };
    for (const word of ['one', 'two']) expect(await call({ ...options, calls: [say(word)] })).toBe(0);
    const [one = '', two = ''] = lines;
    expect(one.split(' ')[1]).toBe(two.split(' ')[1]);
    expect(notes).toEqual([expect.stringContaining('greenroom sessions --end work')]);
    expect(await listNamedSessions(kept)).toEqual([expect.stringMatching(/^work +open +http:/)]);
    expect((await stat(join(folder, 'work.json'))).mode & 0o077).toBe(0);
    expect(await endNamedSession('work', kept)).toBe('work has ended.');
    expect(served.orchestrator.registry.list()).toEqual([]);
    await expect(endNamedSession('work', kept)).rejects.toThrow('No session is called "work". None is kept.');

    // One that the server has ended meanwhile is opened anew.
    await call({ ...options, calls: [say('three')] });
    await served.orchestrator.registry.closeWhere(() => true);
    expect(await call({ ...options, calls: [say('four')] })).toBe(0);
    expect(notes).toHaveLength(3);
    await endNamedSession('work', kept);

    // What a newer version wrote is left alone.
    const file = join(folder, 'work.json');
    await writeFile(file, '{"version":2}');
    const refused = `${file} was written by a newer version (format 2): use that version, or remove the file`;
    await expect(call({ ...options, calls: [say('five')] })).rejects.toThrow(refused);
    await expect(listNamedSessions(kept)).rejects.toThrow(refused);
    expect(await readFile(file, 'utf8')).toBe('{"version":2}');

    // One that cannot be kept does not stay open at the server.
    const session = { name: 'other', kept: { folder: join(file, 'below') } };
    await expect(call({ ...options, session, calls: [say('six')] })).rejects.toThrow(
      /^The session cannot be kept: .*choose another --data-dir\.$/,
    );
    await whenAllEnded(served);
    await rm(folder, { recursive: true });
  });

  test('prints results as JSON, or writes pictures where it is told', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'greenroom-output-'));
    const draw = { tool: 'draw', args: {} };
    expect(await call({ url: served.url, calls: [draw, draw], output: join(folder, 'shot.png'), write })).toBe(0);
    expect(await call({ url: served.url, calls: [draw], output: `${folder}/all/`, write })).toBe(0);
    expect((await readdir(folder, { recursive: true })).toSorted()).toEqual([
      'all',
      'all/draw-1.png',
      'shot-2.png',
      'shot.png',
    ]);
    expect(await readFile(join(folder, 'shot.png'), 'utf8')).toBe('picture');
    const below = join(folder, 'shot.png', 'below', 'shot.png');
    await expect(call({ url: served.url, calls: [draw], output: below, write })).rejects.toThrow(
      /^The image cannot be written to \S+: .*ENOTDIR.* Name another place with --output\.$/,
    );
    lines = [];
    expect(await call({ url: served.url, calls: [say('hello'), say('bad')], asJson: true, write })).toBe(1);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { tool: 'echo', content: [{ type: 'text' }] },
      { tool: 'echo', isError: true },
    ]);
    await rm(folder, { recursive: true });
  });

  test('[S8] says why the server refused', async () => {
    pool.holdLeases();
    const called = call({ url: served.url, calls: [say('hello')], write });
    await pool.whenWaiting();
    pool.failLeases('browser_failed', 'Chrome could not be started: no display.');
    await expect(called).rejects.toThrow(/^Chrome could not be started: no display\.$/);
  });

  test('finds a server that is running, and nothing else', async () => {
    const [{ port }, other] = [new URL(served.url), createServer((_, response) => response.end('{}'))];
    expect(await findRunningServer({ host: '127.0.0.1', port: Number(port) })).toMatchObject({
      url: served.url,
      requiresToken: false,
    });
    await once(other.listen(0, '127.0.0.1'), 'listening');
    const { port: taken } = other.address() as AddressInfo;
    expect(await findRunningServer({ host: '127.0.0.1', port: taken })).toBeUndefined();
    await expect(call({ url: `http://127.0.0.1:${taken}`, calls: [], write })).rejects.toThrow(/does not answer as/);
    await new Promise((resolve) => other.close(resolve));
    expect(await findRunningServer({ host: '127.0.0.1', port: taken })).toBeUndefined();
  });
});

test('the process says that it calls a server that runs already, apart from the answers', async () => {
  const served = await startTestServer({ pool: new FakeBrowserPool(), tools: [echo] });
  const args = [mainProgram, 'call', '--port', new URL(served.url).port, 'echo', '{"word":"hello"}'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  expect(stdout).toMatch(/^hello \S+\n$/);
  expect(stderr).toBe(`Using the running server at ${served.url}.\n`);
  await served.close();
});

describe('where no server answers', () => {
  let url: string;

  beforeAll(async () => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    url = `http://127.0.0.1:${(gone.address() as AddressInfo).port}`;
    await new Promise((resolve) => gone.close(resolve));
  });

  test('call and selftest say so', async () => {
    const lines: string[] = [];
    const write = (line: string): void => void lines.push(line);
    await expect(call({ url, calls: [], write })).rejects.toThrow(`Cannot reach ${url} (`);
    const startServer = () => Promise.reject(new Error('not asked for'));
    expect(await selftest({ url, sessions: 1, write, startServer })).toBe(1);
    expect(lines[0]).toMatch(/Cannot reach .*: is a server running there\? Start one with: greenroom serve$/);
  });

  test('the process ends: nothing goes on trying', async () => {
    const ended = promisify(execFile)(process.execPath, [mainProgram, 'call', 'list_pages', '--url', `${url}/sse`]);
    await expect(ended).rejects.toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/Cannot reach/) });
  });
});

test('[C-SECRETS] call and selftest show their token to a server with authentication, and to nobody else', async () => {
  const guarded = await serveGuarded({ tools: [echo] });
  const { url } = guarded;
  const { token } = await guarded.issueToken('anna');
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  expect(await call({ url, token, calls: [say('hello')], write })).toBe(0);
  await expect(call({ url, calls: [], write })).rejects.toThrow(/^A valid token is required/);
  const startServer = () => Promise.reject(new Error('not asked for'));
  expect(await selftest({ url, token, sessions: 1, write, startServer })).toBe(1);
  expect(lines).toContain('0 passed, 1 failed');
  expect(lines.join()).toContain('echo');
  const port = Number(new URL(url).port);
  expect(await findRunningServer({ host: '127.0.0.1', port })).toMatchObject({ url, requiresToken: true });
  const wrong = `${token}x`;
  await expect(call({ url, token: wrong, calls: [], write })).rejects.toThrow(/^This token is not valid/);
  expect([...lines, ...guarded.log].join()).not.toContain(token);
  await guarded.close();
});
