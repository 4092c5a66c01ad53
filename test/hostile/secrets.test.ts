import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSecrets } from '../../src/config/secretsFile.js';
import { openHouse, type House, type Tenant } from './support/house.js';

const value = 'planted-S3cret';
const password = 'pl4nted-password';

let folder: string;
let house: House;
let tenant: Tenant;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'greenroom-secrets-'));
  const secrets = join(folder, 'secrets.env');
  await writeFile(secrets, `LOGIN=${value}\n`);
  house = await openHouse({ secrets, isolation: 'context' });
  tenant = await house.tenant('anna');
  await tenant.data('new_page', { url: house.web });
});
afterAll(async () => {
  await house.close();
  await rm(folder, { recursive: true, force: true });
});

test.each([
  ['a pipe, which would be waited for', (file: string) => void execFileSync('mkfifo', [file])],
  ['a device without end', (file: string) => symlinkSync('/dev/zero', file)],
  ['a folder', (file: string) => mkdirSync(file)],
  ['a file without end', (file: string) => writeFileSync(file, 'x'.repeat(2 * 1024 ** 2))],
])('a file of secrets that has become %s is refused while the server runs', async (_what, make) => {
  const file = join(await mkdtemp(join(folder, 'changed-')), 'secrets.env');
  make(file);
  expect(() => readSecrets(file, { mayWait: false })).toThrow(/^--secrets: .*(no file that can be read again|bytes)/);
});

const fieldSource = `() => {
  document.body.innerHTML = '<label>Name <input id="field"></label>';
  document.querySelector('#field').focus();
}`;

test.each(['fill', 'fill_form', 'type_text'])('%s types a secret by its name, and no tool shows it', async (tool) => {
  await tenant.evaluate(fieldSource);
  const snapshot = JSON.stringify(await tenant.data('take_snapshot'));
  const uid = /uid=(\S+) textbox/.exec(snapshot)?.[1] ?? '';
  const args = {
    fill: { uid, value: 'LOGIN' },
    fill_form: { elements: [{ uid, value: 'LOGIN' }] },
    type_text: { text: 'LOGIN' },
  }[tool];
  const answers = [await tenant.attempt(tool, args)];
  const typed = "() => document.querySelector('#field').value";
  expect(await tenant.evaluate(`() => (${typed})() === 'planted-' + 'S3cret'`)).toBe(true);
  await tenant.evaluate(`() => {
    const value = (${typed})();
    console.log(value, { value });
    localStorage.setItem('kept', value);
    document.cookie = 'kept=' + encodeURIComponent(value);
    document.body.append(value);
    document.title = value;
    void fetch('/?' + value, { headers: { authorization: 'Bearer ' + value } });
    setTimeout(() => { throw new Error(value); });
  }`);
  answers.push(await tenant.attempt('evaluate_script', { function: typed }));
  answers.push(await tenant.attempt('evaluate_script', { function: `() => btoa((${typed})())` }));
  answers.push(await tenant.everything());
  const leaks = [value, Buffer.from(value).toString('base64')].filter((secret) => answers.join('\n').includes(secret));
  expect(leaks).toEqual([]);
  expect(answers.join('\n')).toContain('<secret>LOGIN</secret>');
});

test('nor do sources, errors, files of evidence, resources and the list of processes', async () => {
  await tenant.evaluate(fieldSource);
  const { snapshot } = await tenant.data('take_snapshot');
  const uid = /uid=(\S+) textbox/.exec(JSON.stringify(snapshot))?.[1] ?? '';
  await tenant.data('fill', { uid, value: 'LOGIN' });
  await tenant.evaluate(`() => {
    const value = document.querySelector('#field').value;
    (0, eval)('function leak() { return "' + value + '"; }\\n//# sourceURL=leak-' + value + '.js');
    void fetch('/posted', { method: 'POST', body: value, headers: { cookie2: value } });
    new WebSocket('ws://127.0.0.1:9/' + value);
    document.body.insertAdjacentHTML('beforeend', '<a href="/' + value + '" aria-label="' + value + '">' + value + '</a>');
  }`);
  const attempts: [string, object][] = [
    ['list_sources', {}],
    ['search_sources', { text: 'planted' }],
    ['get_source', { file: 'leak' }],
    ['export_har', {}],
    ['export_script', {}],
    ['list_websocket_frames', {}],
    ['get_element_styles', { uid }],
    ['list_event_listeners', { uid }],
    ['audit_accessibility', {}],
    ['find_in_snapshot', { text: 'planted' }],
    ['wait_for', { text: value, timeout: 100 }],
    ['evaluate_script', { function: "() => { throw new Error(document.querySelector('#field').value); }" }],
    ['evaluate_script', { function: "() => Promise.reject(document.querySelector('#field').value)" }],
    ['navigate_page', { url: `http://127.0.0.1:9/${value}` }],
    ['set_page_storage', { action: 'save' }],
  ];
  const seen: Record<string, string> = {};
  for (const [tool, args] of attempts) seen[tool] = `${seen[tool] ?? ''}${await tenant.attempt(tool, { ...args })}`;
  seen['resources'] = await tenant.resources();
  seen['processes'] = await processesBelow(process.pid);
  for (const [way, text] of Object.entries(seen))
    expect({ way, shows: text.includes(value) || text.includes('Wrong arguments') }).toEqual({ way, shows: false });
  expect(seen['search_sources']).toContain('<secret>LOGIN</secret>');
  expect(seen['resources']).toContain('<secret>LOGIN</secret>');
  expect(seen['processes']).toContain('--remote-debugging-pipe');
});

/** Arguments and environments of the processes that a process has started, as any program of this user sees them. */
async function processesBelow(parent: number): Promise<string> {
  const read = (pid: string, name: string): Promise<string> => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '');
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const parents = new Map<number, number>();
  for (const pid of pids) parents.set(Number(pid), Number(/^PPid:\s*(\d+)/m.exec(await read(pid, 'status'))?.[1]));
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (pid === parent || isBelow(parents.get(pid)));
  const below = pids.filter((pid) => isBelow(parents.get(Number(pid))));
  const texts = await Promise.all(below.flatMap((pid) => [read(pid, 'cmdline'), read(pid, 'environ')]));
  return texts.join('\n');
}

test('no tool shows the credentials of an address', async () => {
  const at = (rest: string): string => `${house.web.replace('://', `://anna:${password}@`)}${rest}`;
  const attempts = [
    ['navigate_page', { url: at('/') }],
    ['navigate_page', { url: at(`/to?${encodeURIComponent(at('/landed'))}`) }],
    ['navigate_page', { url: `http://anna:${password}@127.0.0.1:9/` }],
    ['navigate_page', { url: `http://anna:${password}@[broken/` }],
    ['navigate_page', { url: `ftp://anna:${password}@a.example/` }],
    ['install_extension', { url: at('/x.zip') }],
    ['new_page', { url: at('/') }],
  ] as const;
  for (const [tool, args] of attempts) {
    expect(await tenant.attempt(tool, args)).not.toContain(password);
    await tenant.attempt('evaluate_script', { function: "() => { console.log('hello'); throw new Error('boom'); }" });
    expect((await tenant.everything()).includes(password)).toBe(false);
  }
});
