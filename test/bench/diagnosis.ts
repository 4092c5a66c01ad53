import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bundleApp, lineWith, withMap, type AppFiles } from '../support/bundleApp.js';
import { connect, startGreenroom, type Call } from './browserPeers.js';
import { alignedOf } from './report.js';

/** What an agent is given to place a bug that is planted in a bundled app: at most this. */
const most = { calls: 4, bytes: 6_000 };

export interface Diagnosis {
  readonly bug: string;
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
  readonly path: string;
  /** The calls after the page is open, each made of the text of the last answer. */
  readonly calls: readonly ((text: string) => Call)[];
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
  'src/main.ts': `import { startCounter } from './effect';
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
on('order', () => new Worker('worker.js').postMessage({}));
`,
};

const ids = ['out', 'add', 'race', 'more', 'badge', 'order'];
const page =
  ids.map((id) => `<button id="${id}">${id}</button>`).join('') +
  '<p id="found"></p><p id="count"></p><script src="app.js"></script>';

const press =
  (...pressed: readonly string[]) =>
  (): Call => ({
    name: 'evaluate_script',
    arguments: {
      function: `() => { for (const id of ${JSON.stringify(pressed)}) document.getElementById(id).click(); }`,
    },
  });
const call =
  (name: string, args: Record<string, unknown> = {}) =>
  (): Call => ({ name, arguments: args });

/** A worker starts after the click. */
const later = call('evaluate_script', { function: '() => new Promise((done) => setTimeout(done, 500))' });

const bugs: readonly Bug[] = [
  {
    name: 'null in a reducer',
    ...{ file: 'src/store.ts', line: 'state.cart!.items', path: '/' },
    calls: [
      call('set_breakpoint', { on: 'exception' }),
      press('out', 'add'),
      call('get_pause'),
      call('step_debugger', { action: 'resume' }),
    ],
  },
  {
    name: 'race of two fetches',
    ...{ file: 'src/search.ts', line: 'textContent = latest', path: '/' },
    calls: [
      call('set_breakpoint', { file: 'src/search.ts', line: 5, log: 'word, latest' }),
      press('race'),
      call('wait_for', { text: ['found slow'] }),
      call('list_console_messages', { types: ['logpoint'] }),
    ],
  },
  {
    name: 'stale closure in an effect',
    ...{ file: 'src/effect.ts', line: 'String(seen + 1)', path: '/' },
    calls: [
      call('set_breakpoint', { file: 'src/effect.ts', line: 6, condition: 'true' }),
      press('more'),
      call('get_pause'),
      call('step_debugger', { action: 'resume' }),
    ],
  },
  {
    name: 'worker that throws',
    ...{ file: 'src/worker.ts', line: 'order.lines!', path: '/' },
    calls: [press('order'), later, call('list_console_messages', { types: ['error'] })],
  },
  {
    name: 'CSP block',
    ...{ file: 'src/policy.ts', line: 'document.head.append', path: '/' },
    calls: [press('badge'), call('list_console_messages', { types: ['error'] })],
  },
];

/** Places each planted bug through the tools, and counts what that takes. */
export async function diagnose(report: (line: string) => void): Promise<Diagnosis[]> {
  const { server, url } = await serveApp();
  const greenroom = await startGreenroom();
  try {
    const results: Diagnosis[] = [];
    for (const bug of bugs) {
      const client = await connect(new StreamableHTTPClientTransport(new URL('/mcp', greenroom.url)));
      const result = await place(client, bug, url).finally(() => client.close());
      report(`${bug.name}: ${result.calls} calls, ${result.bytes} bytes, ${result.found ?? 'not placed'}`);
      results.push(result);
    }
    return results;
  } finally {
    await greenroom.orchestrator.close();
    server.closeAllConnections();
    server.close();
  }
}

async function place(client: Client, bug: Bug, url: string): Promise<Diagnosis> {
  await textOf(client, { name: 'new_page', arguments: { url: `${url}${bug.path}` } });
  const wanted = lineWith(files, bug.file, bug.line);
  let bytes = 0;
  let text = '';
  let found: string | undefined;
  for (const next of bug.calls) {
    text = await textOf(client, next(text));
    bytes += Buffer.byteLength(text);
    if (text.includes(`${wanted}:`)) found ??= wanted;
  }
  return { bug: bug.name, calls: bug.calls.length, bytes, found };
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
    const code = Object.entries(scripts).find(([path]) => path === pathname)?.[1];
    response.setHeader('content-type', code === undefined ? 'text/html' : 'text/javascript');
    response.setHeader('content-security-policy', "script-src 'self' 'unsafe-eval'");
    response.end(code ?? page);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

/** A line for each bug, as the docs have it. */
export function diagnosisTable(results: readonly Diagnosis[]): string {
  const rows = results.map(({ bug, calls, bytes, found }) => {
    const isWithin = found !== undefined && calls <= most.calls && bytes <= most.bytes;
    return [bug, String(calls), String(bytes), found ?? 'not placed', isWithin ? 'met' : 'not met'];
  });
  return alignedOf([
    ['planted bug', 'calls', 'bytes', 'placed at', `<= ${most.calls} calls, ${most.bytes} bytes`],
    ...rows,
  ]);
}
