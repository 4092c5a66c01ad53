import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { manifestJson } from '../support/extensionBrowser.js';
import { zip } from '../support/zipWriter.js';
import { openTenants, type TwoTenants } from './support/tenants.js';

const secret = 'the-secret-of-the-victim';

const uploadPage = `() => {
  document.body.innerHTML = '<input type=file aria-label=Choose>';
  document.querySelector('input').onchange = async ({ target }) => { window.read = await target.files[0].text(); };
  return 1;
}`;

let pages: PageServer;

beforeAll(async () => {
  pages = await startPageServer();
});
afterAll(() => pages.close());

describe('a tenant for whom the operator named the temporary folder', () => {
  let tenants: TwoTenants;
  let root: string;
  /** Of the victim, on the disk of the server. */
  let places: { readonly own: string; readonly extension: string; readonly profile: string; readonly state: string };

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'greenroom-hostile-'));
    const data = join(root, 'data');
    await mkdir(data);
    tenants = await openTenants(['--workspace', tmpdir()], data);
    const { victim, attacker } = tenants;
    await victim.data('new_page', { url: `${pages.url}/index.html` });
    await victim.evaluate(`() => { document.cookie = 'key=${secret}'; return 1; }`);
    const archive = zip([
      { name: 'manifest.json', content: manifestJson('Private') },
      { name: 'source.js', content: `const key = '${secret}';` },
    ]);
    await victim.data('install_extension', { archive: archive.toString('base64') });
    const own = await victim.ownFolder();
    const state = join(own, 'state.json');
    await victim.data('set_page_storage', { action: 'save', file: state });
    const extension = (await readdir(own)).find((name) => name.startsWith('extension-')) ?? '';
    places = { own, state, extension: join(own, extension), profile: join(dirname(dirname(own)), 'profile') };
    await attacker.data('new_page', { url: `${pages.url}/index.html` });
    expect(await readFile(state, 'utf8')).not.toContain(secret);
  });
  afterAll(async () => {
    expect(tenants.attacker.heard.join('\n')).not.toContain(secret);
    await tenants.close();
    await rm(root, { recursive: true, force: true });
  });

  test('[S6] opens no page and lists no folder of another session, of the server or of its users', async () => {
    const { attacker } = tenants;
    const { own, extension, profile, state } = places;
    const files = [own, state, join(extension, 'source.js'), profile, dirname(own), join(root, 'data', 'users.json')];
    for (const file of files) {
      expect(await attacker.text('new_page', { url: pathToFileURL(file).href })).toContain('is outside the folders');
      expect(await attacker.text('navigate_page', { url: pathToFileURL(file).href })).toContain('is outside');
    }
    expect(await attacker.text('list_pages')).not.toContain('file:');
  });

  test('[S6] reaches them through no symbolic link', async () => {
    const { attacker } = tenants;
    const link = join(root, 'link');
    await symlink(places.own, link);
    const url = pathToFileURL(join(link, 'state.json')).href;
    expect(await attacker.text('new_page', { url })).toContain('is outside the folders');
    expect(await attacker.text('set_page_storage', { action: 'restore', file: join(link, 'state.json') })).toContain(
      'is outside the folders',
    );
    const folder = join(root, 'extension');
    await mkdir(folder);
    await writeFile(join(folder, 'manifest.json'), manifestJson('Links'));
    await symlink(join(places.extension, 'source.js'), join(folder, 'source.js'));
    expect(await attacker.text('install_extension', { path: folder })).toContain('is outside the folders');
  });

  test("[S6] uploads no file of another's profile or extension", async () => {
    const { attacker } = tenants;
    await attacker.evaluate(uploadPage);
    const uid = await attacker.uid('Choose');
    const cookies = join(places.profile, 'Default', 'Cookies');
    await stat(cookies);
    for (const file of [cookies, join(places.extension, 'source.js'), places.state]) {
      expect(await attacker.text('upload_file', { uid, filePaths: [file] })).toContain('is outside the folders');
    }
    expect(await attacker.evaluate('() => window.read ?? null')).toBeNull();
  });

  test("[S6] neither reads nor overwrites another's files, nor installs its extension", async () => {
    const { attacker } = tenants;
    const manifest = join(places.extension, 'manifest.json');
    const before = await readFile(manifest, 'utf8');
    for (const file of [manifest, places.state, join(root, 'data', 'users.json')]) {
      expect(await attacker.text('set_page_storage', { action: 'save', file })).toContain('is outside the folders');
      expect(await attacker.text('set_page_storage', { action: 'restore', file })).toContain('is outside the folders');
    }
    expect(await attacker.text('install_extension', { path: places.extension })).toContain('is outside the folders');
    expect(await readFile(manifest, 'utf8')).toBe(before);
    expect(await attacker.evaluate('() => document.cookie')).not.toContain(secret);
  });

  test('[S6] restores no login that another saved in a shared folder', async () => {
    const { victim, attacker } = tenants;
    const file = join(root, 'login.json');
    await victim.data('set_page_storage', { action: 'save', file });
    const copy = join(root, 'copy.json');
    await writeFile(copy, await readFile(file));
    expect((await readFile(file)).includes(secret)).toBe(false);
    for (const tried of [file, copy]) {
      const text = await attacker.text('set_page_storage', { action: 'restore', file: tried });
      expect(text).toContain('was saved by another user');
    }
    expect(await attacker.evaluate('() => document.cookie')).not.toContain(secret);
  });

  test('[S6] folders and files of a session are for the user of the server alone', async () => {
    const modes = await Promise.all([places.own, places.state].map(async (path) => (await stat(path)).mode & 0o777));
    expect(modes).toEqual([0o700, 0o600]);
  });
});

