import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { auditFolder } from '../../src/browser/extensions/audit/auditFolder.js';
import type { Finding } from '../../src/browser/extensions/audit/findings.js';
import type { Files } from './support/extensionParts.js';
import { plantedCode } from './support/plantedCode.js';
import { plantedExtensions } from './support/plantedExtensions.js';
import { soundExtensions } from './support/soundExtensions.js';

let workspace: string;
beforeAll(async () => (workspace = await mkdtemp(join(tmpdir(), 'greenroom-audit-'))));
afterAll(() => rm(workspace, { recursive: true, force: true }));

async function write(manifest: object | string, files: Files = {}): Promise<string> {
  const folder = await mkdtemp(join(workspace, 'extension-'));
  const whole =
    typeof manifest === 'string'
      ? manifest
      : JSON.stringify({ manifest_version: 3, name: 'Planted', version: '1.0', ...manifest }, undefined, 2);
  for (const [path, content] of Object.entries({ 'manifest.json': whole, ...files })) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
  }
  return folder;
}

async function audit(folder: string): Promise<readonly Finding[]> {
  return (await auditFolder({ name: 'Planted', path: folder }, () => false)).findings;
}

const lines = (findings: readonly Finding[]): string[] =>
  findings.map(({ severity, at, problem }) => `${severity} ${at}: ${problem}`);

test.each(Object.entries({ ...plantedExtensions, ...plantedCode }))(
  'finds %s',
  async (_name, [[manifest, files], expected]) => {
    const found = lines(await audit(await write(manifest, files)));
    expect(found).toContainEqual(expect.stringContaining(expected));
  },
);

test.each(Object.entries(soundExtensions))('says nothing against %s', async (_name, [[manifest, files], word]) => {
  const found = lines(await audit(await write(manifest, files)));
  expect(found.filter((line) => line.includes(word))).toEqual([]);
});

test('a file that a link leads to is there, and one that leads nowhere is not', async () => {
  const folder = await write(
    { content_scripts: [{ matches: ['https://example.com/*'], js: ['linked.js', 'broken.js'] }] },
    { 'real.js': '' },
  );
  await symlink(join(folder, 'real.js'), join(folder, 'linked.js'));
  await symlink(join(folder, 'nowhere.js'), join(folder, 'broken.js'));
  const found = lines(await audit(folder));
  expect(found.filter((line) => line.includes('does not exist'))).toEqual([
    'refused manifest.json:12 content_scripts[0].js[1]: The file broken.js does not exist.',
  ]);
});
