import { documentRules } from './documentAudit.js';
import { objectAt, type ExtensionFiles, type SourceFile } from './extensionFiles.js';
import { placeAt, type Findings, type Rule, type Severity, type ManifestJson } from './findings.js';
import { withoutComments } from './sourceText.js';

const createRule = (pattern: RegExp, severity: Severity, problem: string, fix: string): Rule => {
  return {
    *find(text) {
      yield;
      return text.search(pattern);
    },
    ...{ severity, problem, fix },
  };
};

const removedApi = (pattern: RegExp, name: string, fix: string): Rule =>
  createRule(pattern, 'error', `${name} does not exist in Manifest V3.`, `Use ${fix}.`);

/** Of every script. */
const scriptRules: readonly Rule[] = [
  removedApi(/\bchrome\.browserAction\b/, 'chrome.browserAction', 'chrome.action'),
  removedApi(/\bchrome\.pageAction\b/, 'chrome.pageAction', 'chrome.action'),
  removedApi(
    /\bchrome\.tabs\.(executeScript|insertCSS)\b/,
    'chrome.tabs.executeScript',
    'chrome.scripting, with its permission',
  ),
  removedApi(
    /\bchrome\.tabs\.(getSelected|getAllInWindow|sendRequest)\b/,
    'This function of chrome.tabs',
    'query and sendMessage',
  ),
  removedApi(
    /\bchrome\.extension\.(getURL|sendMessage|sendRequest|onRequest|onMessage|connect)\b/,
    'This function of chrome.extension',
    'chrome.runtime',
  ),
  removedApi(
    /\bchrome\.(extension|runtime)\.getBackgroundPage\b/,
    'getBackgroundPage',
    'messages: a service worker has no window',
  ),
  createRule(
    /\beval\s*\(|\bnew Function\s*\(/,
    'warning',
    'eval is refused in extension pages and service workers.',
    'Write the code out, or use a sandboxed page.',
  ),
];

/** Of the service worker. */
const workerRules: readonly Rule[] = [
  createRule(
    /\b(window|document)\.\w/,
    'warning',
    'A service worker has no window and no document.',
    'Use self, or an offscreen document.',
  ),
  createRule(/\blocalStorage\b/, 'error', 'A service worker has no localStorage.', 'Use chrome.storage.'),
  createRule(/\bnew XMLHttpRequest\b/, 'error', 'A service worker has no XMLHttpRequest.', 'Use fetch.'),
  createRule(
    /\bsetInterval\s*\(/,
    'warning',
    'Timers end when the worker idles, after about 30 s.',
    'Use chrome.alarms.',
  ),
];

/** Of a service worker that is no module, and of one that is. */
const classicRules: readonly Rule[] = [
  createRule(
    /^[ \t]*(?:import\s*["'{*\w]|export\s)/m,
    'error',
    'The service worker imports, and is no module.',
    'Add "type": "module" to background.',
  ),
];
const moduleRules: readonly Rule[] = [
  createRule(
    /\bimportScripts\s*\(/,
    'error',
    'A module has no importScripts.',
    'Use import, or remove "type": "module".',
  ),
];

/** What the code does that Manifest V3 does not allow, or that has no chance to work where it runs. */
export function* codeFindings(manifest: ManifestJson, { sources }: ExtensionFiles): Findings {
  const background = objectAt(manifest, 'background');
  const workerPath = background['service_worker'];
  const worker = typeof workerPath === 'string' ? workerPath.replace(/^\.?\//, '') : undefined;
  const ofWorker = [...workerRules, ...(background['type'] === 'module' ? moduleRules : classicRules)];
  for (const source of sources) {
    const isDocument = /\.html?$/i.test(source.path);
    const rules = isDocument ? documentRules : scriptRules;
    yield* applyRules(source.path === worker ? [...rules, ...ofWorker] : rules, source);
  }
}

function* applyRules(rules: readonly Rule[], { path, text }: SourceFile): Findings {
  const code = yield* withoutComments(text);
  for (const { find, severity, problem, fix } of rules) {
    const index = yield* find(code);
    if (index !== -1) yield { severity, at: placeAt(path, code, index), problem, fix };
  }
}
