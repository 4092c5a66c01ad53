import { objectAt, type ExtensionFiles, type SourceFile } from './extensionFiles.js';
import type { Finding, Severity } from './manifestAudit.js';
import { placeOf } from './permissionAudit.js';

type Manifest = Readonly<Record<string, unknown>>;

interface Rule {
  readonly pattern: RegExp;
  readonly severity: Severity;
  readonly problem: string;
  readonly fix: string;
}

const rule = (pattern: RegExp, severity: Severity, problem: string, fix: string): Rule => {
  return { pattern, severity, problem, fix };
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

/** Of every document of the extension. */
const documentRules: readonly Rule[] = [
  rule(
    /<script(?![^>]*\bsrc\s*=)(?![^>]*application\/(ld\+)?json)[^>]*>\s*\S/i,
    'error',
    'Inline scripts do not run in extension pages.',
    'Put the code into a file: <script src="…">.',
  ),
  rule(
    /<script[^>]*\bsrc\s*=\s*["']?(https?:)?\/\//i,
    'error',
    'Scripts from elsewhere are refused.',
    'Put the file into the extension.',
  ),
  rule(
    /<[a-z][^>]*\son(click|load|change|submit|input)\s*=/i,
    'error',
    'Inline event handlers do not run in extension pages.',
    'Use addEventListener in a script file.',
  ),
];

/** What the code does that Manifest V3 does not allow, or that has no chance to work where it runs. */
export function* codeFindings(manifest: Manifest, { sources }: ExtensionFiles): Generator<Finding> {
  const background = objectAt(manifest, 'background');
  const named = background['service_worker'];
  const worker = typeof named === 'string' ? named.replace(/^\.?\//, '') : undefined;
  for (const source of sources) {
    const isDocument = /\.html?$/i.test(source.path);
    yield* apply(isDocument ? documentRules : scriptRules, source);
    if (source.path !== worker) continue;
    yield* apply(workerRules, source);
    yield* moduleFindings(source, background['type'] === 'module');
  }
}

function* apply(rules: readonly Rule[], source: SourceFile): Generator<Finding> {
  const code = { path: source.path, text: withoutComments(source.text) };
  for (const { pattern, severity, problem, fix } of rules) {
    if (pattern.test(code.text)) yield { severity, at: placeOf(code, pattern), problem, fix };
  }
}

function* moduleFindings(source: SourceFile, isModule: boolean): Generator<Finding> {
  const code = { path: source.path, text: withoutComments(source.text) };
  const [imports, loads] = [/^\s*(import\s*["'{*\w]|export\s)/m, /\bimportScripts\s*\(/];
  if (!isModule && imports.test(code.text)) {
    const problem = 'The service worker imports, and is no module.';
    yield { severity: 'error', at: placeOf(code, imports), problem, fix: 'Add "type": "module" to background.' };
  }
  if (isModule && loads.test(code.text)) {
    const problem = 'A module has no importScripts.';
    yield { severity: 'error', at: placeOf(code, loads), problem, fix: 'Use import, or remove "type": "module".' };
  }
}

/** Comments become spaces, so that lines stay where they are. Strings that look like comments may go, too. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$|<!--[\s\S]*?-->/gm, (comment) => comment.replace(/[^\n]/g, ' '));
}
