import { evaluateInDocument, evaluateInWorker } from '../../src/browser/extensions/contextEvaluation.js';
import { installExtension } from '../../src/browser/extensions/extensionInstall.js';
import { findExtension, loadExtension, type Extension } from '../../src/browser/extensions/installedExtensions.js';
import { withCdpScope } from '../../src/browser/cdp/cdpScope.js';
import { wakeWorker, WorkerMonitor } from '../../src/browser/extensions/serviceWorkers.js';
import { isExtensionsPage } from '../../src/browser/policy/launchPreferences.js';
import { TargetGuard } from '../../src/browser/policy/targetGuard.js';
import { sampleExtensionFolder, sampleExtensionId } from '../../src/selftest/pageServer.js';
import {
  manifestJson,
  extensionUrl,
  startExtensionBrowser,
  type ExtensionBrowser,
} from '../support/extensionBrowser.js';

let chrome: ExtensionBrowser;
let sample: Extension;

beforeAll(async () => {
  chrome = await startExtensionBrowser();
  ({ extension: sample } = await chrome.run((scope) => installExtension(scope, sampleExtensionFolder)));
});
afterAll(() => chrome.close());

// Every call gives back what it opened, on every path: only workers and the pages of the test itself may be there.
afterEach(async () => {
  const left = await chrome.openTargets();
  expect(left.filter((target) => !target.startsWith('service_worker '))).toEqual([]);
});

const inWorker = (code: string): Promise<unknown> =>
  chrome.run(async (scope) => JSON.parse((await evaluateInWorker(scope, sample, code)).json ?? '"no JSON"'));

const stateOf = (id: string): Promise<string> =>
  chrome.run(async (scope) => (await WorkerMonitor.open(scope)).state(id));

describe('installing', () => {
  it('keeps the id that follows from the key of the sample, without a warning', async () => {
    const installed = await chrome.run((scope) => installExtension(scope, sampleExtensionFolder));
    expect(installed.extension).toMatchObject({ id: sampleExtensionId, name: 'Page Notes', enabled: true });
    expect(installed.warnings).toEqual([]);
  });

  it('asks Chrome from a document that runs nothing, on a session that no request waits for', async () => {
    await TargetGuard.of(chrome.browser);
    const [answer, intercepting] = await chrome.run(async (scope) => {
      const page = (await scope.targets()).find(({ url }) => isExtensionsPage(url));
      const session = await scope.attach(page?.targetId ?? '');
      const expression = '`${typeof chrome.developerPrivate.getExtensionInfo}, ${document.scripts.length} scripts`';
      const { result } = await session.send('Runtime.evaluate', { expression, returnByValue: true });
      return [result.value, session.listenerCount('Fetch.requestPaused')];
    });
    expect(answer).toBe('function, 0 scripts');
    expect(intercepting).toBe(0);
  });

  it('resolves when the service worker runs', async () => {
    const path = await chrome.write('ready', {
      'manifest.json': manifestJson('Ready', { background: { service_worker: 'worker.js' } }),
      'worker.js': 'let answer = 42;',
    });
    const { json } = await chrome.run(async (scope) => {
      const { extension } = await installExtension(scope, path);
      return evaluateInWorker(scope, extension, 'answer');
    });
    expect(json).toBe('42');
  });

  it('passes on what Chrome dislikes in the manifest', async () => {
    const path = await chrome.write('odd', {
      'manifest.json': manifestJson('Odd', { permissions: ['bogus'], nonsense: 1 }),
    });
    const { warnings } = await chrome.run((scope) => installExtension(scope, path));
    expect(warnings).toEqual(["Unrecognized manifest key 'nonsense'.", "Permission 'bogus' is unknown."]);
  });

  it('warns of a service worker that throws when it starts', async () => {
    const path = await chrome.write('throws', {
      'manifest.json': manifestJson('Throws', { background: { service_worker: 'worker.js' } }),
      'worker.js': '\nthrow new Error("boom at start");',
    });
    const { warnings } = await chrome.run((scope) => installExtension(scope, path));
    expect(warnings.join('\n')).toMatch(
      /Uncaught Error: boom at start \(chrome-extension:\/\/[a-p]{32}\/worker\.js:2\)/,
    );
  });

  it('loads a changed extension again under its id and keeps its storage', async () => {
    const files = (version: string) => ({
      'manifest.json': manifestJson('Changing', {
        version,
        permissions: ['storage'],
        background: { service_worker: 'w.js' },
      }),
      'w.js': '',
    });
    const path = await chrome.write('changing', files('1.0'));
    const { extension: first } = await chrome.run((scope) => installExtension(scope, path));
    await chrome.run((scope) => evaluateInWorker(scope, first, 'chrome.storage.local.set({ kept: true })'));
    await chrome.write('changing', files('2.0'));
    const { extension: second } = await chrome.run((scope) => installExtension(scope, path));
    expect(second).toMatchObject({ id: first.id, version: '2.0' });
    const stored = await chrome.run((scope) => evaluateInWorker(scope, second, 'chrome.storage.local.get()'));
    expect(JSON.parse(stored.json ?? '')).toEqual({ kept: true });
  });

  const refused: [string, Record<string, string> | undefined, string][] = [
    ['a missing folder', undefined, 'File path cannot be resolved.'],
    ['a folder without a manifest', { 'readme.txt': '' }, 'Manifest file is missing or unreadable'],
    ['a broken manifest', { 'manifest.json': '{ "name": ' }, 'Manifest is not valid JSON.'],
    [
      'manifest version 2',
      { 'manifest.json': manifestJson('Old', { manifest_version: 2 }) },
      'unsupported manifest version',
    ],
    ['a manifest without a name', { 'manifest.json': '{"manifest_version":3,"version":"1"}' }, "Required value 'name'"],
  ];
  it.each(refused)('refuses %s in the words of Chrome', async (name, files, words) => {
    const path =
      files === undefined ? `${chrome.folder}/missing` : await chrome.write(name.replaceAll(' ', '-'), files);
    const loading = chrome.run((scope) => loadExtension(scope, path));
    await expect(loading).rejects.toMatchObject({ name: 'ToolError', message: expect.stringContaining(words) });
    await expect(loading).rejects.toThrow(path);
  });

  it('names the extensions that exist when an id is unknown', async () => {
    const finding = chrome.run((scope) => findExtension(scope, 'a'.repeat(32)));
    await expect(finding).rejects.toThrow(`${sampleExtensionId} (Page Notes)`);
  });
});

