import { createServer, type IncomingMessage, type ServerResponse, type Server } from 'node:http';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { extensionTools } from '../../src/tools/allTools.js';
import { consoleTools } from '../../src/tools/consoleTools.js';
import { coverageTools } from '../../src/tools/coverageTools.js';
import { networkTools } from '../../src/tools/networkTools.js';
import { sourceTools } from '../../src/tools/sourceTools.js';
import { bundleApp, lineWith, withMap, type AppFiles } from '../support/bundleApp.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

const files: AppFiles = {
  'src/main.ts': `import { reduce, type State } from './store/reducer';

const state: State = { items: [{ title: 'first' }], selected: null };
const worker = new Worker('/worker.js');
worker.postMessage('go');

interface Sent {
  readonly url: string;
}

async function send({ url }: Sent): Promise<Response> {
  return fetch(url);
}

console.warn('started');
void send({ url: '/data.json' });
setTimeout(() => reduce(state, { type: 'rename', title: 'second' }), 0);
addEventListener('click', () => {
  console.log('clicked', location.href);
});
`,
  'src/store/reducer.ts': `export interface State {
  readonly items: readonly { readonly title: string }[];
  readonly selected: { readonly title: string } | null;
}

type Action = { readonly type: 'rename'; readonly title: string };

/** Renames what is selected. */
export function reduce(state: State, action: Action): State {
  const { selected } = state;
  // Nothing may be selected.
  const oldTitle = selected!.title.toUpperCase();
  console.log(oldTitle, action.title);
  return { ...state, selected: { title: action.title } };
}
`,
  'src/frame.ts': `function inFrame(values: number[]): never {
  throw new RangeError('frame: ' + values.length);
}

inFrame([1, 2]);
`,
  'src/worker.ts': `export type Order = 'go';

function work(order: Order): void {
  try {
    JSON.parse('{' + order);
  } catch (error) {
    console.error(error);
  }
}

addEventListener('message', ({ data }) => work(data as Order));
`,
};

type Route = (request: IncomingMessage, response: ServerResponse) => void;
const text =
  (body: string, type = 'text/javascript'): Route =>
  (_request, response) => {
    response.setHeader('content-type', type);
    response.end(body);
  };
const page = (...scripts: string[]): Route => text(`<!doctype html><title>App</title>${scripts.join('')}`, 'text/html');

const routes = new Map<string, Route>();
let server: Server;
let site: string;
let tools: ToolHarness;

