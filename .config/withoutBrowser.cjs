const { readFileSync } = require('node:fs');
const { dirname, join } = require('node:path');

const chromium = join(__dirname, '../test/support/chromium.ts');
const imports = /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)\.js'/gm;

/** The files of test/ that a file imports at run time. */
const importsOf = (file) =>
  [...readFileSync(file, 'utf8').matchAll(imports)]
    .map(([, path]) => `${join(dirname(file), path)}.ts`)
    .filter((path) => path.startsWith(join(__dirname, '../test/')));

const known = new Map([[chromium, true]]);
const needsBrowser = (file) => {
  // An import that leads back here adds nothing.
  if (!known.has(file)) known.set(file, false).set(file, importsOf(file).some(needsBrowser));
  return known.get(file);
};

/** For `jest --filter`: the test files that need no browser. One that needs it comes to import test/support/chromium.ts. */
module.exports = async (files) => ({ filtered: files.filter((file) => !needsBrowser(file)) });
