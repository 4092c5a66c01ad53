const { existsSync, readFileSync } = require('node:fs');
const { dirname, join, relative } = require('node:path');

const root = join(__dirname, '..');
const test = join(root, 'test');
/** What starts another program, and the part that a test which comes to import it belongs to. */
const programs = {
  browser: ['support/chromium'],
  redis: ['support/redisServer', 'support/nginx', 'chaos/persistentRedis', 'prove/secondChecker', 'support/prometheus'],
};
const imports = /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)\.js'/gm;

/** The files of test/ that a file imports at run time. */
const importsOf = (file) =>
  [...readFileSync(file, 'utf8').matchAll(imports)]
    .map(([, path]) => `${join(dirname(file), path)}.ts`)
    .filter((path) => path.startsWith(test));

/** Whether a file comes to import one of these, itself or through others. */
function reaches(file, wanted, seen = new Set()) {
  if (wanted.includes(file)) return true;
  if (seen.has(file)) return false;
  seen.add(file);
  return importsOf(file).some((next) => reaches(next, wanted, seen));
}

/** `browser`, `redis` or `unit`: the programs that a test file (its source) needs beside Node. */
function partOf(file) {
  const part = Object.entries(programs).find(([, names]) =>
    reaches(
      file,
      names.map((name) => join(test, `${name}.ts`)),
    ),
  );
  return part?.[0] ?? 'unit';
}

/**
 * For `jest --filter`: compiled tests whose source is still there, and of these the ones of `TEST_PART`, if it is set.
 */
module.exports = async (files) => {
  const { TEST_PART: wanted } = process.env;
  const source = (file) => join(root, relative(join(root, 'dist'), file).replace(/\.js$/, '.ts'));
  const current = files.filter((file) => existsSync(source(file)));
  return { filtered: wanted === undefined ? current : current.filter((file) => partOf(source(file)) === wanted) };
};
module.exports.partOf = partOf;
