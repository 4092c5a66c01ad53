/** Lets a plain `node --import <this file>` run the TypeScript sources: for tests that need a process of their own. */
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread } from 'node:worker_threads';
import ts from 'typescript';

// Node loads this file a second time, in the thread that runs the hooks.
if (isMainThread) register(import.meta.url);

export async function resolve(specifier, context, next) {
  const fromSources = specifier.startsWith('.') && context.parentURL?.endsWith('.ts');
  return next(fromSources ? specifier.replace(/\.js$/, '.ts') : specifier, context);
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const text = await readFile(fileURLToPath(url), 'utf8');
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true },
  });
  return { format: 'module', source: outputText, shortCircuit: true };
}
