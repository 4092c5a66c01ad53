import { createContext, runInContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import * as injected from '../../src/browser/cdp/injectedFunctions.js';

const { callExpression, formatValue, runAndPrint } = injected;

const texts = Object.entries<unknown>(injected).filter(([name]) => name !== 'callExpression');

/** A world that holds these globals and the language, nothing else. */
function worldWith(globals: object) {
  const context = createContext({ ...globals });
  return (expression: string): unknown => runInContext(expression, context);
}

test.each(texts)('%s is an expression of one function that needs and adds nothing', (_, text) => {
  const run = worldWith({});
  const before = run('Object.getOwnPropertyNames(globalThis).join()');
  expect(run(`typeof ${String(text)}`)).toBe('function');
  expect(run('Object.getOwnPropertyNames(globalThis).join()')).toBe(before);
});

test('an argument of a call arrives as it was, whatever characters it has', () => {
  const text = `"'\\\`\${1}\u2028</script>`;
  const run = worldWith({});
  expect(run(callExpression('((given) => given)' as injected.InjectedFunction<(given: string) => string>, text))).toBe(
    text,
  );
});

test.each([
  ['() => undefined', undefined, 'undefined'],
  ['10n', '"10n"', 'bigint'],
  ['Symbol("mark")', '"Symbol(mark)"', 'symbol'],
  ['() => function named() {}', '"[Function named]"', 'function'],
  ['[NaN, -Infinity, () => 1]', '["NaN","-Infinity","[Function anonymous]"]', 'object'],
  ['new Map([["key", new Set([1])]])', '{"key":[1]}', 'object'],
  ['(async () => ({ deep: { late: true } }))()', '{"deep":{"late":true}}', 'object'],
  [
    '(() => { const ring = { same: {} }; ring.self = ring; ring.again = ring.same; return ring; })()',
    '{"same":{},"self":"[Circular]","again":{}}',
    'object',
  ],
  [
    '[{ a: 1, get b() { throw new TypeError("shut"); }, c: [2n, { toJSON() { throw 3; } }, { toJSON: () => 4 }] }]',
    '[{"a":1,"b":"[Throws TypeError: shut]","c":["2n","[Throws 3]",4]}]',
    'object',
  ],
  ['[{ get shut() { throw 1; } }, , 3]', '[{"shut":"[Throws 1]"},null,3]', 'object'],
  [
    '(() => { const ring = { get shut() { throw 1; } }; ring.self = ring; return ring; })()',
    '{"shut":"[Throws 1]","self":"[Circular]"}',
    'object',
  ],
])('a script that gives %s is printed as %s', async (code, json, kind) => {
  const run = worldWith({});
  expect({ ...(await (run(`(${runAndPrint})(${code})`) as Promise<object>)) }).toEqual({ json, kind });
});

test('an error that a script gives is printed with its stack', async () => {
  const run = worldWith({});
  const { json } = (await run(`(${runAndPrint})(new TypeError('no such plum'))`)) as { json: string };
  expect(json).toContain('TypeError: no such plum\\n    at');
});

const formatted = (value: string, maxCharacters = 1_000) =>
  worldWith({})(`(${formatValue}).call(${value}, ${maxCharacters})`);

test.each([
  ['{ a: 1, b: [1n, null, undefined], c: "text" }', '{a: 1, b: [1n, null, undefined], c: "text"}'],
  ['new Map([["key", new Set([1])]])', 'Map {"key" => Set {1}}'],
  ['new (class Plum { ripe = true })()', 'Plum {ripe: true}'],
  ['{ get lazy() { throw new Error("read") } }', '{lazy: (getter)}'],
  ['new Uint8Array(3)', 'Uint8Array [0, 0, 0]'],
  ['[1, [2, [3, [4, [5, [6, [7]]]]]]]', '[1, [2, [3, [4, [5, [6, […]]]]]]]'],
  ['Object.assign(Object.create(null), { bare: 1 })', '{bare: 1}'],
  ['new Date(NaN)', 'Invalid Date'],
  ['Array.from({ length: 60 }, () => 0)', `[${'0, '.repeat(50)}… 10 more]`],
])('a console shows %s as %s', (value, text) => {
  expect(formatted(value)).toBe(text);
});

test('a value that holds itself, and one that is too long, are written as far as it goes', () => {
  expect(formatted('(() => { const ring = {}; ring.self = ring; return ring; })()')).toBe('{self: (circular)}');
  expect(formatted('["a".repeat(20), "b"]', 10)).toBe(`["${'a'.repeat(20)}", …]`);
});
