import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

// Prints the shape of the source, and exits with 1 where a figure is over its bound.
const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const smallFile = 40;
const bounds = {
  files: { most: 465 },
  'median lines': { least: 100 },
  'longest file': { most: 400 },
  [`files of ${smallFile} lines or less`]: { most: 30 },
  'names with two owners': { most: 0 },
  'file names used twice': { most: 0 },
  'import circles': { most: 0 },
  'lines of README.md': { most: 250 },
  'attempts in test/hostile': { least: 60 },
};

const sources = ['machines', 'src'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(root, folder, name)),
);
const textOf = new Map(sources.map((file) => [file, readFileSync(file, 'utf8')]));
const lines = (text) => text.replace(/\n$/, '').split('\n').length;
const nameOf = (file) => relative(root, file);

const statementsOf = (file) => ts.createSourceFile(file, textOf.get(file), ts.ScriptTarget.Latest, true).statements;

/** What a file itself declares and exports. */
function exportsOf(file) {
  return statementsOf(file).flatMap((statement) => {
    if (!statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return [];
    if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => name.text);
    return statement.name === undefined ? [] : [statement.name.text];
  });
}

function importsOf(file) {
  return statementsOf(file).flatMap((statement) => {
    const specifier = statement.moduleSpecifier?.text ?? '';
    return specifier.startsWith('.') ? [join(dirname(file), specifier).replace(/\.js$/, '.ts')] : [];
  });
}

/** Groups of two or more files that come to import each other (Tarjan's strongly connected components). */
function circles() {
  const order = new Map();
  const low = new Map();
  const open = [];
  const found = [];
  const visit = (file) => {
    order.set(file, order.size);
    low.set(file, order.get(file));
    open.push(file);
    for (const next of importsOf(file).filter((each) => textOf.has(each))) {
      if (!order.has(next)) visit(next);
      if (open.includes(next)) low.set(file, Math.min(low.get(file), low.get(next)));
    }
    if (low.get(file) !== order.get(file)) return;
    const group = open.splice(open.indexOf(file));
    if (group.length > 1) found.push(group.map(nameOf).join(', '));
  };
  for (const file of sources) if (!order.has(file)) visit(file);
  return found;
}

/** `[name, files]` of every name that stands in more than one file. */
function shared(namesOf) {
  const owners = new Map();
  for (const file of sources)
    for (const name of namesOf(file)) owners.set(name, [...(owners.get(name) ?? []), nameOf(file)]);
  return [...owners].filter(([, files]) => files.length > 1).map(([name, files]) => `${name}: ${files.join(', ')}`);
}

/** How many tests a file has: of a table that is written in it, each row; of one that is computed, one. */
function testsOf(file) {
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true);
  const tables = new Map();
  let tests = 0;
  const rowsOf = (table) => {
    if (table === undefined) return 1;
    if (ts.isAsExpression(table)) return rowsOf(table.expression);
    if (ts.isArrayLiteralExpression(table)) return table.elements.length;
    if (ts.isObjectLiteralExpression(table)) return table.properties.length;
    if (ts.isIdentifier(table)) return rowsOf(tables.get(table.text));
    return ts.isCallExpression(table) && table.getText().startsWith('Object.entries') ? rowsOf(table.arguments[0]) : 1;
  };
  const visit = (node) => {
    if (ts.isVariableDeclaration(node) && node.initializer) tables.set(node.name.getText(), node.initializer);
    if (ts.isCallExpression(node)) {
      const called = node.expression.getText().split('(')[0];
      if (called === 'test' || called === 'it') tests += 1;
      if (called === 'test.each' || called === 'it.each') {
        if (ts.isCallExpression(node.expression)) tests += rowsOf(node.expression.arguments[0]);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return tests;
}

const hostile = readdirSync(join(root, 'test/hostile')).filter((name) => name.endsWith('.test.ts'));

const lengths = [...textOf.values()].map(lines).sort((a, b) => a - b);
const [small] = Object.keys(bounds).filter((name) => name.startsWith('files of'));
const isEntry = (file) => /(^|\/)(index|main)\.ts$/.test(nameOf(file));
const figures = {
  files: lengths.length,
  'median lines': lengths[Math.floor(lengths.length / 2)],
  'longest file': lengths.at(-1),
  [small]: lengths.filter((length) => length <= smallFile).length,
  'names with two owners': shared(exportsOf),
  'file names used twice': shared((file) => (isEntry(file) ? [] : [file.split('/').at(-1)])),
  'import circles': circles(),
  'lines of README.md': lines(readFileSync(join(root, 'README.md'), 'utf8')),
  'attempts in test/hostile': hostile.reduce((sum, name) => sum + testsOf(join(root, 'test/hostile', name)), 0),
};

for (const [name, figure] of Object.entries(figures)) {
  const { least = 0, most = Infinity } = bounds[name];
  const value = Array.isArray(figure) ? figure.length : figure;
  const isWithin = value >= least && value <= most;
  if (!isWithin) process.exitCode = 1;
  const bound = least > 0 ? `at least ${least}` : `at most ${most}`;
  process.stdout.write(`${String(value).padStart(6)}  ${name} (${bound})${isWithin ? '' : '  <- over the bound'}\n`);
  if (Array.isArray(figure)) for (const each of figure) process.stdout.write(`          ${each}\n`);
}
