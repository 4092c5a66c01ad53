import { tmpdir } from 'node:os';
import { homedir } from 'node:os';
import { join } from 'node:path';
import {
  ConfigError,
  defineConfig,
  flagOf,
  isLoopback,
  options,
  optionNames,
  readConfig,
  stdioDefaults,
  variableOf,
  type ConfigSources,
} from '../../src/config/config.js';

const read = (given: Partial<ConfigSources>) => readConfig({ flags: {}, environment: {}, ...given });
const file = (values: Record<string, unknown>) => ({ path: 'greenroom.json', values });

/** The one line that a wrong value is answered with. */
function complaint(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message).not.toContain('\n');
    return error.message;
  }
  throw new Error('It was accepted.');
}

test('[C-CONFIG] a flag wins over the environment, that over the file, that over the default', () => {
  const [flags, environment, values] = [{ port: '1' }, { GREENROOM_PORT: '2' }, file({ port: 3 })];
  expect(read({ flags, environment, file: values }).port).toBe(1);
  expect(read({ environment, file: values }).port).toBe(2);
  expect(read({ file: values }).port).toBe(3);
  expect(read({}).port).toBe(32122);
});

test('[C-CONFIG] each source is read for each option by itself', () => {
  const config = read({
    flags: { maxSessions: '7' },
    environment: { GREENROOM_IDLE_TIMEOUT: '5m', PATH: '/bin' },
    file: file({ 'body-limit': '1mb', lease: 'lazy' }),
  });
  expect(config).toMatchObject({ maxSessions: 7, idleTimeout: 300_000, bodyLimit: 1_048_576, lease: 'lazy' });
});

test('[C-CONFIG] the defaults are the ones of the contract', () => {
  expect(read({})).toMatchObject({
    host: '127.0.0.1',
    port: 32122,
    auth: 'none',
    browser: 'launch',
    headless: true,
    lease: 'eager',
    isolation: 'auto',
    maxSessions: 100,
    maxSessionsPerUser: 20,
    initializeTimeout: 30_000,
    idleTimeout: 1_800_000,
    bodyLimit: 4_194_304,
    tools: ['extension', 'core', 'sources', 'debugger', 'styles'],
    logLevel: 'info',
  });
});

describe('users who are told apart', () => {
  const token = { auth: 'token', adminToken: 'the-operator-token-of-this-test' } as const;

  test.each([
    [{}, 'auto', [process.cwd(), tmpdir()]],
    [token, 'process', []],
    [{ ...token, isolation: 'auto' as const }, 'process', []],
    [{ auth: 'jwt' as const, jwtIssuer: 'https://example.com', jwtAudience: 'greenroom' }, 'process', []],
    [{ ...token, isolation: 'context' as const, workspace: ['/srv'] }, 'context', ['/srv']],
    [{ ...token, browserUrl: 'http://127.0.0.1:9222' }, 'profile', []],
  ])(
    '[C-CONFIG] [S6] share no browser process and no folder unless the operator names it: %j',
    (given, isolation, workspace) => {
      expect(defineConfig(given)).toMatchObject({ isolation, workspace });
    },
  );
});

test('[C-CONFIG] the configuration cannot be changed', () => {
  const config = defineConfig({});
  expect(Object.isFrozen(config)).toBe(true);
});

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['30m', 1_800_000],
  ['2h', 7_200_000],
  ['0ms', 0],
  [1_500, 1_500],
])('[C-CONFIG] the duration %p is %d ms', (given, expected) => {
  expect(defineConfig({ idleTimeout: given }).idleTimeout).toBe(expected);
});

test.each([
  ['512kb', 524_288],
  ['4mb', 4_194_304],
  ['4MB', 4_194_304],
  ['10b', 10],
  [99, 99],
])('[C-CONFIG] the size %p is %d bytes', (given, expected) => {
  expect(defineConfig({ bodyLimit: given }).bodyLimit).toBe(expected);
});

