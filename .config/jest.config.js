import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const read = (path) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url)));
const { dependencies, devDependencies } = read('package.json');
const packages = Object.keys({ ...dependencies, ...devDependencies }).filter((name) => !/^jest$|^@types\//.test(name));
const esPackages = packages.filter((name) => read(`node_modules/${name}/package.json`).type === 'module');
const native = (type) => ['<rootDir>/.config/nativeModules.cjs', { type }];

export default {
  rootDir: '..',
  testEnvironment: '<rootDir>/.config/nativeEnvironment.cjs',
  roots: ['<rootDir>/dist/test'],
  testMatch: ['**/*.test.js'],
  transform: {
    '/dist/(src|machines|visualizations)/': native('esModule'),
    [`/node_modules/(${esPackages.join('|')})/.*\\.m?js$`]: native('esModule'),
    [`/node_modules/(${packages.join('|')})/(.*/esm?/.*\\.js|.*\\.mjs)$`]: native('esModule'),
    [`/node_modules/(${packages.join('|')})/.*\\.c?js$`]: native('commonJs'),
  },
  transformIgnorePatterns: [],
  filter: '<rootDir>/.config/testParts.cjs',
  testSequencer: '<rootDir>/.config/longestFirst.js',
  // Far above what a test takes: it ends one that hangs, and no slow machine.
  testTimeout: 300_000,
  // Browsers take more processor time than their tests: more workers would only make them wait for each other.
  maxWorkers: availableParallelism(),
  workerIdleMemoryLimit: '600MB',
};
