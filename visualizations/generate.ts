import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { argv, cwd, exit, stdout } from 'node:process';
import { outdated, makeArtefacts } from './artefacts.js';

// Run from the root of the project by `npm run visualize`; with `--check` it writes nothing and fails on a difference.
const root = cwd();
const stale = await outdated(root, await makeArtefacts(root));
const checking = argv.includes('--check');
if (!checking) await Promise.all(stale.map(({ path, content }) => writeFile(join(root, path), content)));
for (const { path } of stale) stdout.write(`${checking ? 'out of date' : 'written'}: ${path}\n`);
if (checking && stale.length > 0) {
  stdout.write('Run `npm run visualize` and commit what it writes.\n');
  exit(1);
}