test.each([
  ['port', '99999', '--port: "99999" is not allowed. Allowed: a whole number from 0 to 65535.'],
  ['port', 'x', '--port: "x" is not allowed. Allowed: a whole number from 0 to 65535.'],
  [
    'proxyPlace',
    '4/3',
    '--proxy-place: "4/3" is not allowed. Allowed: a position in a number of servers, such as 1/3.',
  ],
  [
    'proxyPlace',
    '0/3',
    '--proxy-place: "0/3" is not allowed. Allowed: a position in a number of servers, such as 1/3.',
  ],
  ['port', '1.5', '--port: "1.5" is not allowed. Allowed: a whole number from 0 to 65535.'],
  ['idleTimeout', '30', '--idle-timeout: "30" is not allowed. Allowed: a duration such as 500ms, 30s, 30m or 2h.'],
  ['idleTimeout', 1.5, '--idle-timeout: 1.5 is not allowed. Allowed: a duration such as 500ms, 30s, 30m or 2h.'],
  ['idleTimeout', -1, '--idle-timeout: -1 is not allowed. Allowed: a duration such as 500ms, 30s, 30m or 2h.'],
  ['idleTimeout', '-1s', '--idle-timeout: "-1s" is not allowed. Allowed: a duration such as 500ms, 30s, 30m or 2h.'],
  ['bodyLimit', '4gb', '--body-limit: "4gb" is not allowed. Allowed: a size such as 512kb or 4mb.'],
  ['bodyLimit', '', '--body-limit: "" is not allowed. Allowed: a size such as 512kb or 4mb.'],
  ['lease', 'soon', '--lease: "soon" is not allowed. Allowed: one of eager, lazy.'],
  ['auth', 'basic', '--auth: "basic" is not allowed. Allowed: one of none, token, jwt.'],
  ['dataDir', '', '--data-dir: "" is not allowed.'],
  ['jwtIssuer', 'example.com', '--jwt-issuer: "example.com" is not allowed. Allowed: an address such as'],
  [
    'publicUrl',
    'https://example.com/mcp?a=b',
    '--public-url: "https://example.com/mcp?a=b" is not allowed. Allowed: an address without query and fragment',
  ],
  ['headless', 'maybe', '--headless: "maybe" is not allowed. Allowed: true or false.'],
  [
    'browserUrl',
    'ftp://x',
    '--browser-url: "ftp://x" is not allowed. Allowed: an address such as http://127.0.0.1:9222',
  ],
  ['logLevel', 'loud', '--log-level: "loud" is not allowed. Allowed: one of error, warn, info, debug.'],
  ['allowedOrigins', '*', '--allowed-origins * needs authentication'],
  ['allowedHosts', 'localhost,*', '--allowed-hosts * needs authentication'],
  ['allowedOrigins', 'https://*.example.com', '"https://*.example.com" is not allowed. Allowed: whole names'],
  ['allowedHosts', '*.example.com', '--allowed-hosts: "*.example.com" is not allowed. Allowed: whole names'],
  ['allowedOrigins', 'null', '--allowed-origins null is not allowed: every sandboxed page'],
  ['maxSessions', '0', '--max-sessions: "0" is not allowed. Allowed: a whole number from 1 to 1000000.'],
])('[C-CONFIG] --%s %p is refused in one line that says what is allowed', (name, value, expected) => {
  expect(complaint(() => read({ flags: { [name]: value } }))).toContain(expected);
});

test('[C-CONFIG] an empty variable is one that is not set; an empty flag or key is no number', () => {
  const empty = Object.fromEntries(optionNames.map((name) => [variableOf(name), '']));
  expect(read({ environment: empty })).toEqual(read({}));
  const allowed = ' is not allowed. Allowed: a whole number from 0 to 65535.';
  expect(complaint(() => read({ flags: { port: '' } }))).toBe(`--port: ""${allowed}`);
  for (const port of [null, true, [], ' '])
    expect(complaint(() => read({ file: file({ port }) }))).toBe(
      `"port" in greenroom.json: ${JSON.stringify(port)}${allowed}`,
    );
  expect(complaint(() => read({ flags: { executablePath: '' } }))).toMatch(/Allowed: a value that is not empty\.$/);
  expect(complaint(() => read({ file: file({ host: 5 }) }))).toMatch(/5 is not allowed\. Allowed: a string\.$/);
});