test('[S6] a saved login is restored by its user after a restart of the server, and by nobody once the key is lost', async () => {
  const root = await mkdtemp(join(tmpdir(), 'greenroom-hostile-'));
  const [data, file] = [join(root, 'data'), join(root, 'login.json')];
  await mkdir(data);
  const start = async (): Promise<TwoTenants> => {
    const tenants = await openTenants(['--workspace', root], data);
    await tenants.victim.data('new_page', { url: `${pages.url}/index.html` });
    return tenants;
  };
  const first = await start();
  await first.victim.evaluate(`() => { document.cookie = 'key=${secret}'; return 1; }`);
  await first.victim.data('set_page_storage', { action: 'save', file });
  await first.server.dispose();
  const second = await start();
  await second.victim.data('set_page_storage', { action: 'restore', file });
  expect(await second.victim.evaluate('() => document.cookie')).toBe(`key=${secret}`);
  const key = join(data, 'storage.key');
  expect((await stat(key)).mode & 0o777).toBe(0o600);
  await rm(key);
  expect(await second.victim.text('set_page_storage', { action: 'restore', file })).toContain(`${key}, is missing`);
  await second.close();
  await rm(root, { recursive: true, force: true });
});

describe('a tenant for whom the operator named the whole disk', () => {
  test('[S6] reads no environment of a process', async () => {
    const tenants = await openTenants(['--workspace', '/']);
    const url = `file:///proc/${tenants.server.child.pid}/environ`;
    expect(await tenants.attacker.text('new_page', { url })).toContain('is outside the folders');
    await tenants.close();
  });
});

describe('a tenant for whom the operator named no folder', () => {
  let tenants: TwoTenants;

  beforeAll(async () => {
    tenants = await openTenants();
    await tenants.attacker.data('new_page', { url: `${pages.url}/index.html` });
  });
  afterAll(() => tenants.close());

  test('[S6] has its own folder and nothing else, and the refusal names the flag', async () => {
    const { attacker } = tenants;
    const own = await attacker.ownFolder();
    expect(await attacker.data('get_session_info')).toMatchObject({ workspace: [own] });
    for (const folder of [tmpdir(), process.cwd(), '/etc/passwd', dirname(own)]) {
      const text = await attacker.text('new_page', { url: pathToFileURL(folder).href });
      expect(text).toContain(`is outside the folders that tools may use: ${own}.`);
      expect(text).toContain('--workspace');
    }
  });

  test('saves and restores there, by a name or a whole path', async () => {
    const { attacker } = tenants;
    await attacker.evaluate("() => { localStorage.setItem('kept', 'yes'); return 1; }");
    const { file } = await attacker.data('set_page_storage', { action: 'save', file: 'state.json' });
    expect(file).toBe(join(await attacker.ownFolder(), 'state.json'));
    await attacker.data('set_page_storage', { action: 'clear' });
    await attacker.data('set_page_storage', { action: 'restore', file: 'state.json' });
    expect(await attacker.evaluate("() => localStorage.getItem('kept')")).toBe('yes');
  });
});