describe('the service worker', () => {
  it('is woken from sleep, and finding it running says so', async () => {
    await chrome.stopWorker(sample.id);
    expect(await stateOf(sample.id)).toBe('stopped');
    expect(await chrome.run((scope) => wakeWorker(scope, sample))).toEqual({ before: 'stopped', errors: [] });
    expect(await stateOf(sample.id)).toBe('running');
    expect(await chrome.run((scope) => wakeWorker(scope, sample))).toEqual({ before: 'running', errors: [] });
  });

  it('is not kept awake by having been talked to', async () => {
    await chrome.run((scope) => wakeWorker(scope, sample));
    await inWorker('1');
    const worker = (await chrome.run((scope) => scope.targets())).find(({ url }) =>
      url.startsWith(extensionUrl(sample, '')),
    );
    expect(worker).toMatchObject({ type: 'service_worker', attached: false });
  });

  it('is found again after a restart', async () => {
    await chrome.run((scope) => wakeWorker(scope, sample));
    await inWorker('globalThis.old = true');
    await chrome.stopWorker(sample.id);
    await chrome.run((scope) => wakeWorker(scope, sample));
    expect(await inWorker('typeof old')).toBe('undefined');
  });

  it('that throws at every start says what it throws', async () => {
    const path = await chrome.write('never', {
      'manifest.json': manifestJson('Never', { background: { service_worker: 'worker.js' } }),
      'worker.js': 'null.nothing;',
    });
    const { extension } = await chrome.run((scope) => installExtension(scope, path));
    await expect(chrome.run((scope) => wakeWorker(scope, extension))).rejects.toThrow(
      /service worker of Never does not start.*TypeError.*nothing.*worker\.js:1/s,
    );
  });

  it('that throws only when it starts again says what it throws', async () => {
    const path = await chrome.write('second', {
      'manifest.json': manifestJson('Second', { background: { service_worker: 'worker.js' } }),
      'worker.js': 'let started = registration.active; if (started) throw new Error("not again");',
    });
    const { extension } = await chrome.run((scope) => installExtension(scope, path));
    await chrome.stopWorker(extension.id);
    const { before, errors } = await chrome.run((scope) => wakeWorker(scope, extension));
    expect(before).toBe('stopped');
    expect(errors).toEqual([expect.stringMatching(/Error: not again \(.*worker\.js:1\)/)]);
  });

  it('of an extension that has none is not looked for', async () => {
    const path = await chrome.write('plain', { 'manifest.json': manifestJson('Plain') });
    const extension = await chrome.run((scope) => loadExtension(scope, path));
    await expect(chrome.run((scope) => wakeWorker(scope, extension))).rejects.toThrow('Plain has no service worker');
  });

  it('that sleeps is not woken by evaluating; the answer names the tool that wakes it', async () => {
    await chrome.stopWorker(sample.id);
    await expect(inWorker('1')).rejects.toThrow('asleep. Call activate_extension_service_worker');
    expect(await stateOf(sample.id)).toBe('stopped');
  });
});