test.each(['[', 'a b', '10.0.0.0/99', '10.0/8', 'fe80::/129', '300.1.1.1/8'])(
  '[C-CONFIG] the pattern %p, which would match nothing, is refused',
  (pattern) => {
    for (const name of ['allowedUrls', 'blockedUrls'])
      expect(complaint(() => defineConfig({ [name]: [pattern] }))).toMatch(
        /^--(allowed|blocked)-urls: ".*Allowed: a host/,
      );
  },
);

test('[C-CONFIG] hosts, globs and networks are patterns', () => {
  const blockedUrls = [
    'example.com',
    '*.a.example:8080',
    'https://a.example/docs/*',
    '*/private/*',
    'file:*',
    '[::1]:80',
  ];
  const networks = ['10.0.0.0/8', 'fe80::/10', '[fd00::]/8', '*://127.0.0.1:*', 'http://[::1]/a', 'fe.de/12'];
  expect(defineConfig({ blockedUrls: [...blockedUrls, ...networks] }).blockedUrls).toHaveLength(12);
});

test('[C-CONFIG] a wrong value is blamed on where it was set', () => {
  expect(complaint(() => read({ environment: { GREENROOM_PORT: 'x' } }))).toMatch(/^GREENROOM_PORT: "x"/);
  expect(complaint(() => read({ file: file({ port: 'x' }) }))).toMatch(/^"port" in greenroom\.json: "x"/);
});

test('[C-CONFIG] an unknown key is named, with those that exist', () => {
  const inFile = complaint(() => read({ file: file({ prot: 1 }) }));
  expect(inFile).toContain('greenroom.json: unknown key "prot"');
  expect(inFile).toContain('port');
  expect(complaint(() => read({ environment: { GREENROOM_PROT: '1' } }))).toContain('Unknown variable GREENROOM_PROT');
  expect(complaint(() => defineConfig({ prot: 1 }))).toContain('Unknown option "prot"');
});

test.each([
  [{ browser: 'launch', browserUrl: 'http://127.0.0.1:9222' }, '--browser launch contradicts --browser-url'],
  [{ browser: 'attach' }, '--browser attach needs --browser-url'],
  [{ isolation: 'profile' }, '--isolation profile needs a browser to attach to'],
  [{ browserUrl: 'http://127.0.0.1:9222', isolation: 'process' }, '--isolation process starts browsers'],
  [{ browserUrl: 'http://127.0.0.1:9222', isolation: 'auto' }, '--isolation auto starts browsers'],
])('[C-CONFIG] %j contradicts itself', (values, expected) => {
  expect(complaint(() => defineConfig(values))).toContain(expected);
});

test.each([
  [{ host: '0.0.0.0', auth: 'token', adminToken: 'x'.repeat(16) }, '--host 0.0.0.0 needs --allowed-hosts'],
  [{ auth: 'token' }, 'set GREENROOM_ADMIN_TOKEN'],
  [{ jwtIssuer: 'https://issuer.example', jwtAudience: 'a' }, 'have no effect with --auth none: set --auth jwt'],
  [{ auth: 'token', adminToken: 'x'.repeat(16), metricsToken: 'x'.repeat(16) }, "equals the operator's token"],
  [{ auth: 'jwt', jwtIssuer: 'https://issuer.example' }, '--auth jwt needs --jwt-issuer and --jwt-audience'],
  [{ auth: 'jwt', jwtAudience: 'a' }, '--auth jwt needs --jwt-issuer and --jwt-audience'],
])('[C-CONFIG][C-AUTH] %j is not enough to start with', (values, expected) => {
  expect(complaint(() => defineConfig(values))).toContain(expected);
});

test('[C-CONFIG][C-AUTH] with authentication on, any address may be listened on under the names that are given', () => {
  const config = defineConfig({
    host: '0.0.0.0',
    auth: 'token',
    adminToken: 'x'.repeat(16),
    allowedHosts: 'mcp.example.com',
    publicUrl: 'https://mcp.example.com/gr/',
  });
  expect(config).toMatchObject({ host: '0.0.0.0', publicUrl: 'https://mcp.example.com/gr' });
});

