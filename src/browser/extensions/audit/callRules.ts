import { parseChromeJson } from '../chromeJson.js';
import { isJsonObject, objectAt, stringsIn } from '../manifest.js';
import { idleMs, shortestMinutes } from './callFaults.js';
import { takenValues } from './chromeApis.js';
import { placeAt, type Finding, type Severity } from './findings.js';
import type { LinkedCode, LinkedUse } from './linkedCode.js';

type Rule = (
  detail: string,
  path: string,
) => { readonly severity: Severity; readonly problem: string; readonly fix: string; readonly isForWorker?: true };

const tooLate = 'the answer comes too late and is lost.';

const rules: Readonly<Record<string, Rule>> = {
  late: () => ({
    severity: 'breaks',
    problem: `The listener answers in a callback and does not return true: ${tooLate}`,
    fix: 'End the listener with "return true;".',
  }),
  async: () => ({
    severity: 'breaks',
    problem: `The listener is async, so it returns a promise and not true: ${tooLate}`,
    fix: 'Make it a plain function that calls an async one and ends with "return true;".',
  }),
  onclick: () => ({
    severity: 'breaks',
    problem: 'A service worker may not pass onclick to chrome.contextMenus.create: it throws.',
    fix: 'Give the entry an id, and use chrome.contextMenus.onClicked.addListener.',
    isForWorker: true,
  }),
  'no id': () => ({
    severity: 'breaks',
    problem: 'A service worker has to pass an id to chrome.contextMenus.create: it throws.',
    fix: 'Add "id".',
    isForWorker: true,
  }),
  blocking: (_detail, path) => ({
    severity: 'breaks',
    problem: `${path} with "blocking" is refused in Manifest V3, but for extensions that a policy installed.`,
    fix: 'Use rules of chrome.declarativeNetRequest, or leave out "blocking" to watch only.',
  }),
  auth: (_detail, path) => ({
    severity: 'breaks',
    problem: `${path} answers only with the permission "webRequestAuthProvider": without it Chrome refuses the listener.`,
    fix: 'Add "webRequestAuthProvider" to permissions.',
  }),
  key: (key, path) => ({
    severity: 'breaks',
    problem: `${path} does not know "${key}" and throws.`,
    fix:
      key === 'code'
        ? 'Pass a function as func, and its values as args.'
        : key === 'file'
          ? 'Use "files", a list.'
          : 'Tab and frames are named by "target": { tabId, allFrames, frameIds }.',
  }),
  missing: (key) => ({
    severity: 'breaks',
    problem: `chrome.notifications.create needs "${key}": without it nothing is shown.`,
    fix: `Add "${key}": type, iconUrl, title and message are required.`,
  }),
  short: (minutes) => ({
    severity: 'advice',
    problem: `An alarm of ${minutes} minutes is as slow as one of ${shortestMinutes} once the extension is packed.`,
    fix: `Ask for ${shortestMinutes} or more.`,
  }),
  long: (seconds, path) => ({
    severity: 'advice',
    problem: `${path} with ${seconds} s is lost when the worker goes to sleep, after ${idleMs / 1000} s without events.`,
    fix: 'Use chrome.alarms, with the permission "alarms".',
    isForWorker: true,
  }),
  rule: (problem, path) => ({
    severity: 'breaks',
    problem: `${path} fails, and changes no rule: ${problem}.`,
    fix: 'Mend or remove the rule.',
  }),
  value: (detail, path) => {
    const [, values = []] = takenValues[path]?.find(([key]) => detail.startsWith(`${key} `)) ?? [];
    const problem = `${path} does not know ${detail} and throws.`;
    return { severity: 'breaks', problem, fix: `Use ${values.join(', ')}.` };
  },
  pattern: (problem, path) => ({
    severity: 'breaks',
    problem: `${path} refuses it: ${problem}.`,
    fix: 'A pattern is <scheme>://<host>/<path>, as https://*.example.com/*.',
  }),
};

/** The finding about what `faultsOfCall` found. `what` is one for each kind and detail. */
export function callRule(
  { path, contexts, isInjected }: LinkedUse,
  isSparing: (path: string, kind: string) => boolean,
): { readonly what: string; readonly finding: Omit<Finding, 'at'> } | undefined {
  const [, of = '', kind = '', detail = ''] = /^([\w.]+)\{(no id|\w+)(?: ([^}]*))?\}$/.exec(path) ?? [];
  const rule = Object.hasOwn(rules, kind) ? rules[kind] : undefined;
  if (rule === undefined || isInjected || isSparing(of, kind)) return undefined;
  const { isForWorker, ...finding } = rule(decodeURIComponent(detail), of.replace(/\.addListener$/, ''));
  const isElsewhere = isForWorker && !(contexts.size === 1 && contexts.has('worker'));
  return isElsewhere === true ? undefined : { what: path, finding };
}