beforeAll(async () => {
  const [app, frame, worker] = await Promise.all([
    bundleApp(files, 'src/main.ts'),
    bundleApp(files, 'src/frame.ts'),
    bundleApp(files, 'src/worker.ts'),
  ]);
  routes.set('/', (request, response) => {
    response.setHeader('set-cookie', 'login=1');
    page('<script src="/app.js"></script><iframe src="/frame"></iframe>')(request, response);
  });
  routes.set('/app.js', text(withMap(app, 'maps/app.js.map')));
  // Only who is logged in gets the map.
  routes.set('/maps/app.js.map', (request, response) => {
    response.statusCode = request.headers.cookie === 'login=1' ? 200 : 403;
    response.end(response.statusCode === 200 ? app.map.replaceAll('"../src', '"webpack://app/./src') : '');
  });
  routes.set('/frame', page(`<p>\n<script>${withMap(frame)}</script>`));
  routes.set('/worker.js', text(withMap(worker, '/worker.js.map')));
  routes.set('/worker.js.map', text(`)]}'\n${worker.map}`));
  routes.set('/empty', page());
  routes.set('/covered', page('<link rel="stylesheet" href="/app.css"><p>one</p><script src="/app.js"></script>'));
  routes.set(
    '/inline',
    page(
      '<p>one</p>\n<script>\nlet sold = 0;\nfunction buy() {\n  sold += 1;\n}</script>\n<script>let left = 1;\nbuy();\n</script>',
    ),
  );
  routes.set(
    '/long',
    text(`<title>Long</title>\n<script>\nfunction far() {}\n</script><!-- ${'x'.repeat(9e6)} -->`, 'text/html'),
  );
  routes.set('/app.css', text('p { color: red; }\nb { color: blue; }\n', 'text/css'));
  routes.set('/data.json', text('{}', 'application/json'));
  const broken: Readonly<Record<string, Route>> = {
    gone: (_request, response) => void response.writeHead(404).end(),
    html: text('<html>', 'text/html'),
    lies: text(JSON.stringify({ version: 3, sources: ['a.ts'], sourcesContent: ['one line'], mappings: 'AAgEA' })),
    beyond: text(JSON.stringify({ version: 3, sources: ['a.ts'], mappings: ';;;;;;;AAAA' })),
    silent: () => undefined,
  };
  for (const [name, route] of Object.entries(broken)) {
    routes.set(`/${name}.js`, text(`console.log('${name}');\n//# sourceMappingURL=${name}.js.map\n`));
    routes.set(`/${name}.js.map`, route);
  }
  routes.set('/broken', page(...Object.keys(broken).map((name) => `<script src="/${name}.js"></script>`)));
  server = createServer((request, response) => {
    const route = routes.get((request.url ?? '').split('?', 1)[0] ?? '');
    if (route === undefined) response.writeHead(404).end();
    else route(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  site = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  tools = await startToolHarness([
    ...consoleTools,
    ...networkTools,
    ...sourceTools,
    ...coverageTools,
    ...extensionTools,
  ]);
});

afterAll(async () => {
  await tools.close();
  server.closeAllConnections();
  server.close();
});

/** Opens a page of the site; answers what its console has, once `complete` is in it. */
async function consoleOf(path: string, complete: string, count = 1): Promise<string> {
  await tools.browser.page().page.goto(`${site}${path}`);
  for (;;) {
    const messages = await tools.text('list_console_messages', { limit: 100 });
    const here = messages.slice(messages.lastIndexOf(`On ${site}${path}`));
    if (here.split(complete).length > count) return here;
  }
}

describe('a bundled app in TypeScript', () => {
  const reducer = lineWith(files, 'src/store/reducer.ts', 'selected!.title');
  let messages: string;

  beforeAll(async () => {
    messages = await consoleOf('/', 'JSON');
  });

  test('the console names original files: of an error, a message, a frame and a worker', async () => {
    expect(messages).toMatch(new RegExp(`^#\\d+ error exception: .*null.* \\(${reducer}:30, app\\.js:1:\\d+\\)$`, 'm'));
    expect(messages).toMatch(/warning: started \(src\/main\.ts:15:9, app\.js:1:\d+\)/);
    expect(messages).toContain(`frame: 2 (${lineWith(files, 'src/frame.ts', 'new RangeError')}:`);
    const thrown = lineWith(files, 'src/worker.ts', 'JSON.parse');
    expect(messages).toMatch(new RegExp(`JSON\\.parse.* at ${thrown}:10 at .*\\[worker\\]`));
  });

  test('a message in full has the stack in both, also after the page has gone on', async () => {
    const { structured } = await tools.run('list_console_messages', { types: ['exception'], text: 'null' });
    const [row] = structured['messages'] as { id: number; location: object }[];
    const [file, line] = reducer.split(':');
    expect(row?.location).toMatchObject({ url: `${site}/app.js`, line: 1, original: { file, line: Number(line) } });
    await tools.browser.page().page.goto(`${site}/empty`);
    const message = await tools.text('get_console_message', { id: row?.id });
    expect(message).toContain(`(${reducer}:30, app.js:1:`);
    expect(message).toContain(`(${lineWith(files, 'src/main.ts', 'setTimeout')}:`);
    await consoleOf('/', 'JSON');
  });

  test('a request names the line that sent it', async () => {
    const { structured } = await tools.run('list_network_requests', { url: 'data.json' });
    const [{ id } = { id: 0 }] = structured['requests'] as { id: number }[];
    const request = await tools.text('get_network_request', { id, body: 'none' });
    expect(request).toContain(`by script ${lineWith(files, 'src/main.ts', 'return fetch')}:10, app.js:1:`);
  });

  test('sources are listed, read and searched', async () => {
    const listed = await tools.text('list_sources');
    expect(listed).toMatch(/^app\.js \(\d+ B, made from 2 files\)\n {2}src\/main\.ts\n {2}src\/store\/reducer\.ts$/m);
    expect(listed).toMatch(/^worker\.js \(worker, \d+ B, made from 1 file\)\n {2}src\/worker\.ts$/m);
    const read = await tools.text('get_source', { file: 'reducer.ts', from: 11, to: 12 });
    expect(read).toBe(
      'src/store/reducer.ts, original of app.js, lines 11 to 12 of 16:\n' +
        '11:   // Nothing may be selected.\n' +
        '12:   const oldTitle = selected!.title.toUpperCase();\nfrom: 13 reads on.',
    );
    const generated = await tools.text('get_source', { file: 'app.js', column: 5 });
    expect(generated).toMatch(/^app\.js, lines 1 to 1 of 3:\n1:5: .*\.title/);
    expect(await tools.text('search_sources', { text: 'OLDTITLE' })).toBe(
      'src/store/reducer.ts:12:9: const oldTitle = selected!.title.toUpperCase();\n' +
        'src/store/reducer.ts:13:15: console.log(oldTitle, action.title);',
    );
    const byRegex = await tools.text('search_sources', { regex: 'function (work|send)\\(', file: 'src/' });
    expect(byRegex.match(/^src\/(worker|main)\.ts:\d+:/gm)).toHaveLength(2);
    expect(await tools.text('search_sources', { text: 'selected:null' })).toMatch(/^app\.js:1:\d+: /);
    expect(await tools.text('search_sources', { text: 'no such text' })).toContain('Nothing found');
  });

  test('coverage names the original lines that ran, and the style rules that were applied', async () => {
    await tools.run('start_coverage');
    await consoleOf('/covered', 'JSON');
    const loaded = await tools.text('stop_coverage');
    const [, line] = lineWith(files, 'src/main.ts', 'clicked').split(':');
    expect(loaded).toMatch(new RegExp(`^src/main\\.ts \\(app\\.js\\): .* lines ran; did not run: ${line}$`, 'm'));
    expect(loaded).toMatch(/^src\/worker\.ts \(worker\.js\): 8 of 8 lines ran$/m);
    expect(loaded).toMatch(/^app\.css: 1 of 2 lines applied; applied: 1$/m);
    await tools.run('start_coverage');
    expect(await tools.text('stop_coverage', { text: 'reducer' })).toMatch(/reducer\.ts .*: 0 of \d lines ran$/);
    expect(await tools.refusal('stop_coverage')).toContain('start_coverage');
    await consoleOf('/', 'JSON');
  });

  test('a name that does not fit is told with those that are similar', async () => {
    expect(await tools.refusal('get_source', { file: 'src/reducer.ts' })).toMatch(
      /^There is no source src\/reducer\.ts\. Similar: src\/store\/reducer\.ts\. list_sources /,
    );
    expect(await tools.refusal('get_source', { file: 'reducer.ts', from: 99 })).toContain('has 16 lines');
    expect(await tools.refusal('search_sources', { regex: '(' })).toContain('search by text');
  });
});

test('a source map that is missing, broken, of another build or late leaves the generated place, and says why', async () => {
  await tools.browser.page().page.goto(`${site}/broken`);
  const { structured, text: messages } = await tools.run('list_console_messages');
  for (const name of ['gone', 'html', 'lies', 'beyond', 'silent']) {
    expect(messages).toContain(`log: ${name} (${site}/${name}.js:1:9)`);
  }
  expect(new Set(structured['sourceMaps'] as string[])).toEqual(
    new Set([
      'gone.js: its source map was answered 404',
      'html.js: its source map is no JSON',
      'lies.js: its source map names line 65 of a.ts, which has 1',
      'beyond.js: its source map is of another build: it continues after the end of the script',
      'silent.js: its source map has not arrived yet',
    ]),
  );
});

test.each([
  [
    'a script that the page writes',
    (code: string) =>
      `{ const made = document.createElement('script'); made.text = ${code}; document.body.append(made); }`,
    '(inline)',
  ],
  [
    'a module that is evaluated',
    (code: string) => `(0, eval)(${code} + '\\n//# sourceURL=webpack-internal:///./made.js')`,
    'made.js',
  ],
])('%s is placed by its own map', async (_what, run, script) => {
  const map = { version: 3, sources: ['webpack:///./src/made.ts'], sourcesContent: ['\n\nmade();'], mappings: 'AAEA' };
  const { page: tab } = tools.browser.page();
  await tab.goto(`${site}/empty`);
  await tab.evaluate(run(JSON.stringify(withMap({ code: `console.log('made');`, map: JSON.stringify(map) }))));
  const { text: messages } = await tools.run('list_console_messages', { text: 'made' });
  expect(messages).toContain(`log: made (src/made.ts:3:1, ${script}:1:9)`);
  expect(await tools.text('get_source', { file: 'src/made.ts', from: 3 })).toContain('3: made();');
});

test('an original file is preferred to the script that is served under its name, which is marked', async () => {
  const map = { version: 3, sources: ['sent.ts'], sourcesContent: ['type A = 1;\n\nsend();'], mappings: 'AAEA' };
  routes.set('/src/sent.ts', text(withMap({ code: `console.log('sent');`, map: JSON.stringify(map) })));
  routes.set('/dev', page('<script type="module" src="/src/sent.ts"></script>'));
  await tools.browser.page().page.goto(`${site}/dev`);
  const original = 'src/sent.ts, original of src/sent.ts (compiled), lines 3 to 3 of 3:\n3: send();';
  for (const file of ['src/sent.ts', 'sent.ts', `${site}/src/sent.ts`])
    expect(await tools.text('get_source', { file, from: 3 })).toBe(original);
  expect(await tools.text('get_source', { file: 'src/sent.ts (compiled)' })).toMatch(
    /^src\/sent\.ts \(compiled\), .*\n1: console.*\n2: \/\/# sourceMappingURL=data:application\/json;base64,…$/m,
  );
  expect(await tools.text('search_sources', { text: `log('sent')` })).toMatch(/^src\/sent\.ts \(compiled\):1:9: /);
});

test('inline scripts are read, searched and covered as lines of their document', async () => {
  await tools.run('start_coverage');
  await tools.browser.page().page.goto(`${site}/inline`);
  expect(await tools.text('list_sources')).toMatch(/^inline \(2 inline scripts, \d+ B\)$/m);
  const text = await tools.text('get_source', { file: 'inline' });
  const lineOf = (code: string): string => new RegExp(`^(\\d+): .*${code}`, 'm').exec(text)?.[1] ?? '';
  expect(Number(lineOf('let left'))).toBe(Number(lineOf('let sold')) + 4);
  expect(await tools.text('search_sources', { text: 'buy();' })).toBe(`inline:${lineOf('buy\\(\\);')}:1: buy();`);
  const covered = await tools.text('stop_coverage');
  expect(covered).toMatch(/^inline: 5 of 5 lines ran$/m);
  await tools.browser
    .page()
    .page.evaluate(
      `{ const made = document.createElement('script'); made.text = 'var added = 1;'; document.body.append(made); }`,
    );
  expect(await tools.text('get_source', { file: 'inline' })).toContain('let sold');
});

test('of a document that is too long for a message, the inline scripts are read at their lines', async () => {
  await tools.browser.page().page.goto(`${site}/long`);
  const text = await tools.text('get_source', { file: 'long' });
  expect(text).toMatch(/^3: function far\(\) \{\}$/m);
  expect(text).not.toContain('<!--');
});

test('`debugger` statements pause nothing', async () => {
  const value = await tools.browser.page().page.evaluate('(() => { debugger; return 1; })()');
  expect(value).toBe(1);
});

describe('an extension', () => {
  const code: AppFiles = {
    'src/background.ts': `interface Note {
  readonly text: string;
}

function measure(note: Note | undefined): number {
  return note!.text.length;
}

console.info('awake');
chrome.runtime.onMessage.addListener((message: { note?: Note }) => void measure(message.note));
`,
    'src/content.ts': `export {};
function mark(): void {
  console.log('marked', document.title);
}
mark();
void chrome.runtime.sendMessage({}).catch(() => undefined);
`,
  };
  let extensionId: string;
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
    const [background, content] = await Promise.all([
      bundleApp(code, 'src/background.ts'),
      bundleApp(code, 'src/content.ts'),
    ]);
    const manifest = {
      ...{ manifest_version: 3, name: 'Bundled', version: '1', background: { service_worker: 'sw.js' } },
      content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['content.js'] }],
    };
    const written = {
      'manifest.json': JSON.stringify(manifest),
      'sw.js': withMap(background, 'sw.js.map'),
      'sw.js.map': background.map,
      'content.js': withMap(content),
    };
    for (const [name, body] of Object.entries(written)) await writeFile(join(folder, name), body);
    const installed = await tools.run('install_extension', { path: folder }, { workspace: [folder] });
    extensionId = String(installed.structured['id']);
    await consoleOf('/empty', 'marked');
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('content scripts, logs and errors are placed in their original files', async () => {
    const messages = await consoleOf('/empty', 'marked');
    const marked = lineWith(code, 'src/content.ts', 'console.log');
    expect(messages).toContain(`(${marked}:11, content.js:1:`);
    const measure = lineWith(code, 'src/background.ts', 'note!.text');
    let errors = '';
    while (!errors.includes('text')) errors = await tools.text('get_extension_runtime_errors', { extensionId });
    expect(errors).toContain(` at ${measure}:16, sw.js:1:`);
    const logs = await tools.text('get_extension_logs', { extensionId });
    expect(logs).toContain(`awake (${lineWith(code, 'src/background.ts', 'awake')}:9, sw.js:1:`);
    expect(logs).toContain(`(${marked}:11, content.js:1:`);
  });

  test('sources are read while the service worker sleeps, and it goes on sleeping', async () => {
    await tools.run('stop_extension_service_worker', { extensionId });
    expect(await tools.text('list_sources', { extensionId })).toMatch(/^sw\.js .*\n {2}src\/background\.ts$/m);
    const read = await tools.text('get_source', { file: 'background.ts', extensionId, from: 6, to: 6 });
    expect(read).toContain('6:   return note!.text.length;');
    const script = await tools.text('get_source', { file: `chrome-extension://${extensionId}/content.js` });
    expect(script).toContain('sourceMappingURL');
    expect(await tools.text('search_sources', { extensionId, text: 'note!' })).toBe(
      'src/background.ts:6:10: return note!.text.length;',
    );
    const { structured } = await tools.run('get_service_worker_status', { extensionId });
    expect(structured['state']).toBe('stopped');
  });
});
