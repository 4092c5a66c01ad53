import { availableParallelism } from 'node:os';

export default {
  rootDir: '..',
  testEnvironment: 'node',
  roots: ['<rootDir>/dist/test'],
  testMatch: ['**/*.test.js'],
  transform: {},
  filter: '<rootDir>/.config/testParts.cjs',
  testSequencer: '<rootDir>/.config/longestFirst.js',
  testTimeout: 120_000,
  // A test that uses a browser mostly waits for it.
  maxWorkers: Math.ceil(availableParallelism() * 1.5),
  workerIdleMemoryLimit: '600MB',
};
