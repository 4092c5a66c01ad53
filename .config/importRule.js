import { readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const { layers, sharedModules, packages } = JSON.parse(readFileSync(join(root, '.config/layers.json'), 'utf8'));
const areas = [...layers, ...sharedModules];

const areaOf = (path) =>
  areas.find(({ paths }) => paths.some((start) => path === start || (start.endsWith('/') && path.startsWith(start))));

const isOpen = (openTo, name) => openTo === 'all' || (openTo ?? []).includes(name);

/** What is wrong with an import, or null. Paths are relative to the root; packages go by their bare name. */
function judge(from, specifier, typeOnly) {
  const importer = areaOf(from);
  if (importer === undefined) return null;
  if (!specifier.startsWith('.')) {
    const known = packages.find(({ name }) => specifier === name || specifier.startsWith(`${name}/`));
    if (known === undefined || isOpen(known.openTo, importer.name)) return null;
    return `${importer.name} may not import ${known.name}: only ${known.openTo.join(', ')} may.`;
  }
  const target = join(dirname(from), specifier).split(sep).join('/').replace(/\.js$/, '.ts');
  const imported = areaOf(target);
  if (imported === undefined) return `${target} belongs to no layer: add it to .config/layers.json.`;
  if (imported === importer || isOpen(imported.openTo, importer.name)) return null;
  if (typeOnly && isOpen(imported.types, importer.name)) return null;
  if (importer.imports?.includes(imported.name)) return null;
  if (!layers.includes(imported))
    return `${importer.name} may not import ${imported.name}${imported.types ? ' (types may be)' : ''}.`;
  if (layers.includes(importer) && layers.indexOf(importer) < layers.indexOf(imported)) return null;
  return `${importer.name} may not import ${imported.name}: imports go from ${layers.map(({ name }) => name).join(' to ')}.`;
}

const isTypeOnly = (node) =>
  node.importKind === 'type' ||
  node.exportKind === 'type' ||
  (node.specifiers?.length > 0 &&
    node.specifiers.every((specifier) => specifier.importKind === 'type' || specifier.exportKind === 'type'));

/** The import rule of `.config/layers.json`, for every file below the root. */
export const importRule = {
  meta: { type: 'problem', schema: [], messages: { wrong: '{{problem}}' } },
  create(context) {
    const from = relative(root, context.filename).split(sep).join('/');
    const check = (node) => {
      if (typeof node.source?.value !== 'string') return;
      const problem = judge(from, node.source.value, isTypeOnly(node));
      if (problem !== null) context.report({ node: node.source, messageId: 'wrong', data: { problem } });
    };
    return {
      ImportDeclaration: check,
      ImportExpression: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
    };
  },
};
