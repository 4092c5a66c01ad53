const { createHash } = require('node:crypto');
const { pathToFileURL } = require('node:url');

const hash = (code) => createHash('sha256').update(code).digest('hex');

async function esModuleOf(path) {
  const { href } = pathToFileURL(path);
  const names = Object.keys(await import(href));
  const exported = names.map((name, at) => `const e${at} = native.${name};\nexport { e${at} as '${name}' };`);
  return [`const native = await importNatively('${href}');`, ...exported].join('\n');
}

/** The second line is for the lexer that finds the names which CommonJS exports. */
function commonJsOf(path) {
  const names = Object.keys(require(path)).map((name) => `'${name}': 0`);
  return `module.exports = requireNatively('${path}');\n0 && (module.exports = { ${names.join(', ')} });`;
}

const esModule = {
  getCacheKeyAsync: async (_source, path) => hash(await esModuleOf(path)),
  processAsync: async (_source, path) => ({ code: await esModuleOf(path) }),
};

const commonJs = {
  getCacheKey: (_source, path) => hash(commonJsOf(path)),
  process: (_source, path) => ({ code: commonJsOf(path) }),
};

/**
 * A jest transform for what is under test and for packages: what a test imports hands on the exports of the module that
 * Node itself has loaded (nativeEnvironment.cjs). So the program is loaded once in each worker and not once for each test
 * file; only the tests are.
 */
module.exports.createTransformer = ({ type }) => ({ esModule, commonJs })[type];
