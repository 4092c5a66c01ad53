import { objectAt, stringsIn } from '../manifest.js';
import { callRule } from './callRules.js';
import {
  alternatives,
  contentScriptApis,
  deprecatedApis,
  failingApis,
  functionPermissions,
  missingInWorker,
  namespacesWithKey,
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

const isJudged = (path: string): boolean => judgedNames.has(path.split('.', 1)[0] ?? '') || path.endsWith('}');

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
  const { manifest } = code.loaded;
  const permissions = stringsIn(manifest['permissions']);
  const mayBlock = permissions.includes('webRequestBlocking');
  const mayAnswer = mayBlock || permissions.includes('webRequestAuthProvider');
  const faultRule = (use: LinkedUse): Hit | undefined =>
    // The finding about the permission says that nobody gets it.
    callRule(
      use,
      (_path, kind) =>
        (kind === 'blocking' && mayBlock) ||
        (kind === 'auth' && mayAnswer) ||
        (kind === 'long' && !isWritten(use.script.text)),
    );
  const mainWorldRule = (use: LinkedUse): Hit | undefined => pageWorldHit(use, 'externally_connectable' in manifest);
  for (const use of code.uses) {
    if (use.contexts.size === 0 || use.isGuarded || !isJudged(use.path)) continue;
    for (const rule of [
      evalRule,
      faultRule,
      eventNameRule,
      removedRule,
      deprecatedRule,
      contentScriptRule,
      mainWorldRule,
      closedPageRule,
    ]) {
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
  const { path, isCalled, script, within } = use;
  // `eval` is also handed to others, as to `then`.
  if (path !== 'eval' && (path !== 'Function' || !isCalled)) return undefined;
  if (use.isInjected || !runsOnlyIn(use, 'worker', 'page', 'offscreen', 'content script')) return undefined;
  const name = path === 'eval' ? 'eval (or a timer with a text)' : 'new Function';
  // Libraries in bundles ask first, in ways that cannot be seen here.
  const isCertain = within === 0 || isWritten(script.text);
  const problem = `${name} is called here, which Chrome's policy for extensions refuses: the line throws ${isCertain ? 'when it runs' : 'if it ever runs'}.`;
  const fix = 'Write the code out, or run it in a page of the key "sandbox".';
  return { what: 'eval', finding: { severity: isCertain ? 'breaks' : 'advice', problem, fix } };
}

/** Every event of Chrome is written as `onInstalled`. */
function eventNameRule({ path }: LinkedUse): Hit | undefined {
  const [, event, name = ''] = /^(chrome(?:\.\w+){1,3}\.(on[a-z]\w*))\.(?:add|has|remove)Listener$/.exec(path) ?? [];
  if (event === undefined) return undefined;
  const written = `on${name.charAt(2).toUpperCase()}${name.slice(3)}`;
  const problem = `There is no ${event}: it is undefined, and the line throws.`;
  return { what: event, finding: { severity: 'breaks', problem, fix: `Write it as ${written}, with its capitals.` } };
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

/** The scripts of pages have these, too. */
const pageWorldApis = new Set(['app', 'csi', 'loadTimes']);

function pageWorldHit(use: LinkedUse, isConnectable: boolean): Hit | undefined {
  const [root, namespace] = use.path.split('.');
  if (root !== 'chrome' || namespace === undefined || use.isInjected || !runsOnlyIn(use, 'main world'))
    return undefined;
  if (pageWorldApis.has(namespace.replace(/\W.*/, '')) || (isConnectable && namespace.startsWith('runtime')))
    return undefined;
  const problem = `Scripts in the MAIN world are the page's and have no chrome.${namespace}: it is undefined here.`;
  const fix = 'Leave out "world", or send what is needed to a script in the ISOLATED world with window.postMessage.';
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

/** Of the APIs of content scripts one needs a permission. */
const mayNeedPermission = (use: LinkedUse): boolean =>
  runsInExtension(use) || (use.path.startsWith('chrome.storage') && use.contexts.has('content script'));

function lackOf(api: string, permission: string): Omit<Finding, 'at'> {
  const isThere = permission.startsWith('downloads.') || failingApis.has(api);
  const effect = isThere ? 'the call fails' : 'it is undefined there';
  const problem = `The code uses ${api}, and "${permission}" is not among the permissions: ${effect}.`;
  return { severity: 'breaks', problem, fix: `Add "${permission}" to permissions.` };
}

/** API calls whose permission the manifest lacks. */
export function* missingPermissions(code: LinkedCode, declared: ReadonlySet<string>): Generator<Finding> {
  const told = new Set<string>();
  for (const use of code.uses) {
    if (use.isGuarded || use.isInjected || !mayNeedPermission(use)) continue;
    for (const { api, permission } of permissionsOf(use.path)) {
      const enough = [permission, ...(alternatives.get(permission) ?? []), ...(alternatives.get(api) ?? [])];
      if (told.has(permission) || enough.some((each) => declared.has(each))) continue;
      told.add(permission);
      yield { at: placeOf(use), ...lackOf(api, permission) };
    }
    const [namespace, key] = missingKey(use.path, code) ?? [];
    if (namespace === undefined || key === undefined || told.has(key)) continue;
    told.add(key);
    const problem = `The code uses chrome.${namespace}, and the manifest has no "${key}": it is undefined there.`;
    yield { severity: 'breaks', at: placeOf(use), problem, fix: `Add "${key}" to the manifest.` };
  }
}

/** The key of the manifest without which a path is undefined, if it is not there. */
function missingKey(path: string, { loaded }: LinkedCode): readonly [namespace: string, key: string] | undefined {
  const [root, namespace = ''] = path.split(/\W/);
  const key = root === 'chrome' ? namespacesWithKey.get(namespace) : undefined;
  return key === undefined || key in loaded.manifest ? undefined : [namespace, key];
}

/** What reaches only pages that the extension has a right to. */
const reachesPages = [
  'chrome.scripting.executeScript',
  'chrome.scripting.insertCSS',
  'chrome.cookies',
  'chrome.webRequest',
  'chrome.tabs.captureVisibleTab',
];

/** Calls that work on hosts, where the manifest has none. */
export function* missingHosts(
  code: LinkedCode,
  { hosts, declared }: { hosts: number; declared: ReadonlySet<string> },
): Generator<Finding> {
  if (hosts > 0 || declared.has('activeTab')) return;
  const told = new Set<string>();
  for (const use of code.uses) {
    if (use.isGuarded || use.isInjected || !runsInExtension(use)) continue;
    const api = reachesPages.find((each) => prefixesOf(use.path).includes(each));
    const [needed = ''] = permissionsOf(use.path);
    if (api === undefined || told.has(api) || (needed !== '' && !declared.has(needed.permission))) continue;
    told.add(api);
    const problem = `${api} reaches no site: there are neither host_permissions nor "activeTab".`;
    const fix = 'Add the sites to host_permissions, or "activeTab" where the user has clicked the action.';
    yield { severity: 'breaks', at: placeOf(use), problem, fix };
  }
}

/** More of one extension are not said. */
const maxNeeds = 200;

/** The APIs that an extension's own contexts use, each once, and their permissions. */
export function apiNeeds(code: LinkedCode): ApiNeed[] {
  const needs = new Map<string, ApiNeed>();
  for (const use of code.uses) {
    if (use.isInjected || !runsInExtension(use) || /[{?]/.test(use.path)) continue;
    for (const { api: from, permission } of permissionsOf(use.path)) {
      const depth = Math.max(from.split('.').length, permission.split('.').length + 2);
      // What is called, without what is done with its result.
      const [called = ''] = /^[\w.]+/.exec(use.path) ?? [];
      const api = called.split('.').slice(0, depth).join('.');
      if (!needs.has(api) && needs.size < maxNeeds) needs.set(api, { api, permission, at: placeOf(use) });
    }
  }
  return [...needs.values()];
}

/** The permissions without which a path is undefined, and of what. */
function permissionsOf(path: string): { readonly api: string; readonly permission: string }[] {
  const [root, first = '', second = ''] = path.split('.');
  if (root !== 'chrome') return [];
  const bare = first.replace(/\W.*/, '');
  const namespace = namespacesWithPermission.has(`${bare}.${second}`) ? `${bare}.${second}` : bare;
  const isFree = (worksInPart.get(namespace) ?? []).some((free) => path.startsWith(free));
  const needs = namespacesWithPermission.has(namespace) && !isFree;
  const own = prefixesOf(path).flatMap((api) => {
    const permission = functionPermissions.get(/^[\w.]+/.exec(api)?.[0] ?? '');
    return permission === undefined ? [] : [{ api, permission }];
  });
  return needs ? [{ api: `chrome.${namespace}`, permission: namespace }, ...own] : own;
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
      ...pageHits(use, code.definedInWorker),
      ...importScriptsHits(use, { isModule, isStarting: now.has(key) && !use.isLate }),
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
function* pageHits({ path }: LinkedUse, defined: ReadonlySet<string>): Generator<Hit> {
  for (const prefix of prefixesOf(path).slice(0, 2)) {
    const fix = path.startsWith(prefix) ? missingInWorker.get(prefix) : undefined;
    if (fix === undefined || defined.has(prefix)) continue;
    const problem = `A service worker has no ${prefix}: this throws.`;
    yield { what: prefix, finding: { severity: 'breaks', problem, fix } };
  }
}

function* importScriptsHits(
  { path, isCalled }: LinkedUse,
  { isModule, isStarting }: { isModule: boolean; isStarting: boolean },
): Generator<Hit> {
  if (path !== 'importScripts' || !isCalled || (!isModule && isStarting)) return;
  const [problem, fix] = isModule
    ? [
        'A worker that is a module has no importScripts: this throws.',
        'Use import, or leave out "type": "module" of background.',
      ]
    : [
        'importScripts is called late, after a wait or in a callback: it throws for what was not loaded at the start.',
        'Call it at the top of the worker.',
      ];
  yield { what: path, finding: { severity: 'breaks', problem, fix } };
}

/** A listener that is removed again waits for one answer. */
function* lateHits({ path, isLate }: LinkedUse, isAtStart: boolean, removed: ReadonlySet<string>): Generator<Hit> {
  const [, own] = /^addEventListener\{event (\w+)\}$/.exec(path) ?? [];
  if (own !== undefined && (isLate || !isAtStart)) {
    const problem = `The listener of "${own}" is added late, after a wait or in a callback: Chrome takes it only while the script of the worker runs for the first time.`;
    const fix = 'Call addEventListener at the top of the worker, at once; wait within the listener.';
    yield { what: own, finding: { severity: 'breaks', problem, fix } };
  }
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
      const unset = code.reachedWithout(new Set([...writers].map((writer) => `${path}#${writer}`)));
      const isShared =
        !isTested &&
        [...readers].some((reader) => isLater(reader) && unset.has(`${path}#${reader}`) && !writers.has(reader));
      if (changed.length === 0 || !(isCounter || isShared)) continue;
      const problem = `"${name}" is changed in events and kept in a variable, which is lost when the worker goes to sleep, after 30 s without events.`;
      const fix = 'Keep it in chrome.storage.session, with the permission "storage".';
      yield { severity: 'advice', at: placeAt(path, script.text, offset), problem, fix };
    }
  }
}
