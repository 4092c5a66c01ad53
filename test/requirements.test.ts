import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { requirements } from './requirements.js';
import { root } from './support/root.js';

const folder = join(root, 'test');

/** Ids that tests of any file below this folder cite at the beginning of their names. */
function citedIds(): Set<string> {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
  const sources = files.map((name) => readFileSync(join(folder, name), 'utf8'));
  const names = sources.flatMap((source) => source.match(/\(\s*['"`](?:\[[A-Z][A-Z0-9-]*\])+/g) ?? []);
  return new Set(names.flatMap((name) => name.match(/[A-Z][A-Z0-9-]*/g) ?? []));
}

test('every requirement is cited by a test', () => {
  const cited = citedIds();
  expect(requirements.map(({ id }) => id).filter((id) => !cited.has(id))).toEqual([]);
});

test('every id that a test cites is a requirement', () => {
  const known = new Set(requirements.map(({ id }) => id));
  expect([...citedIds()].filter((id) => !known.has(id))).toEqual([]);
});

test('the page of the charts lists each promise', () => {
  const page = readFileSync(join(root, 'machines/README.md'), 'utf8');
  const listed = [...page.matchAll(/^\| (S\d+) \| \S/gm)].map(([, id]) => id);
  expect(listed).toEqual(requirements.map(({ id }) => id).filter((id) => id.startsWith('S')));
});

test('no id is given twice', () => {
  expect(new Set(requirements.map(({ id }) => id)).size).toBe(requirements.length);
});