/** Code in the worker that is heard by a page of the extension. */
// Not awaited: once it is heard, the code has gone on to what comes next.
const announce = 'chrome.storage.session.set({ announced: Math.random() })';

/** Runs `use` with a promise for the next announcement. */
async function listening(use: (announced: Promise<void>) => Promise<void>): Promise<void> {
  const page = await chrome.browser.newPage();
  await page.goto(extensionUrl(sample, 'options.html'));
  // It listens before anything is announced.
  await page.evaluate(
    'globalThis.announced = new Promise((resolve) => chrome.storage.onChanged.addListener(() => resolve())); undefined',
  );
  await use(page.evaluate('announced').then(() => undefined));
  await page.close();
}

describe('evaluating', () => {
  beforeEach(async () => {
    await chrome.run((scope) => wakeWorker(scope, sample));
  });

  const values: [string, string, unknown][] = [
    ['an expression', '6 * 7', 42],
    ['an object in braces', '({ a: [1, { b: null }] })', { a: [1, { b: null }] }],
    ['statements', 'const a = 20; let b = 22; a + b', 42],
    ['top-level await', 'await Promise.resolve("later")', 'later'],
    ['a promise', 'Promise.resolve([1])', [1]],
    ['an arrow function', '() => chrome.runtime.id', sampleExtensionId],
    ['an async function', 'async function () { return (await chrome.storage.session.get("none")); }', {}],
    ['undefined', 'undefined', 'no JSON'],
    ['a cycle', 'const ring = { name: "ring" }; ring.self = ring; ring', { name: 'ring', self: '[Circular]' }],
    ['the same object twice', 'const twice = {}; [twice, twice]', [{}, {}]],
    ['what JSON lacks', '({ u: undefined, n: NaN, b: 1n, f() {} })', { n: 'NaN', b: '1n', f: '[Function f]' }],
    ['a map and a set', '[new Map([["a", 1]]), new Set([2])]', [{ a: 1 }, [2]]],
    ['a bare bigint', '12n', '12n'],
  ];
  it.each(values)('answers %s', async (_name, code, value) => {
    expect(await inWorker(code)).toEqual(value);
  });

  it('passes on what the code throws, with its stack', async () => {
    const throwing = inWorker('(function culprit() { throw new RangeError("too far"); })()');
    await expect(throwing).rejects.toThrow(/RangeError: too far\n +at culprit/);
    await expect(inWorker('Promise.reject("plain text")')).rejects.toThrow('plain text');
    await expect(inWorker('let = 1 +')).rejects.toThrow('SyntaxError');
  });

  it('reaches a document of the extension, and says how to open one that is closed', async () => {
    const title = () => chrome.run((scope) => evaluateInDocument(scope, sample, 'options', 'document.title'));
    await expect(title()).rejects.toThrow(`Open ${extensionUrl(sample, 'options.html')} with new_page`);
    const page = await chrome.browser.newPage();
    await page.goto(extensionUrl(sample, 'options.html'));
    expect((await title()).json).toBe('"Page Notes: options"');
    await page.close();
  });

  it('ends when the worker ends', () =>
    listening(async (announced) => {
      const answer = expect(inWorker(`${announce}; await new Promise(() => {})`)).rejects.toThrow(
        'ended before it answered',
      );
      await announced;
      await chrome.stopWorker(sample.id);
      await answer;
    }));

  it('stops a running script when it is cancelled', () =>
    listening(async (announced) => {
      const cancel = new AbortController();
      const looping = withCdpScope(chrome.browser, cancel.signal, (scope) =>
        evaluateInWorker(scope, sample, `${announce}; for (;;);`),
      );
      const answer = expect(looping).rejects.toThrow('enough');
      await announced;
      cancel.abort(new Error('enough'));
      await answer;
      expect(await inWorker('"free again"')).toBe('free again');
    }));
});
