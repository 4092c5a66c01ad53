import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allTools } from '../../src/tools/allTools.js';
import { waitUntilFound } from '../browser/support/collectedPage.js';
import { serveDebuggedSite } from './support/debuggedSite.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let site: Awaited<ReturnType<typeof serveDebuggedSite>>;
let url: string;
let harness: ToolHarness;
let folder: string;

beforeAll(async () => {
  site = await serveDebuggedSite();
  ({ url } = site);
  folder = await mkdtemp(join(tmpdir(), 'greenroom-test-'));
  harness = await startToolHarness(allTools);
});

afterAll(async () => {
  await harness.close();
  site.close();
  await rm(folder, { recursive: true, force: true });
});

afterEach(async () => {
  await harness.run('remove_breakpoint');
  while (harness.browser.debugger.pauses.list.length > 0) await resume();
});

const open = (path = '/'): Promise<string> => harness.text('navigate_page', { url: `${url}${path}` });
const set = (args: object): Promise<string> => harness.text('set_breakpoint', { file: 'shop.js', ...args });
const resume = (): Promise<string> => harness.text('step_debugger', { action: 'resume' });
const script$ = (source: string, more: object = {}): Promise<string> =>
  harness.text('evaluate_script', { function: source, ...more });

/** The text of the pause that `act` causes. */
async function pauseOf(act: Promise<string>): Promise<string> {
  await act;
  return harness.text('get_pause');
}

async function logged(text: string): Promise<string> {
  return waitUntilFound(async () => {
    const answer = await harness.text('list_console_messages', { types: ['logpoint'] });
    return answer.includes(text) ? answer : undefined;
  });
}

/** Resolves when the breakpoint of a worker is set there. */
async function untilSetInWorker(): Promise<void> {
  await waitUntilFound(async () => {
    const answer = await harness.text('list_breakpoints');
    return answer.includes('in Worker') ? answer : undefined;
  });
}

describe('logpoints print without stopping', () => {
  beforeEach(async () => {
    await open();
  });

  test.each([
    ['expressions, where the page has no console', { log: 'sum, prices' }, 'logpoint: 7 [3, 4] ('],
    ['a text with expressions in braces', { log: 'sold {sum} of 100%' }, 'logpoint: sold 7 of 100% ('],
    ['a plain text', { log: 'came by here' }, 'logpoint: came by here ('],
    ['a cyclic object', { log: 'shop' }, 'self: (circular)}'],
    ['an expression that throws', { log: 'prices.none.at' }, 'threw: TypeError'],
    ['a condition that throws', { log: 'sum', condition: 'none.at' }, 'threw: ReferenceError: none is not defined'],
  ])('%s', async (_what, args, expected) => {
    expect(await set({ line: 7, ...args })).toContain('shop.js:7:3 in Page 1');
    expect(await script$('() => sell([3, 4])')).toBe('7');
    expect(await logged(expected)).toContain(`${url}/shop.js:7:`);
  });

  test('only where their condition holds', async () => {
    await set({ line: 7, log: '"sum", sum', condition: 'sum > 5' });
    await script$('() => [sell([1]), sell([6])]');
    expect(await logged('sum 6')).not.toContain('sum 1');
  });
});

