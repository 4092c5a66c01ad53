import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { BrowsingClient } from './support/browsingClient.js';
import { startServerProcess } from './support/serverProcess.js';
import { root } from '../support/root.js';

const run = promisify(execFile);
/** A budget with little room: who needs more says so here. */
const maxInstalledMegabytes = 121;

/**
 * Compiles the example of the page on embedding against the installed package, with every strictness of the compiler: the
 * declarations of the package are checked too, with no types but those that it brings.
 */
async function compileConsumer(installedIn: string): Promise<void> {
  const folder = join(installedIn, 'consumer');
  await mkdir(folder);
  const example = await readFile(join(root, 'test/library/example.ts'), 'utf8');
  await writeFile(join(folder, 'example.mts'), example.replace('../../src/index.js', 'greenroom'));
  const strict = ['--strict', '--exactOptionalPropertyTypes', '--noUncheckedIndexedAccess', '--verbatimModuleSyntax'];
  const target = [
    '--noEmit',
    '--target',
    'es2023',
    '--module',
    'nodenext',
    '--skipLibCheck',
    'false',
    '--types',
    'node',
  ];
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const said = await run(process.execPath, [compiler, ...strict, ...target, '--pretty', 'false', 'example.mts'], {
    cwd: folder,
  }).then(({ stdout }) => stdout, stdoutOf);
  // XState's own declarations do not hold under exactOptionalPropertyTypes, whoever imports them.
  const errors = said
    .split('\n')
    .filter((line) => /: error TS|^error/.test(line) && !line.includes('node_modules/xstate/'));
  expect(errors).toEqual([]);
}

function stdoutOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'stdout' in error ? String(error.stdout) : '';
}

async function megabytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async ({ parentPath, name }) => (await stat(join(parentPath, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0) / 1e6;
}

test('[C-PACKAGE] the packed package, installed into an empty folder, serves, brings its sample extension and types for embedders', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-package-'));
  try {
    // The build is there already; scripts would write it again under the tests that run meanwhile.
    const packed = await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root });
    const tarball = join(folder, packed.stdout.trim());
    await writeFile(join(folder, 'package.json'), '{}');
    const quick = ['--omit=dev', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
    await run('npm', ['install', ...quick, tarball], { cwd: folder });
    expect(await megabytesBelow(join(folder, 'node_modules'))).toBeLessThan(maxInstalledMegabytes);
    await compileConsumer(folder);
    const installed = join(folder, 'node_modules/greenroom');
    const command = join(folder, 'node_modules/.bin/greenroom');
    expect((await run(command, ['--version'])).stdout).toBe('0.1.0\n');
    const server = await startServerProcess(['--workspace', installed], join(installed, '.bin/greenroom.js'));
    try {
      const browsing = await BrowsingClient.open(server.url);
      const extension = join(installed, 'src/selftest/extension');
      expect(await browsing.text('install_extension', { path: extension })).toMatch(/Page Notes/);
      await browsing.close();
    } finally {
      await server.dispose();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 600_000);
