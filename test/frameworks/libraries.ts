import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { homedir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { promisify } from 'node:util';
import { rollup, type Plugin } from 'rollup';
import type { Task } from './task.js';

/** The libraries of the tasks, and what bundles them; installed outside of the clone. */
const versions = {
  '@dnd-kit/core': '6.3.1',
  '@dnd-kit/sortable': '10.0.0',
  '@emotion/react': '11.14.0',
  '@emotion/styled': '11.14.1',
  '@headlessui/react': '2.2.9',
  '@lexical/rich-text': '0.37.0',
  '@material/web': '2.4.0',
  '@mui/material': '7.3.4',
  '@rollup/plugin-commonjs': '28.0.6',
  '@rollup/plugin-node-resolve': '16.0.1',
  '@shoelace-style/shoelace': '2.20.1',
  '@tanstack/virtual-core': '3.13.12',
  'ag-grid-community': '34.2.0',
  antd: '5.27.4',
  'chart.js': '4.5.0',
  'choices.js': '11.1.0',
  codemirror: '6.0.2',
  flatpickr: '4.6.13',
  leaflet: '1.9.4',
  lexical: '0.37.0',
  lit: '3.3.1',
  'monaco-editor': '0.54.0',
  'prosemirror-commands': '1.7.1',
  'prosemirror-keymap': '1.2.3',
  'prosemirror-schema-basic': '1.2.4',
  'prosemirror-state': '1.4.3',
  'prosemirror-view': '1.41.2',
  quill: '2.0.3',
  react: '19.2.0',
  'react-datepicker': '8.7.0',
  'react-dom': '19.2.0',
  'react-select': '5.10.2',
  sortablejs: '1.15.6',
  svelte: '5.39.0',
  'tom-select': '2.4.3',
  vue: '3.5.22',
};

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

const { FRAMEWORKS_CACHE, XDG_CACHE_HOME } = process.env;
const cache = FRAMEWORKS_CACHE ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'greenroom-frameworks');
const folder = join(cache, hashOf(JSON.stringify(versions)));

/** Installs the libraries, unless an earlier run has. */
export async function installLibraries(): Promise<void> {
  if (existsSync(join(folder, 'node_modules/.package-lock.json'))) return;
  process.stdout.write(`Installing the libraries to ${folder}\n`);
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, type: 'module', dependencies: versions }),
  );
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  await promisify(execFile)('npm', ['install', ...options], { cwd: folder });
}

/** Bundles the pages of the tasks, unless an earlier run has. Answers the folder of the bundles. */
export async function bundlePages(tasks: readonly Task[]): Promise<string> {
  const sources = new Map(tasks.map(({ name, source }) => [`task:${name}`, source]));
  const bundles = join(folder, `bundles-${hashOf(JSON.stringify([...sources]))}`);
  if (existsSync(bundles)) return bundles;
  const bundled = await rollup({
    input: Object.fromEntries(tasks.map(({ name }) => [name, `task:${name}`])),
    plugins: [pagesOf(sources), svelte(), styles(), ...resolving()],
    onLog: () => undefined,
  });
  const unfinished = `${bundles}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await bundled.write({ dir: unfinished, format: 'es', chunkFileNames: 'shared-[hash].js' });
  await bundled.close();
  await rename(unfinished, bundles);
  return bundles;
}

const requireInstalled = createRequire(join(folder, 'package.json'));

function resolving(): Plugin[] {
  type Factory = { readonly default: (options?: object) => Plugin };
  const { default: resolve } = requireInstalled('@rollup/plugin-node-resolve') as Factory;
  const { default: commonjs } = requireInstalled('@rollup/plugin-commonjs') as Factory;
  return [resolve({ browser: true, rootDir: folder, exportConditions: ['browser', 'production'] }), commonjs()];
}

/** The entries; `process.env.NODE_ENV` as bundlers for browsers set it. */
function pagesOf(sources: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'pages',
    async resolveId(id, importer) {
      if (sources.has(id)) return id;
      const isFromPage = importer !== undefined && (sources.has(importer) || importer.endsWith('.svelte'));
      return isFromPage ? this.resolve(id, join(folder, 'page.js'), { skipSelf: true }) : null;
    },
    load: (id) => sources.get(id) ?? null,
    transform: (code) => code.replaceAll('process.env.NODE_ENV', '"production"'),
  };
}

/** A module `svelte-page:…` holds the component that follows. */
function svelte(): Plugin {
  const prefix = 'svelte-page:';
  return {
    name: 'svelte',
    resolveId: (id) => (id.startsWith(prefix) ? `${id}.svelte` : null),
    load(id) {
      if (!id.startsWith(prefix)) return null;
      type Compiler = { compile: (source: string, options: object) => { js: { code: string } } };
      const { compile } = requireInstalled('svelte/compiler') as Compiler;
      const source = decodeURIComponent(id.slice(prefix.length, -'.svelte'.length));
      return compile(source, { generate: 'client' }).js.code;
    },
  };
}

function styles(): Plugin {
  return {
    name: 'styles',
    transform(code, id) {
      if (!id.endsWith('.css')) return null;
      const add = `const style = document.createElement('style'); style.textContent = ${JSON.stringify(code)};`;
      return { code: `${add} document.head.append(style); export default {};`, map: null };
    },
  };
}

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.ttf': 'font/ttf',
};

/** Serves a page for each task, its bundle, and the files of the libraries. Closed by the caller. */
export async function serveTasks(tasks: readonly Task[], bundles: string) {
  const pages = new Map(tasks.map(({ name, html = '' }) => [`/${name}`, page(name, html)]));
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const html = pages.get(pathname);
    if (html !== undefined) return void response.setHeader('content-type', 'text/html; charset=utf-8').end(html);
    const path = normalize(decodeURIComponent(pathname));
    const file = path.startsWith('/node_modules/') ? join(folder, path) : join(bundles, path);
    readFile(file).then(
      (content) => response.setHeader('content-type', contentTypes[extname(file)] ?? 'text/plain').end(content),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, close: () => void server.close() };
}

const page = (name: string, html: string): string =>
  `<!doctype html><html lang="en"><title>${name}</title><body>${html}<script type="module" src="/${name}.js"></script>`;
