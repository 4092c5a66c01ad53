import parser from '@typescript-eslint/parser';
import { defineConfig, globalIgnores } from 'eslint/config';
import regexp from 'eslint-plugin-regexp';
import { importRule } from './importRule.js';

// A file is what one reads in one sitting, a function what one sees at once.
const mostLines = 400;

const forbidden = (name, message) => ({ name, message });
const processEdge = ['env', 'argv', 'exit'].map((property) => ({
  object: 'process',
  property,
  message: 'Only src/main.ts is the process edge: pass it in.',
}));
const lostTimeout = { object: 'AbortSignal', property: 'timeout', message: 'It may never abort: use timeLimit.' };

// The rules of this project. Those that need types are in oxlint.json.
export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'coverage/', '**/*.js', 'src/selftest/extension/', 'src/selftest/pages/']),
  {
    files: ['**/*.ts'],
    languageOptions: { parser },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    plugins: { layers: { rules: { imports: importRule } }, regexp },
    rules: {
      'layers/imports': 'error',
      // What a page or a client says may be long: no expression takes more than linear time, wherever it begins to match.
      'regexp/no-super-linear-backtracking': ['error', { report: 'potential' }],
      'regexp/no-super-linear-move': ['error', { report: 'potential', ignorePartial: false, ignoreSticky: false }],
      'max-lines': ['error', { max: mostLines, skipBlankLines: false, skipComments: false }],
      'max-lines-per-function': ['error', { max: 60, skipComments: true }],
      'max-params': ['error', 4],
      'max-depth': ['error', 4],
      'max-nested-callbacks': ['error', 4],
      complexity: ['error', 15],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-empty': ['error', { allowEmptyCatch: false }],
      'no-restricted-properties': ['error', ...processEdge, lostTimeout],
      'no-restricted-imports': ['error', { patterns: [bareBuiltins()] }],
    },
  },
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: ':matches(NewExpression, CallExpression)[callee.name="RegExp"]',
          message: 'Write a literal, which is checked for linear time, or use compileRegex.',
        },
      ],
    },
  },
  {
    files: ['machines/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        { patterns: [{ regex: '^(?!xstate$|\\./)', message: 'A chart imports xstate and its neighbours only.' }] },
      ],
      'no-restricted-globals': [
        'error',
        ...[
          'Date',
          'performance',
          'process',
          'setTimeout',
          'setInterval',
          'setImmediate',
          'queueMicrotask',
          'fetch',
          'crypto',
        ].map((name) => forbidden(name, 'A chart is pure: time is `after`, the rest comes in by input or events.')),
      ],
      'no-restricted-properties': ['error', { object: 'Math', property: 'random', message: 'A chart is pure.' }],
      'no-restricted-syntax': [
        'error',
        { selector: ':function[async=true], AwaitExpression', message: 'A chart does not wait: name an actor.' },
      ],
    },
  },
  {
    files: ['src/browser/injected/**/*.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            {
              regex: '^(?!\\./|\\.\\./\\.\\./text\\.js$)',
              message: 'What runs in a page imports its neighbours and text.ts only.',
            },
          ],
        },
      ],
    },
  },
  { files: ['src/main.ts', 'visualizations/generate.ts'], rules: { 'no-restricted-properties': 'off' } },
  {
    files: ['test/**/*.ts'],
    rules: {
      // `describe` and `test` take a whole story as a function.
      'max-lines-per-function': 'off',
      'max-nested-callbacks': 'off',
      'no-restricted-properties': 'off',
    },
  },
);

function bareBuiltins() {
  return {
    regex:
      '^(assert|async_hooks|buffer|child_process|crypto|dns|events|fs|http|http2|https|module|net|os|path|perf_hooks|process|readline|stream|timers|tls|url|util|v8|vm|worker_threads|zlib)(/.*)?$',
    message: 'Write the node: prefix.',
  };
}
