import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { root } from './support/root.js';

type Part = 'unit' | 'redis' | 'browser';
const { partOf } = createRequire(import.meta.url)(join(root, '.config/testParts.cjs')) as {
  partOf(file: string): Part;
};

const folder = join(root, 'test');
const all = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));
const names = (part: Part): string[] => all.filter((name) => partOf(join(folder, name)) === part);

test('a unit test comes to import neither a browser nor Redis, directly or through what it imports', () => {
  const unit = names('unit');
  expect(unit).toEqual(expect.arrayContaining(['machines/charts.test.ts', 'transport/sse.test.ts', 'layers.test.ts']));
  const launches = /puppeteer\.launch\(|\blaunchBrowser\(|\bRedisServer\b/;
  expect(unit.filter((name) => launches.test(readFileSync(join(folder, name), 'utf8')))).toEqual([]);
});

test.each([
  ['itself', 'browser/cdpSessions.test.ts', 'browser'],
  ['through its harness', 'tools/pages.test.ts', 'browser'],
  ['through two files', 'tools/extensionLife.test.ts', 'browser'],
  ['in a process of its own', 'e2e/serverProcess.test.ts', 'browser'],
  ['over Redis', 'cluster/contract.test.ts', 'redis'],
  ['over several of them', 'chaos/chaos.test.ts', 'redis'],
  ['over a cluster', 'cluster/redisCluster.test.ts', 'redis'],
  ['behind nginx, with a browser', 'cluster/nginx.test.ts', 'browser'],
])('a test that needs another program %s is not a unit test: %s', (_how, name, part) => {
  expect(partOf(join(folder, name))).toBe(part);
});
