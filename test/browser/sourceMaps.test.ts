import { MapReader } from '../../src/browser/sources/mapReader.js';
import { bestNamed, nameMatch, shortSourceName } from '../../src/browser/sources/sourceNames.js';
import { functionBody, functionPattern, searchText } from '../../src/browser/sources/textSearch.js';

const script = { scriptUrl: 'http://host/assets/app.js', end: undefined };
const read = (map: object): MapReader => new MapReader(JSON.stringify(map), 'http://host/assets/app.js.map', script);

test.each([
  ['webpack:///./src/app.ts?a1b2', 'src/app.ts'],
  ['webpack://shop/./src/app.ts', 'src/app.ts'],
  ['webpack://_N_E/./pages/index.tsx', 'pages/index.tsx'],
  ['webpack://(app-client)/./app/page.tsx', 'app/page.tsx'],
  ['webpack:///node_modules/react/index.js', 'node_modules/react/index.js'],
  ['turbopack://[project]/src/app.ts', 'src/app.ts'],
  ['http://host/src/App.vue?vue&type=script', 'src/App.vue'],
  ['http://host/@fs/home/me/lib/a.ts?t=17', '/home/me/lib/a.ts'],
  ['http://cdn.example/lib/a.ts', 'cdn.example/lib/a.ts'],
  ['chrome-extension://abcdefghijklmnopabcdefghijklmnop/src/worker.ts', 'src/worker.ts'],
  ['file:///home/me/app/src/a%20b.ts', '/home/me/app/src/a b.ts'],
  ['C:/work/src/app.ts', 'C:/work/src/app.ts'],
])('%s is called %s', (source, name) => {
  expect(shortSourceName(source, script.scriptUrl)).toBe(name);
});

test('a file is found by its short name, its last parts and in full', () => {
  const [url, name] = ['webpack://shop/./src/store/app.ts', 'src/store/app.ts'];
  for (const wanted of [url, name, './src/store/app.ts', '/src/store/app.ts']) {
    expect(nameMatch(wanted, url, name)).toBe(Number.POSITIVE_INFINITY);
  }
  for (const wanted of ['store/app.ts', 'app.ts', 'store\\app.ts'])
    expect(nameMatch(wanted, url, name)).toBeGreaterThan(1);
  for (const wanted of ['pp.ts', 'app', '']) expect(nameMatch(wanted, url, name)).toBe(0);
});

test('an absolute path means the file with which it has most in common, and none by the last part alone', () => {
  const files = ['src/cart.ts', 'other/src/cart.ts', 'cart.ts', 'src/other/cart.ts'].map((name) => ({
    name,
    url: name,
  }));
  const named = (wanted: string, of = files): string[] => bestNamed(wanted, of).files.map(({ name }) => name);
  for (const wanted of ['/home/dev/shop/src/cart.ts', 'file:///home/dev/src/cart.ts', 'C:\\dev\\src\\cart.ts'])
    expect(named(wanted)).toEqual(['src/cart.ts']);
  expect(named('/home/dev/other/src/cart.ts')).toEqual(['other/src/cart.ts']);
  expect(named('/home/dev/lib/cart.ts')).toEqual(['cart.ts']);
  expect(named('/home/dev/lib/cart.ts', files.slice(0, 2))).toEqual([]);
  expect(named('shop/src/cart.ts')).toEqual([]);
});

test('sources of a bundler keep their names without that of the build', () => {
  const map = { version: 3, sources: ['webpack://shop/./src/a.ts'], mappings: '' };
  expect(read(map).files).toMatchObject([{ name: 'src/a.ts', url: 'webpack://shop/./src/a.ts' }]);
});

test('of a line, the part with a column is found', () => {
  // `one`, `two` and `three` at the columns 0, 4 and 8 of the second line, apart in the script.
  const map = read({ version: 3, sources: ['a.ts'], sourcesContent: ['\none two three'], mappings: 'AACA,KAAI,KAAI' });
  const columnAt = (column?: number) => map.generatedOf(0, 1, column)?.places.map((place) => place.column);
  expect([undefined, 0, 3, 4, 6, 20].map(columnAt)).toEqual([[0], [0], [0], [5], [5], [10]]);
});

test('sources are named with their root, and those without an address too', () => {
  const map = { version: 3, sourceRoot: '/code/', sources: ['src/a.ts', null, 'C:\\src\\b.ts'], mappings: '' };
  expect(read(map).files.map(({ name }) => name)).toEqual(['code/src/a.ts', '(no name)', 'C:/src/b.ts']);
});

test('a map in sections is read, and a line of a file is found again in the script', () => {
  const section = (line: number, source: string) => ({
    offset: { line, column: 0 },
    map: {
      version: 3,
      sources: [source],
      sourcesContent: ['first\nsecond\nthird'],
      names: ['go'],
      mappings: 'AAAA,IACAA',
    },
  });
  const map = read({ version: 3, sections: [section(0, 'a.ts'), section(5, 'b.ts')] });
  expect(map.originalOf({ line: 5, column: 7 })).toEqual({ source: 1, line: 1, column: 0, name: 'go' });
  expect(map.generatedOf(1, 1)).toEqual({ line: 1, places: [{ line: 5, column: 4 }] });
  expect(map.generatedOf(1, 2)).toBeUndefined();
  expect(map.text(0)).toBe('first\nsecond\nthird');
});

test.each([
  ['{', 'is no JSON'],
  ['{"version":3}', 'is broken'],
  ['{"version":3,"sources":7,"mappings":""}', 'is broken: sources'],
  ['{"version":3,"sources":[],"mappings":"AAAA"}', 'names a file that it does not list'],
])('the map %s %s', (json, problem) => {
  const open = () => new MapReader(json, 'http://host/app.js.map', script).originalOf({ line: 0, column: 0 });
  expect(open).toThrow(problem);
});

test('a text is searched by lines, and a long line in parts', () => {
  const text = `one\n  Two two\n${'x'.repeat(5_000)}needle${'y'.repeat(5_000)}`;
  expect(searchText(text, { text: 'TWO' })).toEqual([{ line: 2, column: 3, excerpt: 'Two two' }]);
  expect(searchText(text, { regex: '^\\s*two', flags: 'i' })).toEqual([{ line: 2, column: 1, excerpt: 'Two two' }]);
  const [found] = searchText(text, { text: 'needle' });
  expect(found).toMatchObject({ line: 3, column: 5_001 });
  expect(found?.excerpt).toHaveLength(160);
});

const written = `export function plain() {
  return 1;
}
const arrow = async (a, b = (1)) => a + b;
class Box {
  async grow(n: number): Promise<void> {
    this.n = n;
  }
  static of(x) { return new Box(x); }
}
function many(
  a,
) {
  return a;
}
const o = { run: function () { return 2; }, walk() { return 3; }, double: x => x * 2 };
grow(3); if (plain()) { arrow(1); } many(1);
items.forEach((x) => grow(x));`;

test.each([
  ['plain', { line: 2, column: undefined }],
  ['arrow', { line: 4, column: 37 }],
  ['grow', { line: 7, column: undefined }],
  ['of', { line: 9, column: 18 }],
  ['many', { line: 14, column: undefined }],
  ['run', { line: 16, column: 32 }],
  ['walk', { line: 16, column: 54 }],
  ['double', { line: 16, column: 80 }],
  ['none', undefined],
])('the body of a function is found by its name, and no call of it: %s', (name, body) => {
  const found = searchText(written, { regex: functionPattern(name), flags: '' });
  expect(found.map(({ line }) => functionBody(written, line, name))).toEqual(body === undefined ? [] : [body]);
});