test.each(['short', 'with spaces in between', `${'x'.repeat(20)}\n`])(
  "[C-CONFIG][C-SECRETS] the operator's token %j is refused without being repeated",
  (value) => {
    const line = complaint(() => read({ environment: { GREENROOM_ADMIN_TOKEN: value } }));
    expect(line).toBe(
      'GREENROOM_ADMIN_TOKEN: the value is not allowed. Allowed: at least 16 characters without spaces.',
    );
  },
);

test('[C-CONFIG] users are kept where the programs of this user keep their data', () => {
  expect(read({ environment: { XDG_DATA_HOME: '/data' } }).dataDir).toBe('/data/greenroom');
  expect(read({ environment: { XDG_DATA_HOME: '' } }).dataDir).toBe(join(homedir(), '.local/share/greenroom'));
  expect(read({ environment: { XDG_DATA_HOME: '/data', GREENROOM_DATA_DIR: '/own' } }).dataDir).toBe('/own');
});

test('[C-CONFIG] --browser-url implies to attach, and the profile of the attached browser', () => {
  const config = defineConfig({ browserUrl: 'ws://127.0.0.1:9222/devtools/browser/x' });
  expect(config).toMatchObject({ browser: 'attach', isolation: 'profile' });
});

test('[C-CONFIG] --browser-url names any number of browsers, each once', () => {
  const [one, two] = ['http://127.0.0.1:9222', 'wss://chrome.example/devtools?token=x'];
  expect(defineConfig({ browserUrl: [one, two, one] }).browserUrl).toEqual([one, two]);
  expect(defineConfig({ browserUrl: `${one}, ${two}` }).browserUrl).toEqual([one, two]);
  expect(complaint(() => defineConfig({ browserUrl: [one, 'chrome'] }))).toContain('Allowed: an address such as');
});

test.each([
  '0.0.0.0',
  '::',
  '[::]',
  '192.168.1.4',
  'example.com',
  'localhost.example.com',
  '127.0.0.1.example.com',
  '::ffff:10.0.0.1',
])('[C-CONFIG] the host %s is refused while authentication is off', (host) => {
  expect(isLoopback(host)).toBe(false);
  expect(complaint(() => read({ flags: { host } }))).toContain(`--host ${host} is not loopback`);
});

test.each(['127.0.0.1', '127.1.2.3', 'localhost', '::1', '[::1]'])('[C-CONFIG] the host %s is loopback', (host) => {
  expect(defineConfig({ host }).host).toBe(host);
});

test('[C-CONFIG] lists are read from commas as well as from arrays', () => {
  expect(read({ environment: { GREENROOM_TOOLS: 'core, extension' } }).tools).toEqual(['core', 'extension']);
  expect(read({ flags: { allowedHosts: ['a', 'b'] } }).allowedHosts).toEqual(['a', 'b']);
});

test('every option has a flag, a variable and words that explain it', () => {
  expect(optionNames.map(flagOf)).toContain('--max-sessions-per-user');
  expect(variableOf('maxSessionsPerUser')).toBe('GREENROOM_MAX_SESSIONS_PER_USER');
  for (const schema of Object.values(options.shape)) expect(schema.description).toMatch(/\w \w/);
});

test.each([
  ['alertFailureRate', '0', 'above 0, up to 1'],
  ['alertFailureRate', '1.5', 'above 0, up to 1'],
  ['alertFailureRate', 'often', 'above 0, up to 1'],
  ['alertWindow', '999ms', 'at least 1s'],
  ['alertMinCreations', '0', 'a whole number from 1'],
  ['alertWebhook', 'ftp://example.com/', 'http or https'],
  ['alertWebhook', 'https://me:secret@example.com/', 'without a user name'],
])('[C-CONFIG][C-ALARM] --%s %s is refused in one line', (name, value, allowed) => {
  const line = complaint(() => read({ flags: { [name]: value } }));
  expect(line).toContain(flagOf(name));
  expect(line).toContain(allowed);
  expect(line).not.toContain('me:secret');
});

test.each(['hunter2', 'whsec_c2hvcnQ=', 'whsec_not base64, but long enough to be a key of some kind'])(
  '[C-CONFIG][C-WEBHOOK] a secret that is not allowed is not repeated: %s',
  (secret) => {
    const line = complaint(() => read({ environment: { GREENROOM_ALERT_WEBHOOK_SECRET: secret } }));
    expect(line).toMatch(/^GREENROOM_ALERT_WEBHOOK_SECRET: the value is not allowed. Allowed: `whsec_`/);
    expect(line).not.toContain(secret);
  },
);

