import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from './support/root.js';

/** Every page of the project, by its path below the root. */
const pages = ['', '.deploy', '.github', 'machines', 'src', 'visualizations'].flatMap((folder) => {
  const names = readdirSync(join(root, folder), { recursive: folder !== '', encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.md')).map((name) => join(folder, name));
});

const read = (page: string): string => readFileSync(join(root, page), 'utf8');

/** What a heading is called in an address, as GitHub makes it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\d _-]/gu, '')
    .replaceAll(' ', '-');

/** The text without its blocks of code. */
const prose = (text: string): string => text.replaceAll(/^```[\s\S]*?^```$/gm, '');

const anchorsOf = (page: string): string[] =>
  [...prose(read(page)).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));

/** Links and pictures that lead to files of the project, as `PATH` or `PATH#ANCHOR` below the root, that lead nowhere. */
function brokenLinks(page: string): string[] {
  const targets = [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return targets
    .filter((target) => !/^https?:/.test(target))
    .filter((target) => {
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      if (!existsSync(join(root, file))) return true;
      return anchor !== undefined && !anchorsOf(file).includes(anchor);
    });
}

test.each(pages)('every link of %s leads to a file, and to a heading of it', (page) => {
  expect(brokenLinks(page)).toEqual([]);
});

test('every file that the architecture names is there', () => {
  const words = read('src/README.md').split(/[\s`|<>(),:]/);
  const names = words.filter((word) => /^[\w./-]+$/.test(word) && /\.(?:ts|json)$/.test(word));
  expect(names.length).toBeGreaterThan(80);
  const isThere = (name: string): boolean => ['', 'src'].some((folder) => existsSync(join(root, folder, name)));
  expect([...new Set(names)].filter((name) => !isThere(name))).toEqual([]);
});
