import { objectAt } from '../manifest.js';
import {
  alternatives,
  contentScriptApis,
  deprecatedApis,
  missingInWorker,
  namespacesWithPermission,
  offscreenApis,
  removedApis,
  since,
  worksInPart,
} from './chromeApis.js';
import { placeAt, type ApiNeed, type Finding } from './findings.js';
import type { LinkedCode, LinkedUse } from './linkedCode.js';
import type { Context } from './loadedCode.js';
import { prefixesOf } from './conditions.js';

export const placeOf = ({ script, offset }: LinkedUse): string => placeAt(script.path, script.text, offset);

/** Names that rules speak of; code uses many more. */
const judgedNames = new Set(['chrome', 'eval', 'Function', 'importScripts', 'URL', ...missingInWorker.keys()]);

const isJudged = (path: string): boolean => judgedNames.has(path.split('.', 1)[0] ?? '');

/** Whether a script runs in one of the contexts and in no other. */
const runsOnlyIn = ({ contexts }: LinkedUse, ...wanted: readonly Context[]): boolean =>
  contexts.size > 0 && [...contexts].every((context) => wanted.includes(context));

/** APIs and globals that code uses in a context that lacks them. One finding for each of them and file. */
export function codeFindings(code: LinkedCode): Finding[] {
  const found = new Map<string, Finding>();
  const add = (use: LinkedUse, what: string, finding: Omit<Finding, 'at'>): void => {
    const key = `${use.script.path} ${what}`;
    if (!found.has(key)) found.set(key, { at: placeOf(use), ...finding });
  };
  const minimum = minimumVersion(code);
  for (const use of code.uses) {
    if (use.contexts.size === 0 || use.isGuarded || !isJudged(use.path)) continue;
    for (const rule of [evalRule, removedRule, deprecatedRule, contentScriptRule, closedPageRule]) {
      const finding = rule(use);
      if (finding !== undefined) add(use, finding.what, finding.finding);
    }
    for (const prefix of prefixesOf(use.path)) {
      const from = since.get(prefix);
      if (from === undefined || !(minimum < from)) continue;
      const problem = `${prefix} exists since Chrome ${from}, and minimum_chrome_version is ${minimum}.`;
      add(use, prefix, {
        severity: 'breaks',
        problem,
        fix: `Set "minimum_chrome_version": "${from}", or ask first whether it is there.`,
      });
    }
  }
  return [...found.values()];
}

function minimumVersion({ loaded }: LinkedCode): number {
  const { minimum_chrome_version: minimum } = loaded.manifest;
  return typeof minimum === 'string' ? Number.parseInt(minimum, 10) : NaN;
}

interface Hit {
  readonly what: string;
  readonly finding: Omit<Finding, 'at'>;
}

function evalRule(use: LinkedUse): Hit | undefined {
  const { path, isCalled } = use;
  if (!isCalled || (path !== 'eval' && path !== 'Function')) return undefined;
  if (use.isInjected || !runsOnlyIn(use, 'worker', 'page', 'offscreen', 'content script')) return undefined;
  const name = path === 'eval' ? 'eval' : 'new Function';
  const problem = `${name} is called, which Chrome's policy for extensions refuses: it throws.`;
  return {
    what: 'eval',
    finding: { severity: 'breaks', problem, fix: 'Write the code out, or run it in a page of the key "sandbox".' },
  };
}

function removedRule({ path }: LinkedUse): Hit | undefined {
  for (const prefix of prefixesOf(path)) {
    const instead = removedApis.get(prefix);
    if (instead === undefined) continue;
    const problem = `${prefix} does not exist in Manifest V3.`;
    return { what: prefix, finding: { severity: 'breaks', problem, fix: `Use ${instead}.` } };
  }
  const isBackground = path === 'chrome.extension.getBackgroundPage' || path === 'chrome.runtime.getBackgroundPage';
  if (!isBackground) return undefined;
  const problem = `${path} finds no page: the background is a service worker.`;
  return {
    what: path,
    finding: {
      severity: 'breaks',
      problem,
      fix: 'Send messages with chrome.runtime.sendMessage, or share chrome.storage.',
    },
  };
}