describe('breakpoints stop', () => {
  test('the action that meets one says where at once, and so does every tool until the code goes on', async () => {
    await open();
    await set({ line: 8, condition: 'sum === 7' });
    const snapshot = await harness.text('take_snapshot');
    const uid = /uid=(\S+) button/.exec(snapshot)?.[1];
    expect(await harness.text('click', { uid })).toMatch(
      /^Clicked .*\nPage 1 is paused at .*shop\.js:8:3 in sell \(breakpoint \d+\)\. get_pause shows .* 30 s\.$/,
    );
    const pause = await harness.text('get_pause');
    expect(pause).toMatch(/> return sum;\n#0 sell .*shop\.js:8:3\n#1 onclick /);
    expect(pause).toContain('  sum = 7');
    expect(pause).toContain('self: (circular)');
    expect(await harness.refusal('take_snapshot')).toContain('step_debugger steps or resumes');
    expect(await harness.text('list_pages')).toContain('[Page 1 is paused at');
    expect(await harness.text('evaluate_in_frame', { expression: '() => prices.map((price) => price * 2)' })).toBe(
      '[6, 8]',
    );
    expect(await harness.refusal('evaluate_in_frame', { expression: 'nothing.here' })).toContain('ReferenceError');
    expect(await harness.refusal('evaluate_in_frame', { expression: 'sum', frame: 9 })).toContain('get_pause');
    expect(await harness.text('step_debugger', { action: 'out' })).toContain('#0 onclick');
    expect(await resume()).toContain('It runs on.');
    expect(await harness.text('take_snapshot')).toContain('button "sell"');
  });

  test.each([
    ['a function', { on: 'function', match: 'shop.sell' }, 'shop.js:5:'],
    ['a part of an address', { file: '*/sh*.js', line: 8 }, 'shop.js:8:3'],
  ])('at %s; what runs the script of a caller is not shown', async (_what, args, expected) => {
    await open();
    expect(await harness.text('set_breakpoint', args)).toContain(expected);
    const pause = await pauseOf(script$('() => sell([3, 4])'));
    expect(pause).toContain(`#0 sell ${url}/${expected}`);
    expect(pause).toMatch(/#1 \(anonymous\) evaluate_script:1:\d+\n(?!#2)/);
    await resume();
  });

  test('at functions of inline scripts, whose lines are those of the document', async () => {
    await open('/inline');
    const set$ = (match: string): Promise<string> => harness.text('set_breakpoint', { on: 'function', match });
    expect(await set$('order')).toContain(`${url}/inline:4:`);
    expect(await set$('pay')).toContain(`${url}/inline:7:`);
    expect(await pauseOf(script$('() => pay()'))).toContain(`#0 pay ${url}/inline:7:`);
    expect(await harness.text('get_source', { file: 'inline', to: 3 })).toContain('3: function order() {');
    await resume();
  });

  test('at no function that is not there: the answer says what finds it', async () => {
    await open('/typed');
    expect(await harness.refusal('set_breakpoint', { on: 'function', match: 'nothing()' })).toContain('No loaded code');
    expect(await harness.refusal('set_breakpoint', { on: 'function' })).toContain('Pass match with the name');
  });

  test('after a reload, and once their code loads; those that wait say what is loaded', async () => {
    await open('/none');
    expect(await set({ line: 7 })).toContain('waits for its code: no');
    await open();
    expect(await harness.text('list_breakpoints')).toContain('shop.js:7:3 in Page 1');
    await harness.run('navigate_page', { reload: true });
    expect(await pauseOf(script$('() => sell([1])'))).toContain('#0 sell');
    await resume();
    expect(await set({ file: 'src/none.ts', line: 3 })).toContain('no loaded script is called src/none.ts. Loaded:');
    expect(await set({ line: 900 })).toContain('has no code at line 900');
    expect(await harness.refusal('set_breakpoint', { file: 'shop.js', line: 7 })).toContain('is there already');
  });

  test('at lines of original files, also in code that runs while the page loads', async () => {
    await open('/none');
    expect(await set({ file: 'src/sum.ts', line: 4 })).toContain('waits for its code');
    await set({ file: 'src/sum.ts', line: 3, log: '"adds"' });
    expect(await open('/typed')).toMatch(/paused at src\/sum\.ts:4:\d+ in/);
    const pause = await harness.text('get_pause');
    expect(pause).toMatch(
      /> return result;\n#0 [^\n]*src\/sum\.ts:4:\d+ \(http[^\n]*bundle\.js:1:\d+\)\n#1 [^\n]*src\/main\.ts:4:/,
    );
    // The bundle is minified: its own names are single letters.
    expect(pause).toMatch(/ {2}result \(\w\) = 7/);
    expect(await harness.text('evaluate_in_frame', { expression: '({ result: result + prices.length }).result' })).toBe(
      '9',
    );
    await resume();
    expect(await harness.text('list_breakpoints')).toMatch(/set at src\/sum\.ts:4:/);
    expect(await logged('adds')).toContain('src/sum.ts:3');
  });

  test('at lines of original files, and a page whose source map comes at once is not held for it', async () => {
    await open('/typed');
    await set({ file: 'src/sum.ts', line: 3, log: '"adds"' });
    const started = performance.now();
    for (let load = 0; load < 3; load += 1) await open('/typed');
    // Each load would take three seconds more.
    expect(performance.now() - started).toBeLessThan(9_000);
    expect(await logged('adds')).toContain('src/sum.ts:3');
  });

  test('by a function of an original file, again after all were removed; names of a scope are its own', async () => {
    await open('/typed');
    for (let time = 0; time < 3; time += 1) {
      const answer = await harness.text('set_breakpoint', { on: 'function', match: 'put' });
      expect(answer).toMatch(/is set at src\/basket\.ts:4:\d+ \(/);
      await harness.run('remove_breakpoint');
    }
    await harness.run('set_breakpoint', { on: 'function', match: 'basket.put' });
    const pause = await pauseOf(script$('() => fill(5)'));
    expect(pause).toMatch(/#0 put src\/basket\.ts:4:/);
    expect(pause).toMatch(/ {2}price \(\w\) = 5\n {2}count \(\w\) = 1\n/);
    // In the code all of them are `e`, `t` and `n`.
    expect(pause).toMatch(/ {2}basket \(\w\) = /);
    expect(pause).toMatch(/ {2}clock \(\w\) = \{ticks: 0\}/);
    await resume();
  });

  test('where a condition holds that has names which the minified code has no more', async () => {
    await open('/none');
    await set({ file: 'src/sum.ts', line: 3, column: 31, condition: 'price === 4 && result === 3' });
    await set({ file: 'src/sum.ts', line: 4, log: 'sum is {result}' });
    expect(await open('/typed')).toContain('paused at src/sum.ts:3:');
    const pause = await harness.text('get_pause');
    expect(pause).toMatch(/\n#0 add src\/sum\.ts:3:/);
    expect(pause).toMatch(/ {2}price \(\w\) = 4\n/);
    await resume();
    expect(await logged('sum is 7')).toContain('src/sum.ts:4');
    await set({ file: 'src/basket.ts', line: 4, condition: 'price.none.at' });
    await script$('() => [fill(1), fill(2)]');
    expect(await harness.refusal('get_pause')).toContain('threw 2 times: TypeError: Cannot read');
    expect(await harness.text('list_breakpoints')).toContain('[its condition threw 2 times: TypeError: Cannot read');
  });

  test('at no line of which nothing was made, but at a column, and by the path that an editor has', async () => {
    await open('/typed');
    expect(await set({ file: 'src/basket.ts', line: 10 })).toContain('src/basket.ts is loaded, and has no code at');
    expect(await set({ file: 'main.ts', line: 7, column: 38 })).toMatch(/set at src\/main\.ts:7:4\d /);
    expect(await set({ file: 'main.ts', line: 7, column: 82 })).toMatch(/set at src\/main\.ts:7:8\d /);
    expect(await set({ file: '/home/dev/src/basket.ts', line: 4 })).toMatch(/set at src\/basket\.ts:4:/);
  });

  test('code that is paused stays so without its breakpoint, and is stepped', async () => {
    await open();
    await set({ line: 7 });
    await pauseOf(script$('() => sell([1, 2])'));
    await harness.run('remove_breakpoint');
    expect(await harness.text('step_debugger', { action: 'over' })).toContain('#0 sell');
    expect(await harness.text('step_debugger', { action: 'over' })).toMatch(/#0 sell[^\n]*shop\.js:/);
    expect(await resume()).toContain('It runs on.');
    expect(await script$('() => sell([1])')).toBe('1');
  });

  test.each([
    {
      where: 'an out-of-process frame',
      ...{ path: '/framed', file: 'shop.js', line: 7, code: 'sell([3])' },
      expected: /Frame http:\/\/localhost[^]*sum = 3/,
    },
    {
      where: 'a service worker',
      ...{ path: '/', file: 'sw.js', line: 3 },
      code: `navigator.serviceWorker.register('sw.js').then(() => navigator.serviceWorker.ready).then(({ active }) => active.postMessage(4))`,
      expected: /Service worker http[^]*twice = 8/,
    },
  ])('in $where', async ({ path, file, line, code, expected }) => {
    await open(path);
    await set({ file, line });
    const { page } = harness.browser.page();
    const frame = (path === '/framed' ? page.frames().at(-1) : undefined) ?? page.mainFrame();
    void frame.evaluate(`void (${code})`).catch(() => undefined);
    const pause = await harness.text('get_pause');
    expect(pause).toMatch(expected);
    expect(await resume()).toContain('It runs on.');
  });

  test.each([
    [
      'uncaught exceptions, and no others',
      { on: 'exception' },
      `() => { caught(); setTimeout(fail); }`,
      /exception TypeError: no till[^]*#0 fail[^]*async setTimeout/,
    ],
    [
      'every exception',
      { on: 'exception', match: 'all' },
      '() => caught()',
      /exception TypeError: no till[^]*#1 caught/,
    ],
    [
      'an event',
      { on: 'event', match: 'click' },
      `() => document.querySelector('button').click()`,
      /event click[^]*#0 onclick/,
    ],
    ['a request', { on: 'request', match: '/stock' }, '() => void ask()', /request http[^\n]*stock[^]*#0 ask/],
    ['a request where a condition holds', { on: 'request', condition: 'true' }, '() => void ask()', /request http/],
  ])('at %s', async (_what, args, action, expected) => {
    await open();
    await harness.run('set_breakpoint', args);
    expect(await pauseOf(script$(action))).toMatch(expected);
    await resume();
  });

  test.each([
    ['subtree', `list.append(document.createElement('li'))`],
    ['attribute', `list.setAttribute('class', 'long')`],
    ['removal', 'list.remove()'],
  ])('at a change of an element: %s', async (match, change) => {
    await open();
    const uid = /uid=(\S+) list/.exec(await harness.text('take_snapshot'))?.[1];
    await harness.run('set_breakpoint', { on: 'dom', match, uid });
    await harness.browser
      .page()
      .page.evaluate(
        `change = new Function("const list = document.querySelector('ul'); ${change.replaceAll('"', "'")}; //# sourceURL=change.js")`,
      )
      .catch(() => undefined);
    expect(await pauseOf(script$('() => { globalThis.change(); }'))).toMatch(/DOM change/);
    await resume();
  });

  test('in content script and service worker of an extension', async () => {
    const manifest = {
      manifest_version: 3,
      name: 'Stops',
      version: '1',
      background: { service_worker: 'background.js' },
      content_scripts: [{ matches: ['http://127.0.0.1/*'], js: ['content.js'] }],
    };
    const content = { 'manifest.json': JSON.stringify(manifest) };
    const code = {
      'background.js': `chrome.runtime.onMessage.addListener((message, _from, reply) => {\n  const answer = message + 1;\n  reply(answer);\n});`,
      'content.js': `const here = 'content';\nchrome.runtime.sendMessage(1);\n`,
    };
    const path = join(folder, 'stops');
    await mkdir(path);
    for (const [name, text] of Object.entries({ ...content, ...code })) await writeFile(join(path, name), text);
    const { structured } = await harness.run('install_extension', { path }, { workspace: [folder] });
    const extensionId = structured['id'];
    await set({ file: 'content.js', line: 2 });
    await set({ file: 'background.js', line: 3 });
    expect(await open()).toContain('content.js:2');
    expect(await pauseOf(Promise.resolve(''))).toContain(`here = "content"`);
    await resume();
    expect(await pauseOf(Promise.resolve(''))).toMatch(/Service worker chrome-extension:[^]*answer = 2/);
    await resume();
    await harness.run('uninstall_extension', { extensionId });
  });
});

describe('nothing stays stopped', () => {
  beforeEach(async () => {
    await open();
  });

  test('code goes on by itself when no call is about its pause, and the next answer says so', async () => {
    await set({ line: 7, timeout: 1_000 });
    await script$('() => sell([1])');
    await waitUntilFound(() => Promise.resolve(harness.browser.debugger.pauses.list.length === 0 ? true : undefined));
    expect(harness.browser.takeNotices().join()).toMatch(/Page \d+ was paused at .*shop\.js:7 and went on by itself/);
    expect(await script$('() => 1 + 1')).toBe('2');
  });

  test('a debugger statement is passed over', async () => {
    await set({ line: 900 });
    expect(await script$('() => statement()')).toBe(`"passed"`);
  });

  test('an expression that never ends is stopped, and says why', async () => {
    await set({ line: 7 });
    await script$('() => sell([1])');
    expect(await harness.refusal('evaluate_in_frame', { expression: 'for (;;) {}' })).toContain('must end by itself');
    await resume();
  });

  test('a scope of thousands of variables is read in part', async () => {
    await set({ line: 15 });
    const pause = await pauseOf(script$('() => manyNames()'));
    expect(pause).toContain('2976 more variables');
    expect(pause.length).toBeLessThan(4_000);
    await resume();
  });

  test('a worker that ends while it is paused ends its pause', async () => {
    await set({ file: 'worker.js', line: 3 });
    await script$(`() => { w = new Worker('worker.js'); }`);
    await untilSetInWorker();
    await script$('() => w.postMessage(4)');
    expect(await harness.text('get_pause')).toMatch(/Worker http[^]*twice = 8/);
    await script$('() => w.terminate()');
    await waitUntilFound(() => Promise.resolve(harness.browser.debugger.pauses.list.length === 0 ? true : undefined));
    expect(await harness.refusal('step_debugger', { action: 'over' })).toContain('Nothing is paused');
  });

  test('a call that waits for paused code is told, and one that is cancelled leaves the pause to its deadline', async () => {
    await set({ file: 'worker.js', line: 3 });
    await script$(`() => { w = new Worker('worker.js'); }`);
    await untilSetInWorker();
    await script$('() => w.postMessage(4)');
    await harness.text('get_pause');
    const { signal } = new AbortController();
    const waiting = harness.browser.debugger.unlessStalled(signal, () => new Promise(() => undefined));
    await expect(waiting).rejects.toThrow(/This did not end so far\. Worker .* is paused/);
    const cancelled = harness.run(
      'step_debugger',
      { action: 'over' },
      { signal: AbortSignal.abort(new Error('cancelled')) },
    );
    await expect(cancelled).rejects.toThrow('cancelled');
    await resume().catch(() => undefined);
  });

  test('a page is closed while it is paused', async () => {
    const { structured } = await harness.run('new_page', { url });
    const { pageId } = structured;
    await set({ line: 7 });
    await script$('() => sell([1])');
    await harness.run('close_page', { pageId });
    expect(harness.browser.debugger.pauses.list).toEqual([]);
    expect(await harness.text('list_pages')).not.toContain('paused');
  });
});