test("[C-CONFIG] a command's own defaults give way to file, environment and flag", () => {
  const read = (environment: Record<string, string>, flags = {}) =>
    readConfig({ defaults: stdioDefaults, environment, flags, file: { path: 'f', values: {} } }).lease;
  expect([read({}), read({ GREENROOM_LEASE: 'eager' }), read({}, { lease: 'eager' })]).toEqual([
    'lazy',
    'eager',
    'eager',
  ]);
  const file = { path: 'f', values: { lease: 'eager' } };
  expect(readConfig({ defaults: stdioDefaults, environment: {}, flags: {}, file })).toMatchObject({
    lease: 'eager',
    idleTimeout: 168 * 3_600_000,
  });
});

test('flags for Chrome are taken one by one, and none by which the server reaches it', () => {
  const chromeArg = ['--lang=de', '--disable-features=A,B'];
  expect(defineConfig({ chromeArg }).chromeArg).toEqual(chromeArg);
  expect(defineConfig({ chromeArg: chromeArg.join(' ') }).chromeArg).toEqual(chromeArg);
  for (const flag of ['lang=de', '--remote-debugging-port=1', '--user-data-dir=/x', '--no-sandbox'])
    expect(() => defineConfig({ chromeArg: [flag] })).toThrow(
      /--chrome-arg: .* is not allowed\. Allowed: a flag such as/,
    );
});

test.each<[Record<string, unknown>, string]>([
  [{ browser: 'launch', browserAutoConnect: true }, '--browser launch contradicts --browser-auto-connect: leave one'],
  [{ browserUrl: 'http://a:1', browserAutoConnect: true }, '--browser-auto-connect finds the browser itself'],
  [{ browserUrl: 'http://a:1', userDataDir: '/p' }, '--user-data-dir is for a Chrome on this machine'],
  [{ channel: 'beta', executablePath: '/p' }, '--channel finds the Chrome and contradicts --executable-path'],
  [{ channel: 'beta', browserUrl: 'http://a:1' }, '--channel finds the Chrome and contradicts --browser-url'],
  [{ userDataDir: '/p', isolation: 'context' }, '--user-data-dir is one profile that all sessions share'],
  [{ browserHeader: 'A: b' }, '--browser-header needs a browser to attach to: add --browser-url'],
  [
    { browserHeader: 'no header', browserUrl: 'http://a:1' },
    '--browser-header: the value is not allowed. Allowed: `Name',
  ],
  [{ isolation: 'profile' }, '--isolation profile needs a browser to attach to: add --browser-url, or --user-data-dir'],
  [{ browser: 'attach' }, '--browser attach needs --browser-url, for example http://127.0.0.1:9222, or --browser-auto'],
  [{ browserUrl: 'http://a:1', executablePath: '/p' }, '--executable-path is for a Chrome that the server starts'],
  [{ browserUrl: 'http://a:1', proxyServer: 'http://p' }, '--proxy-server is for a Chrome that the server starts'],
  [{ browserAutoConnect: true, chromeArg: ['--lang=de'] }, '--chrome-arg is for a Chrome that the server starts'],
  [{ proxyServer: 'http://me:pw@p:1' }, 'without credentials: Chrome sends none to a proxy'],
  [{ channel: 'nightly' }, '--channel: "nightly" is not allowed. Allowed: one of stable, beta, dev, canary'],
])('[C-CONFIG] of browsers that are there already, %j is refused in one line', (given, line) => {
  expect(complaint(() => defineConfig(given))).toContain(line);
});

test('[C-CONFIG] a profile that exists once is shared by the sessions of a user', () => {
  expect(defineConfig({ userDataDir: '/p' })).toMatchObject({ browser: 'launch', isolation: 'profile' });
  expect(defineConfig({ browserAutoConnect: true })).toMatchObject({ browser: 'attach', isolation: 'profile' });
  expect(defineConfig({ browserAutoConnect: true, userDataDir: '/p', channel: 'beta' }).isolation).toBe('profile');
});
