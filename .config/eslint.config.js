import { defineConfig, globalIgnores } from 'eslint/config';
import regexp from 'eslint-plugin-regexp';
import tseslint from 'typescript-eslint';
import { importRule } from './importRule.js';

// A file is what one reads in one sitting, a function what one sees at once.
const mostLines = 400;

// Each program is made once: the project service makes them again for each file, which takes twice the time.
const projects = ['tsconfig.json', 'src/inspector/page/tsconfig.json', 'src/browser/injected/tsconfig.json'];

const forbidden = (name, message) => ({ name, message });
const processEdge = ['env', 'argv', 'exit'].map((property) => ({
  object: 'process',
  property,
  message: 'Only src/main.ts is the process edge: pass it in.',
}));
const lostTimeout = { object: 'AbortSignal', property: 'timeout', message: 'It may never abort: use timeLimit.' };

export default defineConfig(
  globalIgnores(['dist/', 'node_modules/', 'coverage/', '**/*.js', 'src/selftest/extension/', 'src/selftest/pages/']),
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: projects, tsconfigRootDir: `${import.meta.dirname}/..` } },
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
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // Numbers and booleans print as one expects; objects do not, and stay forbidden.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // `() => start()` for a callback that returns nothing is plain.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidOperator: true },
      ],
      // An abort's reason is whatever it was aborted with.
      '@typescript-eslint/prefer-promise-reject-errors': [
        'error',
        { allowThrowingAny: true, allowThrowingUnknown: true },
      ],
      '@typescript-eslint/only-throw-error': ['error', { allowThrowingAny: true, allowThrowingUnknown: true }],
      // The transport that clients of the original server speak is the one that is served and tested.
      '@typescript-eslint/no-deprecated': [
        'error',
        {
          allow: [
            {
              from: 'package',
              package: '@modelcontextprotocol/sdk',
              name: ['SSEClientTransport', 'SSEServerTransport'],
            },
          ],
        },
      ],
      // There are no enums (`erasableSyntaxOnly`), and looking for them takes a third of the time.
      '@typescript-eslint/no-unsafe-enum-assignment': 'off',
      '@typescript-eslint/no-unsafe-enum-comparison': 'off',
      // An actor may have no output and no input: `void` and `Record<never, never>` say so.
      '@typescript-eslint/no-invalid-void-type': 'off',
      '@typescript-eslint/no-generated-empty-object-type': 'off',
      // Ports are written with method signatures and built as closures, which have no `this` to lose.
      '@typescript-eslint/unbound-method': 'off',
      // Takes the streams and servers of Node, which are made by factories, for impostors.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // Ports have asynchronous signatures that the embedded implementation does not need.
      '@typescript-eslint/require-await': 'off',
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
      // jest's mocks and matchers are loosely typed.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
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