function deprecatedRule({ path }: LinkedUse): Hit | undefined {
  for (const prefix of prefixesOf(path)) {
    const fix = deprecatedApis.get(prefix);
    if (fix !== undefined)
      return { what: prefix, finding: { severity: 'advice', problem: `${prefix} is deprecated.`, fix } };
  }
  return undefined;
}

function contentScriptRule(use: LinkedUse): Hit | undefined {
  const isPage = use.isInjected || runsOnlyIn(use, 'content script');
  const [root, namespace] = use.path.split('.');
  if (!isPage || root !== 'chrome' || namespace === undefined || contentScriptApis.has(namespace.replace(/\W.*/, '')))
    return undefined;
  const problem = `Content scripts have no chrome.${namespace}: it is undefined here.`;
  const fix = 'Call it in the service worker, and ask for it with chrome.runtime.sendMessage.';
  return { what: `chrome.${namespace}`, finding: { severity: 'breaks', problem, fix } };
}

function closedPageRule(use: LinkedUse): Hit | undefined {
  const [root, namespace] = use.path.split('.');
  if (root !== 'chrome' || namespace === undefined || use.isInjected) return undefined;
  const isOffscreen = runsOnlyIn(use, 'offscreen') && !offscreenApis.has(namespace.replace(/\W.*/, ''));
  if (!isOffscreen && !runsOnlyIn(use, 'sandbox')) return undefined;
  const where = isOffscreen ? `Offscreen documents have no chrome.${namespace}` : 'Sandboxed pages have no chrome APIs';
  const fix = isOffscreen
    ? 'Call it in the service worker, and ask for it with chrome.runtime.sendMessage.'
    : 'Call it in the page that embeds this one, and talk to it with postMessage.';
  return {
    what: `chrome.${namespace}`,
    finding: { severity: 'breaks', problem: `${where}: it is undefined here.`, fix },
  };
}

/** API calls whose permission the manifest lacks. */
export function* missingPermissions(code: LinkedCode, declared: ReadonlySet<string>): Generator<Finding> {
  const told = new Set<string>();
  for (const use of code.uses) {
    if (use.isGuarded || use.isInjected || !runsInExtension(use)) continue;
    const namespace = permissionOf(use.path);
    if (namespace === undefined || told.has(namespace) || declared.has(namespace)) continue;
    if ((alternatives.get(namespace) ?? []).some((other) => declared.has(other))) continue;
    told.add(namespace);
    const problem = `The code uses chrome.${namespace}, and "${namespace}" is not among the permissions: it is undefined there.`;
    yield { severity: 'breaks', at: placeOf(use), problem, fix: `Add "${namespace}" to permissions.` };
  }
}

/** More of one extension are not said. */
const maxNeeds = 200;

/** The APIs that an extension's own contexts use, each once, and their permissions. */
export function apiNeeds(code: LinkedCode): ApiNeed[] {
  const needs = new Map<string, ApiNeed>();
  for (const use of code.uses) {
    const permission = permissionOf(use.path);
    if (permission === undefined || use.isInjected || !runsInExtension(use) || needs.size >= maxNeeds) continue;
    const depth = permission.split('.').length + 2;
    const api = use.path.replaceAll('()', '').split('.').slice(0, depth).join('.');
    if (!needs.has(api)) needs.set(api, { api, permission, at: placeOf(use) });
  }
  return [...needs.values()];
}

/** The permission without which a path is undefined. */
function permissionOf(path: string): string | undefined {
  const [root, first = '', second = ''] = path.split('.');
  if (root !== 'chrome') return undefined;
  const namespace = namespacesWithPermission.has(`${first}.${second}`) ? `${first}.${second}` : first;
  if (!namespacesWithPermission.has(namespace)) return undefined;
  return (worksInPart.get(namespace) ?? []).some((free) => path.startsWith(free)) ? undefined : namespace;
}

export const runsInExtension = ({ contexts }: LinkedUse): boolean => contexts.has('worker') || contexts.has('page');

