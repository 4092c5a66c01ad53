/**
 * Bundles each function that `src/browser/injected/index.ts` exports, with all that it calls, into the text of one
 * expression whose value is that function, and writes these texts by name to `functions.json`. Reads what tsc made.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { rollup } from 'rollup';

const folder = join(import.meta.dirname, '../dist/src/browser/injected');
const index = join(folder, 'index.js');
const entry = '\0entry';

/** Read once, one after the other: all bundles read nearly all of them, more at once than some systems let a process open. */
const textOf = new Map();
function readOnce(path) {
  if (!textOf.has(path)) textOf.set(path, readFileSync(path, 'utf8'));
  return textOf.get(path);
}

async function bundle(name) {
  const bundled = await rollup({
    input: entry,
    // No module does anything when it is loaded: what a function does not use is left out.
    treeshake: { moduleSideEffects: false },
    plugins: [
      {
        name: 'one-export',
        resolveId: (id) => (id === entry ? id : null),
        load: (id) => (id === entry ? `export { ${name} as default } from ${JSON.stringify(index)};` : readOnce(id)),
      },
    ],
    // An import from outside the folder would not be there in a page.
    external: () => false,
    onLog(level, log) {
      if (level === 'warn') throw new Error(`Bundling ${name}: ${log.message}`);
    },
  });
  const { output } = await bundled.generate({ format: 'iife', name, exports: 'default' });
  await bundled.close();
  return expressionOf(output[0].code, name);
}

/** Rollup writes `var name = (function () { … })();`. Declared nowhere, the expression adds nothing to the page. */
function expressionOf(code, name) {
  const declaration = `var ${name} = `;
  if (!code.startsWith(declaration)) throw new Error(`Rollup wrote something else than ${declaration}`);
  return code.slice(declaration.length).replace(/;\s*$/, '');
}

const names = Object.keys(await import(pathToFileURL(index).href));
const texts = await Promise.all(names.map(async (name) => [name, await bundle(name)]));
const file = join(folder, 'functions.json');
// A program that starts meanwhile reads the old one or the new one whole.
writeFileSync(`${file}.new`, JSON.stringify(Object.fromEntries(texts), null, 2));
renameSync(`${file}.new`, file);
