import { posix } from 'node:path';
import { rollup, type Plugin } from 'rollup';
import { minify } from 'terser';
import ts from 'typescript';

/** TypeScript files by their paths; imports name them relative, without an extension. */
export type AppFiles = Readonly<Record<string, string>>;

interface Bundle {
  readonly code: string;
  /** The source map, as JSON. */
  readonly map: string;
}

/** A minified bundle of one entry, in a single line, as a build for production makes it. Names no map. */
export async function bundleApp(files: AppFiles, entry: string): Promise<Bundle> {
  const bundled = await rollup({ input: entry, plugins: [typescriptFiles(files)], onLog: () => undefined });
  const { output } = await bundled.generate({ format: 'iife', sourcemap: true, file: 'dist/app.js' });
  await bundled.close();
  const [{ code, map }] = output;
  if (map === null) throw new Error('rollup made no source map.');
  const minified = await minify(code, {
    sourceMap: { content: map.toString(), filename: 'app.js', includeSources: true },
  });
  return {
    code: minified.code ?? '',
    map: typeof minified.map === 'string' ? minified.map : JSON.stringify(minified.map),
  };
}

/** The code with its map in it, or with the address of its map. */
export const withMap = ({ code, map }: Bundle, address?: string): string =>
  `${code}\n//# sourceMappingURL=${address ?? `data:application/json;base64,${Buffer.from(map).toString('base64')}`}\n`;

/** `src/app.ts:3`: the line of a file that has this text. */
export function lineWith(files: AppFiles, file: string, text: string): string {
  const line = (files[file] ?? '').split('\n').findIndex((each) => each.includes(text));
  if (line === -1) throw new Error(`${file} has no ${text}.`);
  return `${file}:${line + 1}`;
}

function typescriptFiles(files: AppFiles): Plugin {
  return {
    name: 'files',
    resolveId: (id, importer) => (importer === undefined ? `/${id}` : `${posix.join(posix.dirname(importer), id)}.ts`),
    load: (id) => files[id.slice(1)] ?? null,
    transform(code, id) {
      const made = ts.transpileModule(code, {
        fileName: id,
        compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, sourceMap: true },
      });
      return { code: made.outputText, map: made.sourceMapText ?? null };
    },
  };
}
