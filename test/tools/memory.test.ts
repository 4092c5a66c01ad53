import { gunzipSync } from 'node:zlib';
import { captureHeap, HeapSnapshotParser } from '../../src/browser/profiling/heapSnapshot.js';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { memoryTools } from '../../src/tools/memoryTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;

beforeAll(async () => {
  [pages, harness] = await Promise.all([
    startPageServer(),
    startToolHarness([...memoryTools, ...lookTools, ...navigationTools]),
  ]);
});

afterAll(async () => {
  await harness.close();
  await pages.close();
});

const leak = (count: number) => harness.text('evaluate_script', { function: `() => leak(${count})` });

test('before there is a snapshot, the tools that need one say how to get it', async () => {
  expect(await harness.refusal('get_heapsnapshot_summary')).toContain('Call take_heapsnapshot');
  expect(await harness.refusal('compare_heapsnapshots')).toContain('Existing: none.');
  expect(await harness.refusal('get_heapsnapshot_summary', { uri: 'greenroom://x' })).toContain(
    'There is no heap snapshot greenroom://x',
  );
});

test('a snapshot counts what the page made, is kept as DevTools reads it, and compares with the next', async () => {
  await harness.run('navigate_page', { url: `${pages.url}/memory.html` });
  await leak(40);
  const first = await harness.run('take_heapsnapshot', { limit: 200 });
  const [link] = first.resources ?? [];
  expect(first.structured).toMatchObject({ uri: link?.uri, detachedNodes: 40 });
  const raw: unknown = JSON.parse(gunzipSync(await harness.resources.read(link?.uri ?? '')).toString());
  expect(raw).toMatchObject({ snapshot: { node_count: first.structured['objects'] } });

  const notes = await harness.run('get_heapsnapshot_summary', { filter: 'leakednote' });
  expect(notes.structured['classes']).toEqual([{ name: 'LeakedNote', count: 40, bytes: expect.any(Number) }]);
  expect(notes.text).toMatch(/LeakedNote × 40, \d+ B/);
  const elements = await harness.run('get_heapsnapshot_summary', { filter: '<article>' });
  expect(elements.structured['detached']).toMatchObject([{ name: '<article>', count: 40 }]);
  const none = await harness.run('get_heapsnapshot_summary', { filter: 'no such name' });
  expect(none.structured).toMatchObject({ matching: 0, detachedNodes: 40, classes: [], detached: [] });

  await leak(25);
  const steps: number[] = [];
  const progress = (done: number, total?: number) => void steps.push(done / (total ?? Number.NaN));
  const second = await harness.run('take_heapsnapshot', {}, { progress });
  expect(steps.at(-1)).toBe(1);
  const compared = await harness.run('compare_heapsnapshots', { limit: 200 });
  expect(compared.structured).toMatchObject({ base: link?.uri, current: second.structured['uri'] });
  expect(compared.structured['grown']).toContainEqual({ name: 'LeakedNote', count: 25, bytes: expect.any(Number) });
  expect(compared.structured['detached']).toMatchObject([{ name: '<article>', count: 25 }]);
  expect(compared.text).toContain('LeakedNote +25, +');

  const back = await harness.run('compare_heapsnapshots', {
    base: second.structured['uri'],
    current: link?.uri,
    limit: 200,
  });
  expect(back.structured['shrunk']).toContainEqual({ name: 'LeakedNote', count: -25, bytes: expect.any(Number) });
});

