const { readFileSync } = require('node:fs');
const { dirname, join } = require('node:path');

const others = ['support/chromium', 'support/redisServer', 'support/nginx', 'chaos/persistentRedis'].map((name) =>
  join(__dirname, `../test/${name}.ts`),
);
const imports = /^(?:import|export) (?!type )[^;]*?from '(\.[^']+)\.js'/gm;

/** The files of test/ that a file imports at run time. */
const importsOf = (file) =>
  [...readFileSync(file, 'utf8').matchAll(imports)]
    .map(([, path]) => `${join(dirname(file), path)}.ts`)
    .filter((path) => path.startsWith(join(__dirname, '../test/')));

const known = new Map(others.map((file) => [file, true]));
const needsAnother = (file) => {
  // An import that leads back here adds nothing.
  if (!known.has(file)) known.set(file, false).set(file, importsOf(file).some(needsAnother));
  return known.get(file);
};

/** For `jest --filter`: the test files that start no other program than Node. One that does comes to import one of these. */
module.exports = async (files) => ({ filtered: files.filter((file) => !needsAnother(file)) });
