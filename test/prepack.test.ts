import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { root } from './support/root.js';

const run = promisify(execFile);
const manifest = join(root, 'package.json');

test('packing starts without what was built of sources that are gone, and leaves the tests that were built', async () => {
  expect(await readFile(manifest, 'utf8')).toContain('"prepack": "npm run -s clean:package && ');
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  try {
    await copyFile(manifest, join(folder, 'package.json'));
    // With the compiler's notes of what it wrote, it would not write it again.
    const notes = ['dist/.tsbuildinfo', 'dist/.page.tsbuildinfo', 'dist/.injected.tsbuildinfo'];
    for (const file of [...notes, 'dist/src/deep/gone.js', 'dist/machines/gone.js', 'dist/test/kept.js']) {
      await mkdir(dirname(join(folder, file)), { recursive: true });
      await writeFile(join(folder, file), '');
    }
    await run('npm', ['run', '-s', 'clean:package'], { cwd: folder });
    expect(await readdir(join(folder, 'dist'))).toEqual(['test']);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