test('what keeps objects alive is told by the way from the root to one of each kind', async () => {
  const ask = (args: Record<string, unknown> = {}) => harness.run('query_heapsnapshot', args);
  const detached = await ask();
  expect(detached.structured['rows']).toMatchObject([
    { name: '<article>', count: 65, text: expect.stringMatching(/removed → Array\[\d+\] → <article> @\d+$/) },
  ]);
  const notes = await ask({ about: 'class', name: 'LeakedNote' });
  const [row] = notes.structured['rows'] as { node: number; text: string }[];
  expect(row).toMatchObject({ count: 65, text: expect.stringMatching(/notes → Array\[\d+\] → LeakedNote @\d+$/) });
  const { text: way } = await ask({ about: 'class', name: 'leak' });
  expect(way).toMatch(/leak\(\) \(memory\.html:\d+:\d+\) @\d+$/m);
  const one = await ask({ about: 'node', node: row?.node });
  expect(one.text).toMatch(/Held by:\n {2}Array @\d+ \.\[\d+\][^]*Holds:\n {2}text: "note \d+"/);
  await harness.text('evaluate_script', {
    function: `() => { const big = 'b'.repeat(9); window.held = [1, 2].map((at) => function keeper() { return [at, big]; });
      window.twins = ['a', 'b'].map(() => JSON.parse('"twin of another text"')); }`,
  });
  await harness.run('take_heapsnapshot');
  await harness.text('evaluate_script', {
    function: `() => {
      const removed = (name) => { const element = document.createElement(name); document.body.append(element); element.remove(); return element; };
      const [map, set, weak, keys] = [new Map(), new Set(), new WeakMap(), []];
      for (let at = 0; at < 20; at++) {
        map.set(at, { element: removed('h1') });
        set.add({ element: removed('h2') });
        keys.push({ at });
        weak.set(keys[at], { element: removed('h3') });
      }
      window.collections = { map, set, weak, keys };
    }`,
  });
  await harness.run('take_heapsnapshot');
  const { text: held } = await ask();
  expect(held).toMatch(/<h1> × 20, .*\n.*map → Map .*Object\.element → <h1> @\d+$/m);
  expect(held).toMatch(/<h2> × 20, .*\n.*set → Set .*Object\.element → <h2> @\d+$/m);
  expect(held).toMatch(
    /<h3> × 20, .*\n.*keys → Array\[\d+\] → Object \(key of a WeakMap\) → Object\.element → <h3> @\d+$/m,
  );
  const closures = await ask({ about: 'closures', name: 'keeper' });
  expect(closures.text).toMatch(/keeper\(\) × \d, .*\n {4}at: /);
  const strings = await ask({ about: 'strings', limit: 100 });
  expect(strings.text).toMatch(/"twin of another text" × 2, \d+ B @\d+\n {4}window\.twins → Array\[0\]/);
});

test('whatever else keeps an object is told too, and what a closure keeps alive decides its place', async () => {
  await harness.run('navigate_page', { url: `${pages.url}/memory.html` });
  await harness.text('evaluate_script', {
    function: `() => {
      window.listeners = new Set();
      for (let at = 0; at < 5; at++) {
        const dialog = { element: document.createElement('dialog') };
        document.body.append(dialog.element); dialog.element.remove();
        listeners.add(function onStore() { return dialog; });
        document.addEventListener('keydown', function onKey() { return dialog; });
        setInterval(function onTick() { return dialog; }, 1e6);
      }
      const huge = Array.from({ length: 5_000 }, (_, at) => ({ at })); const small = 'abc'.repeat(50);
      window.keepers = [function keepsLittle() { return small; }, ((kept) => function keepsMuch() { return kept.length; })(huge)];
      class Counted {} window.all = Array.from({ length: 50_010 }, () => new Counted());
    }`,
  });
  await harness.run('take_heapsnapshot');
  const detached = await harness.text('query_heapsnapshot');
  const dialogs = detached.slice(detached.indexOf('<dialog>')).split('\n').slice(0, 4).join('\n');
  for (const name of ['onStore', 'onKey', 'onTick']) expect(dialogs).toContain(`→ ${name}()`);
  expect(dialogs.match(/also: /g)).toHaveLength(2);
  const closures = await harness.text('query_heapsnapshot', { about: 'closures', limit: 100 });
  expect(closures).not.toMatch(/refuseColours|findBinding/);
  const [much, little] = [closures.indexOf('keepsMuch()'), closures.indexOf('keepsLittle()')];
  expect(much).toBeGreaterThan(0);
  expect(little === -1 || little > much).toBe(true);
  expect(await harness.text('query_heapsnapshot', { about: 'class', name: 'Counted' })).toMatch(
    /… \d+ objects more were not looked at/,
  );
  const strings = await harness.text('query_heapsnapshot', { about: 'strings', limit: 100 });
  expect(strings).not.toContain('const isFunction');
  await harness.run('navigate_page', { url: `${pages.url}/memory.html` });
});

