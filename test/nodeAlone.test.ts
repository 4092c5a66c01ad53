import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

type Filter = (files: readonly string[]) => Promise<{ readonly filtered: readonly string[] }>;
const filter = createRequire(import.meta.url)('../.config/nodeAlone.cjs') as Filter;

const root = import.meta.dirname;
const all = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.test.ts'));

test('the tests of Node alone are those that do not come to import a browser or Redis, directly or through what helps them', async () => {
  const { filtered } = await filter(all.map((name) => join(root, name)));
  const names = filtered.map((file) => file.slice(root.length + 1));
  expect(names).toEqual(expect.arrayContaining(['machines/charts.test.ts', 'transport/sse.test.ts', 'layers.test.ts']));
  for (const [how, name] of [
    ['itself', 'browser/openSession.test.ts'],
    ['through its harness', 'tools/pages.test.ts'],
    ['through two files', 'tools/extensionLife.test.ts'],
    ['in a process of its own', 'e2e/process.test.ts'],
    ['over Redis', 'cluster/contract.test.ts'],
    ['over several of them', 'chaos/chaos.test.ts'],
    ['over a cluster', 'cluster/redisCluster.test.ts'],
    ['behind nginx', 'cluster/nginx.test.ts'],
  ]) {
    expect([how, names.includes(String(name))]).toEqual([how, false]);
  }
  const launches = /puppeteer\.launch\(|\blaunchBrowser\(|\bRedisServer\b/;
  expect(names.filter((name) => launches.test(readFileSync(join(root, name), 'utf8')))).toEqual([]);
});