/** Texts that `chrome.i18n.getMessage` asks for, and that the translations lack. */
export function* messageFindings({ uses, loaded }: LinkedCode): Generator<Finding> {
  const locale = loaded.manifest['default_locale'];
  const path = `_locales/${typeof locale === 'string' ? locale : ''}/messages.json`;
  const wanted = uses.filter(
    ({ path: use, contexts }) => contexts.size > 0 && use.startsWith('chrome.i18n.getMessage{'),
  );
  const text = wanted.length === 0 ? undefined : loaded.read(path);
  const known = new Set(text === undefined ? [] : messageNames(text));
  const told = new Set<string>();
  for (const { path: use, script, offset } of known.size === 0 ? [] : wanted) {
    const name = decodeURIComponent(/\{message ([^}]*)\}$/.exec(use)?.[1] ?? '');
    const call = script.text.slice(offset, offset + maxCallChars);
    // What stands behind `||` is shown instead.
    if (
      name === '' ||
      known.has(name.toLowerCase()) ||
      told.has(name) ||
      /^[^()]*\([^()]*\)\s*(?:\|\||\?\?|\?)/.test(call)
    )
      continue;
    told.add(name);
    yield {
      severity: 'breaks',
      at: placeAt(script.path, script.text, offset),
      problem: `${path} has no "${name}": chrome.i18n.getMessage gives an empty text.`,
      fix: `Add "${name}": { "message": "…" } there, or mend the name.`,
    };
  }
}

const maxCallChars = 300;

/** The names of the messages in a file, without capitals, which mean nothing in them. */
export function messageNames(text: string): string[] {
  try {
    const { value } = parseChromeJson(text);
    return isJsonObject(value) ? Object.keys(value).map((name) => name.toLowerCase()) : [];
  } catch {
    return [];
  }
}

/** Commands that listeners wait for, and that the manifest does not have. */
export function* commandNameFindings({ uses, loaded }: LinkedCode): Generator<Finding> {
  const commands = Object.keys(objectAt(loaded.manifest, 'commands'));
  const start = 'chrome.commands.onCommand.addListener{command ';
  for (const { path, script, offset, contexts } of uses) {
    const name = path.startsWith(start) ? decodeURIComponent(path.slice(start.length, -1)) : undefined;
    if (name === undefined || contexts.size === 0 || commands.includes(name)) continue;
    const known = commands.length === 0 ? 'It has none.' : `It has ${commands.map((each) => `"${each}"`).join(', ')}.`;
    yield {
      severity: 'breaks',
      at: placeAt(script.path, script.text, offset),
      problem: `The listener waits for the command "${name}", which the manifest does not have: it never comes. ${known}`,
      fix: 'Write the name as in "commands" of manifest.json.',
    };
  }
}

/** What the manifest makes of events: those that never fire, and those that the code forgot. */
export function* eventFindings({ uses, loaded }: LinkedCode): Generator<Finding> {
  const { manifest, files, scripts } = loaded;
  const popup = objectAt(manifest, 'action')['default_popup'];
  const isUsed = (start: string): boolean => uses.some(({ path }) => path.startsWith(start));
  const isHidden = [...scripts.values()].some(({ escapes }) => escapes);
  const click = uses.find(({ path, contexts }) => contexts.size > 0 && path === 'chrome.action.onClicked.addListener');
  if (
    typeof popup === 'string' &&
    popup !== '' &&
    click !== undefined &&
    !isHidden &&
    !isUsed('chrome.action.setPopup')
  )
    yield {
      severity: 'breaks',
      at: placeAt(click.script.path, click.script.text, click.offset),
      problem: 'chrome.action.onClicked never fires: the action opens a popup instead.',
      fix: 'Remove "default_popup" from action, or do the work in the popup.',
    };
  const { matches } = objectAt(manifest, 'externally_connectable');
  const isHeard = isUsed('chrome.runtime.onMessageExternal') || isUsed('chrome.runtime.onConnectExternal');
  if (stringsIn(matches).length > 0 && !isHeard && !isHidden && loaded.skipped.length === 0)
    yield {
      severity: 'advice',
      at: `manifest.json:${files.manifest.lineOf('externally_connectable')} externally_connectable`,
      problem:
        'Sites may send messages, and no code listens: there is neither onMessageExternal nor onConnectExternal.',
      fix: 'Remove "externally_connectable", or add chrome.runtime.onMessageExternal.addListener.',
    };
}
