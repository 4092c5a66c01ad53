import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Linter, type Rule } from 'eslint';
import ts from 'typescript';
import parser from '@typescript-eslint/parser';
import { readLayers } from '../visualizations/layers.js';
import { root } from './support/root.js';

const linter = new Linter({ cwd: root });

async function sourceFiles(): Promise<string[]> {
  const found = await Promise.all(
    ['src', 'machines'].map(async (folder) => {
      const entries = await readdir(join(root, folder), { recursive: true });
      return entries.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`);
    }),
  );
  return found.flat().sort();
}

async function importProblems(path: string, code: string): Promise<string[]> {
  // A JavaScript module without types; the name in a variable keeps the compiler from looking for them.
  const rulePath = join(root, '.config/importRule.js');
  const { importRule } = (await import(rulePath)) as { importRule: Rule.RuleModule };
  const messages = linter.verify(
    code,
    [
      {
        files: ['**/*.ts'],
        languageOptions: { parser },
        plugins: { layers: { rules: { imports: importRule } } },
        rules: { 'layers/imports': 'error' },
      },
    ],
    { filename: join(root, path), allowInlineConfig: false },
  );
  return messages.map(({ message }) => `${path}: ${message}`);
}

test.each([
  ['src/tools/pages.ts', "import { a } from '../session/session.js';", 'tools may not import session'],
  ['src/tools/pages.ts', "import type { A } from '../session/session.js';", 'tools may not import session'],
  ['src/tools/pages.ts', "import { launch } from 'puppeteer-core';", 'tools may not import puppeteer-core'],
  ['src/tools/pages.ts', "import type { Page } from 'puppeteer-core';", 'tools may not import puppeteer-core'],
  ['src/browser/page.ts', "export * from '../mcp/mcpServer.js';", 'browser may not import mcp'],
  ['src/browser/page.ts', "import { createLog } from '../log.js';", 'browser may not import log (types may be)'],
  ['src/mcp/mcpServer.ts', "const a = await import('../../machines/index.js');", 'mcp may not import machines'],
  ['src/session/session.ts', "import sdk from '@modelcontextprotocol/sdk/types.js';", 'session may not import'],
  ['src/errors/errors.ts', "import { options } from '../config/options.js';", 'errors may not import config'],
])('the import rule catches %s: %s', async (path, code, problem) => {
  const problems = await importProblems(path, code);
  expect(problems).toEqual([expect.stringContaining(problem)]);
});

test.each([
  ['src/main.ts', "import { runProgram } from './cli/program.js';"],
  ['src/session/session.ts', "import { a } from '../mcp/mcpServer.js'; import { b } from '../browser/lease.js';"],
  ['src/browser/page.ts', "import type { Log } from '../log.js'; import { Refusal } from '../errors/errors.js';"],
  ['src/browser/lease.ts', "import type { Failure } from '../../machines/events.js';"],
  ['src/browser/page.ts', "import puppeteer from 'puppeteer-core';"],
])('the import rule lets %s: %s', async (path, code) => {
  expect(await importProblems(path, code)).toEqual([]);
});

test('every file belongs to a layer or a side room, and each of these has files', async () => {
  const { layers, sharedModules } = await readLayers(root);
  const places = [...layers, ...sharedModules].flatMap(({ paths }) => paths);
  const homeless = (await sourceFiles()).filter(
    (file) => !places.some((place) => file === place || (place.endsWith('/') && file.startsWith(place))),
  );
  expect(homeless).toEqual([]);
  expect(places.filter((place) => !existsSync(join(root, place)))).toEqual([]);
});

test('no file imports itself over others at run time', async () => {
  const files = await sourceFiles();
  const graph = new Map(files.map((file) => [file, importsOf(file)]));
  expect([...graph.values()].flat().filter((target) => !graph.has(target))).toEqual([]);
  expect(cyclesIn(graph)).toEqual([]);
  expect(cyclesIn(new Map([['a', ['b']], ['b', ['c']], ['c', ['b']]]))).toEqual(['b -> c -> b']); // prettier-ignore
});

/** What is left of the imports when types are erased. `import { type A }` stays: it loads the file. */
function importsOf(file: string): string[] {
  const code = readFileSync(join(root, file), 'utf8').replace(/^(import|export) type [^;]+;/gm, '');
  return ts
    .preProcessFile(code)
    .importedFiles.filter(({ fileName }) => fileName.startsWith('.'))
    .map(({ fileName }) => relative(root, join(root, dirname(file), fileName)).replace(/\.js$/, '.ts'));
}

/** Depth first; each cycle is told once, from the file at which it was entered. */
function cyclesIn(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) cycles.push([...way.slice(way.indexOf(file)), file].join(' -> '));
    if (done.has(file) || way.includes(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...way, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  return cycles;
}