/** What a service worker does that it cannot do, or that does not last. */
export function workerFindings(code: LinkedCode): Finding[] {
  const { now, starting, running } = code.reachedInWorker();
  const findings = new Map<string, Finding>();
  const isModule = objectAt(code.loaded.manifest, 'background')['type'] === 'module';
  const removed = new Set<string>();
  for (const { path } of code.uses)
    if (path.endsWith('.removeListener')) removed.add(path.replace('.removeListener', ''));
  for (const use of code.uses) {
    if (!isJudged(use.path)) continue;
    const key = `${use.script.path}#${use.within}`;
    if (!use.contexts.has('worker') || use.isInjected || use.isGuarded || !running.has(key)) continue;
    for (const { what, finding } of [
      ...pageHits(use),
      ...importScriptsHits(use, isModule),
      ...lateHits(use, now.has(key), removed),
    ]) {
      const id = `${use.script.path} ${what}`;
      if (!findings.has(id)) findings.set(id, { at: placeOf(use), ...finding });
    }
  }
  return [...waitingModules(code), ...findings.values(), ...lostVariables(code, starting, running)];
}

/** A module of a worker, or one that it imports, must not wait at its top. */
function* waitingModules({ loaded }: LinkedCode): Generator<Finding> {
  for (const [path, { topAwait, text, isModule }] of loaded.scripts) {
    if (topAwait === undefined || !isModule || !loaded.contextsOf(path).has('worker')) continue;
    const problem = 'It waits outside of an async function, which a service worker must not: it does not start.';
    const fix = 'Put the await into an async function, and call that without waiting.';
    yield { severity: 'breaks', at: placeAt(path, text, topAwait), problem, fix };
  }
}

/** What only pages have. */
function* pageHits({ path }: LinkedUse): Generator<Hit> {
  for (const prefix of prefixesOf(path).slice(0, 2)) {
    const fix = path.startsWith(prefix) ? missingInWorker.get(prefix) : undefined;
    if (fix === undefined) continue;
    const problem = `A service worker has no ${prefix}: this throws.`;
    yield { what: prefix, finding: { severity: 'breaks', problem, fix } };
  }
}

function* importScriptsHits({ path, isCalled }: LinkedUse, isModule: boolean): Generator<Hit> {
  if (path !== 'importScripts' || !isCalled || !isModule) return;
  const problem = 'A worker that is a module has no importScripts: this throws.';
  const fix = 'Use import, or leave out "type": "module" of background.';
  yield { what: path, finding: { severity: 'breaks', problem, fix } };
}

/** A listener that is removed again waits for one answer. */
function* lateHits({ path, isLate }: LinkedUse, isAtStart: boolean, removed: ReadonlySet<string>): Generator<Hit> {
  if (!path.endsWith('.addListener') || !/^chrome\.[\w.]+$/.test(path) || (isAtStart && !isLate)) return;
  const event = path.slice(0, -'.addListener'.length);
  if (removed.has(event)) return;
  const problem = `The listener of ${event} is added late, after a wait or in a callback: when that event wakes the worker, the listener is not there yet.`;
  const fix = 'Add it at the top of the worker, at once; wait within the listener.';
  yield { what: event, finding: { severity: 'breaks', problem, fix } };
}

/** A bundle keeps its own books; only written code is judged. */
const isWritten = (text: string): boolean => text.length / (text.split('\n').length || 1) < 120;

function* lostVariables(
  code: LinkedCode,
  starting: ReadonlySet<string>,
  running: ReadonlySet<string>,
): Generator<Finding> {
  for (const [path, script] of code.loaded.scripts) {
    if (!code.loaded.contextsOf(path).has('worker') || !isWritten(script.text)) continue;
    const isLater = (index: number): boolean => running.has(`${path}#${index}`) && !starting.has(`${path}#${index}`);
    for (const { name, offset, writers, readers, counts, isTested } of script.state.values()) {
      const changed = [...writers].filter(isLater);
      // What is read again at each start is not lost.
      if ([...writers].some((writer) => starting.has(`${path}#${writer}`))) continue;
      const isCounter = counts && !isTested;
      const isShared = !isTested && [...readers].some((reader) => isLater(reader) && !writers.has(reader));
      if (changed.length === 0 || !(isCounter || isShared)) continue;
      const problem = `"${name}" is changed in events and kept in a variable, which is lost when the worker goes to sleep, after 30 s without events.`;
      const fix = 'Keep it in chrome.storage.session, with the permission "storage".';
      yield { severity: 'advice', at: placeAt(path, script.text, offset), problem, fix };
    }
  }
}
