import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { createServer, type Server } from 'node:http';
import { rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { bundleApp, lineWith, withMap, type AppFiles } from '../support/bundleApp.js';
import { connect, installPeers, peersIn, removePeers, startGreenroom, type Call, type Peer } from './browserPeers.js';
import { extensionBugs, writeBug } from './extensionBugs.js';
import { alignedOf } from './report.js';

/** What an agent is given to place a bug that is planted in a bundled app: at most this. */
const most = { calls: 4, bytes: 6_000 };

export interface Diagnosis extends Placing {
  readonly bug: string;
  /** By name of the peer; none where it has no tools for such a bug. */
  readonly peers: Readonly<Record<string, Placing>>;
}

interface Placing {
  readonly calls: number;
  /** Of the answers. */
  readonly bytes: number;
  /** The original file and line, where an answer has them. */
  readonly found: string | undefined;
}

interface Bug {
  readonly name: string;
  /** The text of the line at which it is. */
  readonly file: string;
  readonly line: string;
  /** The calls after the page is open. */
  readonly calls: readonly Call[];
  /** The best that the tools of others can do, by the name of the peer. */
  readonly peers: Readonly<Record<string, readonly Call[]>>;
}

const files: AppFiles = {
  'src/store.ts': `export interface State { readonly cart: { readonly items: string[] } | null; readonly user: string }
export type Action = { readonly type: 'add'; readonly item: string } | { readonly type: 'sign-out' };
export const initial: State = { cart: { items: [] }, user: 'ada' };
export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case 'sign-out':
      return { ...state, cart: null };
    case 'add':
      return { ...state, cart: { items: [...state.cart!.items, action.item] } };
  }
}
`,
  'src/search.ts': `let latest = '';
export async function search(word: string): Promise<void> {
  const response = await fetch('/find?word=' + word);
  latest = await response.text();
  document.querySelector('#found')!.textContent = latest;
}
`,
  'src/effect.ts': `export function startCounter(every: number): () => void {
  let count = 0;
  const output = document.querySelector('#count')!;
  const seen = count;
  setInterval(() => {
    output.textContent = String(seen + 1);
  }, every);
  return () => {
    count += 1;
  };
}
`,
  'src/worker.ts': `interface Order { readonly lines?: readonly { readonly price: number }[] }
function total(order: Order): number {
  return order.lines!.reduce((sum, { price }) => sum + price, 0);
}
addEventListener('message', ({ data }: MessageEvent<Order>) => postMessage(total(data)));
`,
  'src/policy.ts': `export function loadBadge(): void {
  const script = document.createElement('script');
  script.src = 'http://localhost:1/badge.js';
  document.head.append(script);
}
`,
  'src/dialog.ts': `const closers: (() => void)[] = [];
export function openDialog(): void {
  const panel = document.createElement('section');
  document.body.append(panel);
  closers.push(() => panel.remove());
  closers.at(-1)?.();
}
`,
  'src/save.scss': `.save {
  background: green;
}
`,
  'src/panel.scss': `.panel {
  .save { background: gray; }
}
`,
  'src/main.ts': `import { openDialog } from './dialog';
import { startCounter } from './effect';
import { loadBadge } from './policy';
import { search } from './search';
import { initial, reduce } from './store';
let state = initial;
const on = (id: string, act: () => void): void => document.querySelector('#' + id)!.addEventListener('click', act);
on('out', () => (state = reduce(state, { type: 'sign-out' })));
on('add', () => (state = reduce(state, { type: 'add', item: 'pen' })));
on('race', () => { void search('slow'); void search('quick'); });
on('more', startCounter(50));
on('badge', loadBadge);
on('open', openDialog);
on('order', () => new Worker('worker.js').postMessage({}));
`,
};

/** As Sass makes it of the two files, and its map. */
const styles = { code: '.save{background:green}\n.panel .save{background:gray}\n', mappings: 'AAAA;ACCE' };

const ids = ['out', 'add', 'race', 'more', 'badge', 'order', 'open'];
const page =
  '<!doctype html><link rel="stylesheet" href="app.css">' +
  ids.map((id) => `<button id="${id}">${id}</button>`).join('') +
  '<div class="panel"><button class="save">save</button></div>' +
  '<p id="found"></p><p id="count"></p><script src="app.js"></script>';

const clicks = (...pressed: readonly string[]): string =>
  `() => { for (const id of ${JSON.stringify(pressed)}) document.getElementById(id).click(); }`;
const call = (name: string, args: Record<string, unknown> = {}): Call => ({ name, arguments: args });
const evaluate = (code: string): Call => call('evaluate_script', { function: code });
const press = (...pressed: readonly string[]): Call => evaluate(clicks(...pressed));

/** A worker starts after the click. */
const pause = '() => new Promise((done) => setTimeout(done, 2_000))';

const devtools = (name: string, args: Record<string, unknown> = {}): Call => call(name, { pageId: 1, ...args });

/** For what is told in the console. */
const byConsole = (...pressed: readonly string[]): Bug['peers'] => ({
  'chrome-devtools-mcp': [
    devtools('evaluate_script', { function: clicks(...pressed) }),
    devtools('evaluate_script', { function: pause }),
    devtools('list_console_messages', { includeStackTraces: true }),
  ],
  '@playwright/mcp': [
    call('browser_evaluate', { function: clicks(...pressed) }),
    call('browser_evaluate', { function: pause }),
    call('browser_console_messages', { level: 'info', all: true }),
  ],
});

const bugs: readonly Bug[] = [
  {
    name: 'null in a reducer',
    ...{ file: 'src/store.ts', line: 'state.cart!.items' },
    calls: [
      call('set_breakpoint', { on: 'exception' }),
      press('out', 'add'),
      call('get_pause'),
      call('step_debugger', { action: 'resume' }),
    ],
    peers: byConsole('out', 'add'),
  },
  {
    name: 'race of two fetches',
    ...{ file: 'src/search.ts', line: 'textContent = latest' },
    calls: [
      call('set_breakpoint', { file: 'src/search.ts', line: 5, log: 'word, latest' }),
      press('race'),
      call('wait_for', { text: ['found slow'] }),
      call('list_console_messages', { types: ['logpoint'] }),
    ],
    peers: {},
  },
  {
    name: 'CSS specificity',
    ...{ file: 'src/panel.scss', line: 'background: gray' },
    calls: [call('get_element_styles', { selector: '.save', properties: ['background-color'] })],
    peers: {
      'chrome-devtools-mcp': [devtools('take_snapshot'), devtools('get_css_styles', { uid: 'uid of save' })],
    },
  },
  {
    name: 'leak by a closure',
    ...{ file: 'src/dialog.ts', line: 'closers.push' },
    calls: [press('open', 'open', 'open'), call('take_heapsnapshot', { limit: 5 }), call('query_heapsnapshot')],
    peers: {},
  },
  {
    name: 'CSP block',
    ...{ file: 'src/policy.ts', line: 'document.head.append' },
    calls: [press('badge'), call('list_console_messages', { types: ['error'] })],
    peers: byConsole('badge'),
  },
  {
    name: 'stale closure in an effect',
    ...{ file: 'src/effect.ts', line: 'String(seen + 1)' },
    calls: [
      call('set_breakpoint', { file: 'src/effect.ts', line: 6, condition: 'true' }),
      press('more'),
      call('get_pause'),
      call('step_debugger', { action: 'resume' }),
    ],
    peers: {},
  },
  {
    name: 'worker that throws',
    ...{ file: 'src/worker.ts', line: 'order.lines!' },
    calls: [press('order'), evaluate(pause), call('list_console_messages', { types: ['error'] })],
    peers: byConsole('order'),
  },
];

/** Places each planted bug through the tools, and counts what that takes; beside what the tools of others tell. */
export async function diagnose(report: (line: string) => void): Promise<Diagnosis[]> {
  const { server, url } = await serveApp();
  const greenroom = await startGreenroom();
  const folder = await installPeers();
  try {
    const [, ...peers] = await peersIn(folder, greenroom);
    const results: Diagnosis[] = [];
    for (const bug of bugs) {
      const address = new URL('/mcp?tools=all', greenroom.url);
      const own = await connect(new StreamableHTTPClientTransport(address));
      const open = call('new_page', { url });
      await textOf(own, open);
      const placing = await place(own, bug, { files, calls: bug.calls }).finally(() => own.close());
      const result = { bug: bug.name, ...placing, peers: await placeByPeers(peers, bug, url) };
      report(`${bug.name}: ${placingText(result)}`);
      results.push(result);
    }
    return results;
  } finally {
    await greenroom.orchestrator.close();
    await removePeers(folder);
    server.closeAllConnections();
    server.close();
  }
}

/** The same for bugs that are planted in extensions, of which each has its own, by our tools alone. */
export async function diagnoseExtensions(report: (line: string) => void): Promise<Diagnosis[]> {
  const { server, url } = await serveApp();
  const greenroom = await startGreenroom();
  try {
    const results: Diagnosis[] = [];
    for (const bug of extensionBugs) {
      const folder = await writeBug(bug);
      const own = await connect(new StreamableHTTPClientTransport(new URL('/mcp', greenroom.url)));
      const names = new Map([
        ['FOLDER', folder],
        ['SITE', url],
      ]);
      const placing = await place(own, bug, { files: bug.files, calls: bug.calls, names }).finally(() => own.close());
      await rm(folder, { recursive: true });
      report(`${bug.name}: ${placingText(placing)}`);
      results.push({ bug: bug.name, ...placing, peers: {} });
    }
    return results;
  } finally {
    await greenroom.orchestrator.close();
    server.closeAllConnections();
    server.close();
  }
}

async function placeByPeers(peers: readonly Peer[], bug: Bug, url: string): Promise<Record<string, Placing>> {
  const placings: Record<string, Placing> = {};
  for (const { name, connect: start, calls } of peers) {
    const wanted = bug.peers[name];
    if (wanted === undefined) continue;
    const client = await start();
    await textOf(client, calls.navigate(url));
    placings[name] = await place(client, bug, { files, calls: wanted }).finally(() => client.close());
  }
  return placings;
}

interface Work {
  readonly files: AppFiles;
  readonly calls: readonly Call[];
  /** What stands for another text in the calls. */
  readonly names?: Map<string, string>;
}

async function place(
  client: Client,
  { file, line }: Pick<Bug, 'file' | 'line'>,
  { files: planted, calls, names = new Map() }: Work,
): Promise<Placing> {
  const wanted = lineWith(planted, file, line);
  const isTold = new RegExp(`${wanted.replaceAll('.', '\\.')}(?!\\d)`);
  let bytes = 0;
  let found: string | undefined;
  let last = '';
  for (const { name, arguments: args } of calls) {
    // The one element that a call names is found in the snapshot before it.
    const uid = /uid=(\S+) button "save"/.exec(last)?.[1];
    const written = JSON.stringify('uid' in args ? { ...args, uid } : args);
    const meant = [...names].reduce((text, [word, value]) => text.replaceAll(word, value), written);
    last = await textOf(client, { name, arguments: JSON.parse(meant) as Call['arguments'] });
    const id = /^Installed .* as ([a-p]{32})/m.exec(last)?.[1];
    if (id !== undefined) names.set('EXTENSION', id);
    bytes += Buffer.byteLength(last);
    if (isTold.test(last)) found ??= wanted;
  }
  return { calls: calls.length, bytes, found };
}

async function textOf(client: Client, { name, arguments: args }: Call): Promise<string> {
  const { content } = await client.callTool({ name, arguments: args });
  const parts = content as readonly { readonly text?: string }[];
  return parts.map((part) => part.text ?? '').join('\n');
}

async function serveApp(): Promise<{ server: Server; url: string }> {
  const scripts = {
    '/app.js': withMap(await bundleApp(files, 'src/main.ts')),
    '/worker.js': withMap(await bundleApp(files, 'src/worker.ts')),
  };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname === '/find') {
      const word = searchParams.get('word') ?? '';
      setTimeout(() => response.end(`found ${word}`), word === 'slow' ? 300 : 0);
      return;
    }
    if (pathname === '/app.css') {
      response.writeHead(200, { 'content-type': 'text/css' }).end(stylesWithMap());
      return;
    }
    const code = Object.entries(scripts).find(([path]) => path === pathname)?.[1];
    response.setHeader('content-type', code === undefined ? 'text/html' : 'text/javascript');
    response.setHeader('content-security-policy', "script-src 'self' 'unsafe-eval'");
    response.end(code ?? page);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

function stylesWithMap(): string {
  const sources = ['src/save.scss', 'src/panel.scss'];
  const sourcesContent = sources.map((source) => files[source]);
  const map = JSON.stringify({ version: 3, mappings: styles.mappings, names: [], sources, sourcesContent });
  return `${styles.code}/*# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString('base64')} */\n`;
}

const placingText = ({ calls, bytes, found }: Placing): string => `${calls}, ${bytes} B, ${found ?? 'not placed'}`;

/** A line for each bug, as the docs have it. */
export function diagnosisTable(results: readonly Diagnosis[]): string {
  const names = [...new Set(results.flatMap(({ peers }) => Object.keys(peers)))];
  const rows = results.map(({ bug, peers, ...placing }) => {
    const { calls, bytes, found } = placing;
    const isWithin = found !== undefined && calls <= most.calls && bytes <= most.bytes;
    const ofPeers = names.map((name) => (peers[name] === undefined ? 'no tool' : placingText(peers[name])));
    return [bug, placingText(placing), isWithin ? 'met' : 'not met', ...ofPeers];
  });
  return alignedOf([
    ['planted bug', 'calls, bytes, placed at', `<= ${most.calls} calls, ${most.bytes} bytes`, ...names],
    ...rows,
  ]);
}
