import { documentRules } from './documentAudit.js';
import { objectAt, type ExtensionFiles, type SourceFile } from './extensionFiles.js';
import { placeAt, type Findings, type Rule, type Severity } from './findings.js';
import { withoutComments } from './sourceText.js';

type Manifest = Readonly<Record<string, unknown>>;

const rule = (pattern: RegExp, severity: Severity, problem: string, fix: string): Rule => {
  return {
    *find(text) {
      yield;
      return text.search(pattern);
    },
    ...{ severity, problem, fix },
  };
};

const gone = (pattern: RegExp, name: string, fix: string): Rule =>
  rule(pattern, 'error', `${name} does not exist in Manifest V3.`, `Use ${fix}.`);

/** Of every script. */
const scriptRules: readonly Rule[] = [
  gone(/\bchrome\.browserAction\b/, 'chrome.browserAction', 'chrome.action'),
  gone(/\bchrome\.pageAction\b/, 'chrome.pageAction', 'chrome.action'),
  gone(
    /\bchrome\.tabs\.(executeScript|insertCSS)\b/,
    'chrome.tabs.executeScript',
    'chrome.scripting, with its permission',
  ),
  gone(
    /\bchrome\.tabs\.(getSelected|getAllInWindow|sendRequest)\b/,
    'This function of chrome.tabs',
    'query and sendMessage',
  ),
  gone(
    /\bchrome\.extension\.(getURL|sendMessage|sendRequest|onRequest|onMessage|connect)\b/,
    'This function of chrome.extension',
    'chrome.runtime',
  ),
  gone(
    /\bchrome\.(extension|runtime)\.getBackgroundPage\b/,
    'getBackgroundPage',
    'messages: a service worker has no window',
  ),
  rule(
    /\beval\s*\(|\bnew Function\s*\(/,
    'warning',
    'eval is refused in extension pages and service workers.',
    'Write the code out, or use a sandboxed page.',
  ),
];

/** Of the service worker. */
const workerRules: readonly Rule[] = [
  rule(
    /\b(window|document)\.\w/,
    'warning',
    'A service worker has no window and no document.',
    'Use self, or an offscreen document.',
  ),
  rule(/\blocalStorage\b/, 'error', 'A service worker has no localStorage.', 'Use chrome.storage.'),
  rule(/\bnew XMLHttpRequest\b/, 'error', 'A service worker has no XMLHttpRequest.', 'Use fetch.'),
  rule(/\bsetInterval\s*\(/, 'warning', 'Timers end when the worker idles, after about 30 s.', 'Use chrome.alarms.'),
];

/** Of a service worker that is no module, and of one that is. */
const classicRules: readonly Rule[] = [
  rule(
    /^[ \t]*(?:import\s*["'{*\w]|export\s)/m,
    'error',
    'The service worker imports, and is no module.',
    'Add "type": "module" to background.',
  ),
];
const moduleRules: readonly Rule[] = [
  rule(/\bimportScripts\s*\(/, 'error', 'A module has no importScripts.', 'Use import, or remove "type": "module".'),
];

/** What the code does that Manifest V3 does not allow, or that has no chance to work where it runs. */
export function* codeFindings(manifest: Manifest, { sources }: ExtensionFiles): Findings {
  const background = objectAt(manifest, 'background');
  const named = background['service_worker'];
  const worker = typeof named === 'string' ? named.replace(/^\.?\//, '') : undefined;
  const ofWorker = [...workerRules, ...(background['type'] === 'module' ? moduleRules : classicRules)];
  for (const source of sources) {
    const isDocument = /\.html?$/i.test(source.path);
    const rules = isDocument ? documentRules : scriptRules;
    yield* apply(source.path === worker ? [...rules, ...ofWorker] : rules, source);
  }
}

function* apply(rules: readonly Rule[], { path, text }: SourceFile): Findings {
  const code = yield* withoutComments(text);
  for (const { find, severity, problem, fix } of rules) {
    const index = yield* find(code);
    if (index !== -1) yield { severity, at: placeAt(path, code, index), problem, fix };
  }
}
