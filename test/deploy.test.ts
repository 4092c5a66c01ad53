import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultFlags } from '../src/browser/process/launchBrowser.js';
import { codeOf } from '../src/errors/errors.js';
import { flagOf, optionNames, readConfig, variableOf } from '../src/config/config.js';
import { RawMcp } from './support/rawMcp.js';
import { call } from './support/messages.js';
import { root } from './support/root.js';
import { send } from './support/http.js';
import { startTestServer } from './support/testServer.js';
import { TestTools } from './support/testTools.js';

const read = (name: string): Promise<string> => readFile(join(root, '.deploy', name), 'utf8');

/** The variables of the server that a file sets, with what a person would set in place of `${…}`. */
function variablesIn(text: string): Record<string, string> {
  const uncommented = text.replace(/^ *#.*$/gm, '');
  const set = [
    ...uncommented.matchAll(/\b(GREENROOM_[A-Z_]+)(?:=|: )('[^']*'|\$\{[^}]*\}|[^\s,}\\]+(?:,[^\s,}\\]+)*)/g),
  ];
  return Object.fromEntries(
    set.map(([, name = '', value = '']) => [
      name,
      value
        .replaceAll("'", '')
        .replace(/^\$\{\w+:-(.*)\}$/, '$1')
        .replace(/^\$\{.*\}$/, `a-token-of-this-test-${name}`),
    ]),
  );
}

test('every variable of container, compose file and unit is one of the server, with a value that it takes', async () => {
  const [container, compose, unit] = await Promise.all(
    ['Containerfile', 'compose.yaml', 'greenroom.service'].map(read),
  );
  const inContainer = variablesIn(container ?? '');
  const alone = readConfig({
    flags: {},
    environment: { ...inContainer, GREENROOM_ADMIN_TOKEN: 'a-token-of-this-test' },
  });
  expect(alone).toMatchObject({ host: '0.0.0.0', port: 32122, auth: 'token', sandbox: 'off', dataDir: '/data' });
  const node = readConfig({ flags: {}, environment: { ...inContainer, ...variablesIn(compose ?? '') } });
  expect(node).toMatchObject({ browser: 'attach', isolation: 'context', nodeId: 'node-3' });
  expect(node.browserUrl).toEqual(['http://10.77.3.11:9223', 'http://10.77.3.12:9223']);
  for (const address of node.browserUrl ?? []) expect(compose).toContain(`ipv4_address: ${new URL(address).hostname}`);
  const service = variablesIn(`${unit}\nGREENROOM_ADMIN_TOKEN=a-token-of-this-test`);
  expect(readConfig({ flags: {}, environment: service })).toMatchObject({ auth: 'token', dataDir: '%S/greenroom' });
});

test('the ports of container, compose file and proxy are the same ones', async () => {
  const [container = '', compose = '', nginx = '', browser = ''] = await Promise.all(
    ['Containerfile', 'compose.yaml', 'nginx.conf', 'browser.sh'].map(read),
  );
  const port = String(readConfig({ flags: {}, environment: {} }).port);
  expect(/^EXPOSE (\d+)$/m.exec(container)?.[1]).toBe(port);
  expect(variablesIn(container)['GREENROOM_PORT']).toBe(port);
  const nodes = [...compose.matchAll(/^ {2}(node-\d):$/gm)].map(([, name]) => `${name}:${port}`);
  expect([...nginx.matchAll(/^ {2}server ([^;]+);/gm)].map(([, address]) => address)).toEqual(nodes);
  expect(nodes).toHaveLength(3);
  const listens = /listen (\d+);/.exec(nginx)?.[1];
  expect(compose).toContain(`:8080:${listens}'`);
  expect(browser).toContain('TCP-LISTEN:9223,fork,reuseaddr TCP:127.0.0.1:9222');
  expect(browser).toContain('--remote-debugging-port=9222');
});

test('a browser of the pool runs with the flags of one that a node launches', async () => {
  const flags = (await read('browser.sh')).match(/--[a-z][^\s\\]*/g) ?? [];
  expect(flags).toEqual(expect.arrayContaining(defaultFlags));
});

test('the proxy of the compose file is the one that the page on many nodes shows and the tests run', async () => {
  const page = await readFile(join(root, 'src/cluster/README.md'), 'utf8');
  const serverOf = (text: string): string => /^map .*\nserver \{[\s\S]*?^\}$/m.exec(text)?.[0] ?? '';
  expect(serverOf(await read('nginx.conf'))).toBe(serverOf(page));
  expect(serverOf(page)).toContain('proxy_buffering off');
});

test('the container has all that the package has, and runs as nobody in particular', async () => {
  const container = await read('Containerfile');
  const { files } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { files: string[] };
  const needed = files.map((file) => file.replace(/\/\*.*$/, '')).filter((file) => file !== '.claude-plugin');
  const copied = [...container.matchAll(/^COPY --from=build \/build\/(\S+)/gm)].map(([, path]) => path ?? '');
  expect(needed.filter((file) => !copied.some((path) => file === path || file.startsWith(`${path}/`)))).toEqual([]);
  expect(container.indexOf('USER greenroom')).toBeGreaterThan(container.indexOf('useradd'));
  expect(container).toMatch(/^HEALTHCHECK [\s\S]*\/ready/m);
  expect(container).toMatch(/^ENTRYPOINT \["\/usr\/bin\/tini", "--", "node"/m);
});

test('a parser of compose files takes ours, and asks for the tokens, where this machine has one', async () => {
  // Debian's is older than the key `name`.
  const input = (await read('compose.yaml')).replace(/^name: .*$/m, '');
  const parse = (env: object) => {
    const args = ['--project-directory', join(root, '.deploy'), '-f', '-', 'config'];
    return spawnSync('docker-compose', args, { input, env: { PATH: process.env['PATH'], ...env }, encoding: 'utf8' });
  };
  const tokens = { GREENROOM_ADMIN_TOKEN: 'x'.repeat(16), GREENROOM_METRICS_TOKEN: 'y'.repeat(16) };
  const parsed = parse(tokens);
  expect([undefined, 'ENOENT']).toContain(codeOf(parsed.error));
  if (parsed.error !== undefined) return;
  expect([parsed.status, parsed.stderr]).toEqual([0, '']);
  const services = [...parsed.stdout.matchAll(/^ {2}([a-z]+(?:-\d)?):$/gm)].map(([, name]) => name);
  expect(services).toEqual(expect.arrayContaining(['browser-1', 'browser-2', 'nginx', 'node-1', 'node-3', 'redis']));
  expect(parse({ GREENROOM_ADMIN_TOKEN: tokens.GREENROOM_ADMIN_TOKEN }).stderr).toMatch(/TOKEN.*: set the token/);
});

test('systemd takes the units and finds the service little exposed, where this machine has systemd', () => {
  const [service, socket] = ['service', 'socket'].map((kind) => join(root, `.deploy/greenroom.${kind}`));
  const checked = spawnSync('systemd-analyze', ['verify', service ?? '', socket ?? '']);
  expect([undefined, 'ENOENT']).toContain(codeOf(checked.error));
  expect(String(checked.stderr)).not.toMatch(/greenroom\.(service|socket)/);
  const exposure = ['security', '--offline=true', '--no-pager', '--threshold=30', service ?? ''];
  if (checked.error === undefined) expect(spawnSync('systemd-analyze', exposure).status).toBe(0);
});

test('the socket of systemd listens where the service would', async () => {
  const { host, port } = readConfig({ flags: {}, environment: {} });
  expect(await read('greenroom.socket')).toContain(`\nListenStream=${host}:${port}\n`);
});

/** The names of metrics in a query, each with the labels that it selects or groups by. */
function metricsIn(query: string): { name: string; labels: string[] }[] {
  const grouped = [...query.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', '));
  const ofScrape = new Set(['job', 'instance', 'le']);
  return [...query.matchAll(/\b((?:greenroom|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)].map(
    ([, name = '', selected = '']) => ({
      name,
      labels: [...[...selected.matchAll(/\b(\w+)(?:=~?|!=)/g)].map(([, label = '']) => label), ...grouped].filter(
        (label) => !ofScrape.has(label),
      ),
    }),
  );
}

test('every metric and label of the alert rules and of the dashboard is one that the server tells', async () => {
  const served = await startTestServer({ tools: new TestTools().all });
  const client = await new RawMcp(served.url).initialize();
  await client.post(call(1, 'echo', { value: 'x', toolCallId: 'a' }));
  await send(`${served.url}/nothing`);
  const { text } = await send(`${served.url}/metrics`);
  await served.close();
  const told = new Map<string, Set<string>>();
  // Without a browser process there is no memory to tell.
  for (const [, name = ''] of text.matchAll(/^# TYPE (\w+)/gm)) told.set(name, new Set());
  for (const [, name = '', labels = ''] of text.matchAll(/^(\w+)(?:\{(.*)\})? \S+$/gm)) {
    const known = told.get(name) ?? new Set();
    for (const [, label = ''] of labels.matchAll(/\b(\w+)="/g)) known.add(label);
    told.set(name, known);
  }
  const dashboard = JSON.parse(await read('grafana/greenroom.json')) as {
    panels: { title: string; targets: { expr: string; legendFormat: string }[] }[];
  };
  const rules = await read('prometheus/greenroom.rules.yml');
  const queries = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const ruleQueries = [...rules.matchAll(/ expr: (?:>-\n)?((?: {10}.*\n)+|.*\n)/g)].map(([, expr = '']) => expr);
  expect(ruleQueries).toHaveLength(12);
  const used = [...queries, ...ruleQueries].flatMap(metricsIn);
  expect(used.length).toBeGreaterThan(35);
  const wrong = used.filter(
    ({ name, labels }) => !labels.every((label) => told.get(name)?.has(label) === true) || !told.has(name),
  );
  expect(wrong).toEqual([]);
  const shown = new Set(used.map(({ name }) => name.replace(/_(bucket|sum|count)$/, '')));
  const own = [...text.matchAll(/^# TYPE (greenroom_\w+)/gm)].map(([, name = '']) => name);
  expect(own.filter((name) => !shown.has(name))).toEqual([]);
  const recorded = [...rules.matchAll(/record: (\S+)/g)].map(([, name]) => name);
  for (const [name] of rules.matchAll(/greenroom:\w+:\w+/g)) expect(recorded).toContain(name);
});

test('the rules and files speak of flags and variables that exist', async () => {
  const names = [
    'prometheus/greenroom.rules.yml',
    'prometheus/prometheus.yml',
    'nginx.conf',
    'Containerfile',
    'compose.yaml',
  ];
  const texts = await Promise.all(names.map(read));
  const flags = new Set(optionNames.map(flagOf));
  const variables = new Set(optionNames.map(variableOf));
  const speaks = texts.slice(0, 3).flatMap((text) => text.match(/--[a-z][a-z-]+/g) ?? []);
  expect(speaks.length).toBeGreaterThan(4);
  expect(speaks.filter((flag) => !flags.has(flag))).toEqual([]);
  expect(
    texts.flatMap((text) => text.match(/GREENROOM_[A-Z_]+/g) ?? []).filter((name) => !variables.has(name)),
  ).toEqual([]);
});
