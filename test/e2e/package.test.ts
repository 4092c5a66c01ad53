import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Browsing } from './support/browse.js';
import { startServerProcess } from './support/serverProcess.js';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');

test('[C-PACKAGE] the packed package, installed into an empty folder, serves and brings its sample extension', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-package-'));
  try {
    // The build is there already; scripts would write it again under the tests that run meanwhile.
    const packed = await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root });
    const tarball = join(folder, packed.stdout.trim());
    await writeFile(join(folder, 'package.json'), '{}');
    const quick = ['--omit=dev', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
    await run('npm', ['install', ...quick, tarball], { cwd: folder });
    const installed = join(folder, 'node_modules/greenroom');
    const server = await startServerProcess(['--workspace', installed], join(installed, 'dist/src/main.js'));
    try {
      const browsing = await Browsing.open(server.url);
      const extension = join(installed, 'src/selftest/extension');
      expect(await browsing.text('install_extension', { path: extension })).toMatch(/Page Notes/);
      await browsing.close();
    } finally {
      await server.dispose();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 180_000);
