import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
