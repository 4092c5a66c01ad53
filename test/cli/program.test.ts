import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { runProgram, type CallArguments, type ToolsArguments } from '../../src/cli/program.js';

const run = (...args: string[]) => runIn({}, ...args);

/** Runs a command line against commands that only say that they were called. */
async function runIn(environment: Record<string, string>, ...args: string[]) {
  const errors: string[] = [];
  const ran: string[] = [];
  const requests: CallArguments[] = [];
  const note = (name: string) => async () => {
    ran.push(name);
    return 0;
  };
  const call = async (request: CallArguments) => {
    ran.push('call');
    requests.push(request);
    return 0;
  };
  const commands = {
    serve: note('serve'),
    stdio: note('stdio'),
    selftest: note('selftest'),
    doctor: note('doctor'),
    installBrowser: note('install-browser'),
    top: note('top'),
    call,
    tools: async ({ name }: ToolsArguments) => {
      ran.push(`tools ${name ?? ''}`);
      return 0;
    },
    sessions: note('sessions'),
    completion: note('completion'),
    skills: note('skills'),
  };
  const code = await runProgram(args, environment, commands, (line) => void errors.push(line));
  return { code, errors, ran, request: requests[0] };
}

test.each([[[]], [['--port', '4000']], [['--headless=false']], [['serve']], [['serve', '--port', '4000']]])(
  'the command line %j serves',
  async (args) => {
    expect(await run(...args)).toMatchObject({ code: 0, ran: ['serve'], errors: [] });
  },
);

test.each([
  [['--headless', 'list_pages'], true],
  [['--headless', 'false', 'list_pages'], false],
  [['--headless=no', 'list_pages'], false],
  [['--browser-auto-connect', 'list_pages'], true],
])('of the command line call %j the last word is the tool', async (args, value) => {
  const { request, errors } = await run('call', ...args);
  expect([request?.calls, errors]).toEqual([[{ tool: 'list_pages', args: {} }], []]);
  const { headless, browserAutoConnect } = request?.config ?? {};
  expect(args[0] === '--browser-auto-connect' ? browserAutoConnect : headless).toBe(value);
});

test.each([
  ['a misspelt command', ['docter'], /^greenroom: unknown command 'docter' \(Did you mean doctor\?\)/],
  ['flags before the command', ['--port', '1', 'call', 'x'], /command comes before its flags: greenroom call --port …/],
  ['a word that serve does not take', ['--port', '1', 'x'], /too many arguments for 'serve'/],
  ['an address that is none', ['call', '--url', 'localhost:1', 'x'], /--url: "localhost:1" is not allowed. Allowed: /],
  ['arguments that are not JSON', ['call', 'new_page', '{url}'], /arguments of new_page are not JSON/],
  ['arguments that are no object', ['call', 'new_page', '[1]'], /arguments of new_page must be a JSON object/],
  [
    'a number of sessions that is none',
    ['selftest', '--sessions', '0'],
    /--sessions: "0" is not allowed. Allowed: 1 to/,
  ],
  ['a call of nothing', ['call'], /Name a tool, or a --file of calls/],
  ['a script that is not there', ['call', '--file', '/nowhere'], /--file \/nowhere: ENOENT/],
  ['a session name that is a path', ['call', '--session', '../x', 'list_pages'], /--session: "..\/x" is not allowed/],
  ['something else to do with skills', ['skills', 'remove'], /Allowed choices are list, install/],
  ['arguments without a tool', ['call', '{}'], /Expected the name of a tool: \{\}/],
])('%s: one line, exit 2, and nothing is run', async (_, args, line) => {
  const { code, errors, ran } = await run(...args);
  expect([code, ran]).toEqual([2, []]);
  expect(errors).toEqual([expect.stringMatching(line)]);
  expect(errors[0]).not.toContain('\n');
});

test('the help of call is about the command, and with the name of a tool about that tool', async () => {
  expect((await run('call', 'new_page', '--help')).ran).toEqual(['tools new_page']);
  expect((await run('call', '-h', 'new_page')).ran).toEqual([]);
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
  await run('call', '--help');
  const help = spy.mock.calls.map(([text]) => String(text)).join('');
  spy.mockRestore();
  for (const flag of ['--session', '--file', '--json', '--output', '--url', '--token', '--port'])
    expect(help).toContain(flag);
  expect(help).not.toMatch(/--alert-webhook|--body-limit/);
  expect(help.split('\n').length).toBeLessThan(45);
});

test('the help of top lists the flags that select a server, and not those of a server that it does not start', async () => {
  const spy = jest.spyOn(process.stdout, 'write').mockImplementation(() => true);
  await run('top', '--help');
  const help = spy.mock.calls.map(([text]) => String(text)).join('');
  spy.mockRestore();
  for (const flag of ['--url', '--port', '--admin-token']) expect(help).toContain(flag);
  expect(help).not.toMatch(/--isolation|--body-limit/);
});

test('a script has a call on each line; empty lines and comments are skipped', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-script-'));
  const file = join(folder, 'calls');
  await writeFile(file, '# open\nnew_page {"url": "http://a"}\n\n  list_pages\n');
  const { request } = await run('call', 'get_session_info', '--file', file, '--json', '--output', 'shot.png');
  expect(request).toMatchObject({ asJson: true, output: 'shot.png' });
  expect(request?.calls).toEqual([
    { tool: 'get_session_info', args: {} },
    { tool: 'new_page', args: { url: 'http://a' } },
    { tool: 'list_pages', args: {} },
  ]);
  await rm(folder, { recursive: true });
});

test('call takes several tools; one without arguments may stand alone', async () => {
  const { request } = await run('call', 'new_page', '{"url":"http://a"}', 'list_pages', 'take_snapshot', '{}');
  expect(request?.calls).toEqual([
    { tool: 'new_page', args: { url: 'http://a' } },
    { tool: 'list_pages', args: {} },
    { tool: 'take_snapshot', args: {} },
  ]);
});

test('call may use a running server unless a flag asks for one of another kind', async () => {
  expect((await run('call', 'list_pages', '--port', '4000')).request?.mayReuse).toBe(true);
  expect((await run('call', 'list_pages', '--headless=false')).request?.mayReuse).toBe(false);
});

test('[C-SECRETS] a token is taken from the flag, else from the variable, and is never repeated', async () => {
  const environment = { GREENROOM_TOKEN: 'from-the-variable' };
  expect((await runIn(environment, 'call', 'list_pages')).request?.token).toBe('from-the-variable');
  const both = await runIn(environment, 'call', '--token', 'from-the-flag', 'list_pages');
  expect(both.request).toMatchObject({ token: 'from-the-flag', mayReuse: true });
  const wrong = [
    await run('call', '--token', 'a secret', 'list_pages'),
    await runIn({ GREENROOM_TOKEN: 'a secret' }, 'selftest'),
  ];
  for (const { code, errors, ran } of wrong) {
    expect([code, ran, errors]).toEqual([2, [], [expect.stringMatching(/TOKEN|--token/)]]);
    expect(errors.join()).not.toContain('a secret');
  }
});
