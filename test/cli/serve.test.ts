import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { serve } from '../../src/cli/serve.js';
import { ConfigError, defineConfig, type Options } from '../../src/config/config.js';
import { createOrchestrator } from '../../src/server/orchestrator.js';
import { silentLog, type Log } from '../../src/log.js';
import { send } from '../support/http.js';
import { initialize } from '../support/messages.js';
import { RawMcp } from '../support/rawMcp.js';

const start = (options: Options, search = {}, log = silentLog, prepare = () => Promise.resolve()) =>
  serve(defineConfig({ port: 0, ...options }), search, log, { prepare });

test.each([
  ['an executable', { executablePath: '/nowhere' }, {}, /--executable-path names \/nowhere/],
  ['an executable of CHROME_PATH', {}, { chromePath: '/nowhere' }, /CHROME_PATH names \/nowhere/],
  ['a folder', { workspace: [process.cwd(), '/nowhere'] }, {}, /--workspace: "\/nowhere" is not allowed/],
  [
    'the folder of an audit log',
    { auditLog: '/nowhere/log' },
    {},
    /^--audit-log \/nowhere\/log cannot be written \(.*\): name a file .*\.$/,
  ],
  ['a display', { headless: false }, { hasDisplay: false }, /^--headless=false opens a window.*under xvfb-run\.$/],
  ['a tool group', { tools: ['core', 'foo'] }, {}, /--tools: Unknown tool group "foo". Groups: core, all/],
])('%s that is not there is refused in one line before anything is installed', async (_, options, search, line) => {
  const install = () => Promise.reject(new Error('installed'));
  const refused = await start(options, search, silentLog, install).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(ConfigError);
  expect(refused).toMatchObject({ message: expect.stringMatching(line) });
});

test('a sandbox is refused to root, whom Chrome gives none', async () => {
  const starting = start({ sandbox: 'on', lease: 'lazy' });
  const isRefused = process.platform === 'linux' && process.getuid?.() === 0;
  if (isRefused) await expect(starting).rejects.toThrow(/^--sandbox on: .* as root: leave it out/);
  else await (await starting).close();
});

test('a window that needs no display is not refused', async () => {
  const chromeArg = ['--ozone-platform=headless'];
  await (await start({ headless: false, chromeArg, lease: 'lazy' }, { hasDisplay: false })).close();
});

test('a browser to attach to that does not answer is warned of with its cause and the fix; it may come later', async () => {
  const log: string[] = [];
  const note: Log['warn'] = (message, fields) => void log.push(`${message} ${String(fields?.['error'] ?? '')}`.trim());
  const running = await start({ browserUrl: 'http://127.0.0.1:1' }, {}, { ...silentLog, warn: note, info: note });
  await running.close();
  const warning = /^browser to attach to is unreachable No browser answers at .*--remote-debugging-port/;
  expect(log).toEqual([expect.stringMatching(warning), 'ready']);
});

test('a port in use is one error, and no line of the log', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const log: string[] = [];
  const note = (message: string): void => void log.push(message);
  await expect(start({ port }, {}, { ...silentLog, error: note, warn: note, info: note })).rejects.toThrow(/in use/);
  expect(log).toEqual([]);
  taken.close();
});

test('a server in code refuses an unknown tool group as it refuses any wrong option', async () => {
  await expect(createOrchestrator({ options: { tools: ['foo'] } })).rejects.toBeInstanceOf(ConfigError);
});

test('SIGHUP takes over what can change, names what needs a restart, and a wrong value changes nothing', async () => {
  const lines: unknown[] = [];
  const note: Log['info'] = (message, fields) => void lines.push({ message, ...fields });
  const running = await start({ prewarm: 0, lease: 'lazy' }, {}, { ...silentLog, info: note, error: note });
  const first = await new RawMcp(running.url).initialize();
  const listening = await first.listen();
  const userQuota = ['processes=2'];
  const wanted = { port: 4000, maxSessionsPerUser: 1, userQuota, logLevel: 'debug' } as const;
  const config = running.reload(() => defineConfig(wanted));
  expect(config).toMatchObject({ port: 0, maxSessionsPerUser: 1, logLevel: 'debug' });
  const said = { message: 'configuration reloaded', changed: '--max-sessions-per-user --user-quota --log-level' };
  expect(lines.at(-1)).toEqual({ ...said, needsRestart: '--port --lease --prewarm' });
  const told = "The operator has changed the server's options: --max-sessions-per-user 1, --user-quota processes=2.";
  await listening.when(({ messages }) => JSON.stringify(messages).includes(told));
  const used = await send(`${running.url}/api/usage`);
  expect(used.json).toMatchObject({ users: [{ user: 'local', quotas: { processes: 2 } }] });
  const refused = await new RawMcp(running.url).post(initialize(1));
  expect(refused.status).toBe(429);
  expect(running.reload(() => defineConfig({ port: 'x' }))).toBe(config);
  expect(lines.at(-1)).toMatchObject({ message: 'configuration not reloaded: nothing has changed' });
  await first.delete();
  await running.close();
});