test.each([
  [{ about: 'class' }, 'Pass the name of the class'],
  [{ about: 'node' }, 'Pass node, the id of one'],
  [{ about: 'node', node: 999_999_999 }, 'The heap snapshot has no node 999999999.'],
])('the question %j is refused with what is missing', async (args, message) => {
  expect(await harness.refusal('query_heapsnapshot', args)).toContain(message);
});

test('cancelled, it leaves no snapshot and no protocol session, and the page works on', async () => {
  const before = harness.resources.list().length;
  const reason = new Error('cancelled by the test');
  await expect(harness.run('take_heapsnapshot', {}, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(harness.resources.list()).toHaveLength(before);
  expect(await harness.text('evaluate_script', { function: '() => 1 + 1' })).toBe('2');
});

test('cancelled in the middle, it stops at once', async () => {
  const stopping = new AbortController();
  const capture = captureHeap({
    page: harness.browser.page(),
    signal: stopping.signal,
    progress: () => stopping.abort(new Error('cancelled by the test')),
  });
  const read = async () => {
    for await (const chunk of capture) expect(chunk.length).toBeGreaterThan(0);
  };
  await expect(read()).rejects.toThrow('cancelled by the test');
  expect(await harness.text('evaluate_script', { function: '() => 1 + 1' })).toBe('2');
});

describe('the parser', () => {
  const fields = ['type', 'name', 'id', 'self_size', 'edge_count', 'detachedness'];
  const meta = { node_fields: fields, node_types: [['object', 'native', 'string'], 'string'] };
  const nodes = [
    [0, 1, 1, 100, 0, 0],
    [0, 1, 3, 20, 0, 0],
    [1, 2, 5, 8, 0, 2],
    [1, 3, 7, 8, 0, 2],
    [2, 0, 9, 5, 0, 0],
    [0, 4, 11, 7, 0, 0],
    [0, 5, 13, 7, 0, 0],
  ];
  const snapshot = `{"snapshot":${JSON.stringify({ meta, node_count: 7 })},
"nodes":[${nodes.join('\n,')}],
"edges":[1,2,3],
"strings":["a \\"]\\" b",
"Größe",
"<p class=\\"]\\">",
"<p>",
"system / Context / scope @88561",
"system / Context / scope @90007"]}`;

  test.each([1, 2, 7, 64, 10_000])('reads pieces of %i bytes alike', (size) => {
    const parser = new HeapSnapshotParser();
    const bytes = Buffer.from(snapshot);
    for (let at = 0; at < bytes.length; at += size) parser.write(bytes.subarray(at, at + size));
    expect(parser.end()).toEqual({
      objects: 7,
      bytes: 155,
      classes: [
        { name: 'Größe', count: 2, bytes: 120 },
        { name: '<p>', count: 2, bytes: 16 },
        { name: 'system / Context', count: 2, bytes: 14 },
        { name: '(string)', count: 1, bytes: 5 },
      ],
      detached: [{ name: '<p>', count: 2, bytes: 16 }],
    });
  });

  test('a snapshot that ends too early, or is none, is an error', () => {
    const cut = new HeapSnapshotParser();
    cut.write(Buffer.from(snapshot.slice(0, -5)));
    expect(() => cut.end()).toThrow('not complete');
    expect(() => new HeapSnapshotParser().write(Buffer.alloc(2 ** 21, ' '))).toThrow('not a heap snapshot');
  });
});
