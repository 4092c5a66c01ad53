import { isJsonObject, objectAt, objectsIn, stringsIn } from '../manifest.js';
import { namespacesWithPermission, neverOptional, otherPermissions } from './chromeApis.js';
import { missingHosts, missingPermissions } from './codeRules.js';
import { placeAt, type Finding } from './findings.js';
import { pagesOf } from './loadedCode.js';
import { prefixesOf } from './conditions.js';
import type { LinkedCode } from './linkedCode.js';

/** What the code of an extension touches, to tell which permissions it needs. */
class Usage {
  readonly paths = new Set<string>();
  readonly properties = new Set<string>();
  readonly #strings = new Set<string>();
  /** Read of values that nobody knows. */
  readonly #unknown = new Set<string>();
  readonly #escapes: boolean;

  constructor({ uses, loaded }: LinkedCode) {
    for (const { path } of uses) {
      this.paths.add(path);
      for (const part of path.split('.').slice(1)) this.properties.add(part.replaceAll('()', '').replaceAll('[]', ''));
    }
    for (const { properties, strings } of loaded.scripts.values()) {
      for (const property of properties) this.#unknown.add(property);
      for (const text of strings) this.#strings.add(text);
    }
    for (const { links } of loaded.documents.values()) for (const { path } of links) this.#strings.add(path);
    for (const property of this.#unknown) this.properties.add(property);
    this.#escapes = [...loaded.scripts.values()].some(({ escapes }) => escapes);
  }

  /** Whether a path, or something in it, is used; where `chrome` was given away, whether its last name is used at all. */
  has(...wanted: readonly string[]): boolean {
    return wanted.some((path) => {
      for (const used of this.paths)
        if (used === path || ['.', '(', '['].some((next) => used.startsWith(`${path}${next}`))) return true;
      // As `cpu` of `chrome.system[kind]`.
      if (prefixesOf(path).some((prefix) => this.paths.has(`${prefix}[?]`))) return true;
      const last = path.slice(path.lastIndexOf('.') + 1);
      return this.#escapes && (this.properties.has(last) || this.#strings.has(last));
    });
  }

  mentions(text: string): boolean {
    return [...this.#strings].some((known) => known.includes(text));
  }

  /** Address or title of something, perhaps of a tab. */
  get readsTabs(): boolean {
    const keys = ['url', 'title', 'favIconUrl', 'pendingUrl'];
    if (keys.some((key) => this.mentionsProperty(key))) return true;
    return this.has('chrome.tabs.captureVisibleTab', 'chrome.tabs.query{url}', 'chrome.tabs.query{title}');
  }

  /** Names that the code takes from values nobody knows, or from what Chrome gave. */
  mentionsProperty(key: string): boolean {
    if (this.#unknown.has(key)) return true;
    for (const path of this.paths) if (path.endsWith(`.${key}`) && path.startsWith('chrome.')) return true;
    return false;
  }
}

type IsUsed = (usage: Usage, code: LinkedCode) => boolean;

const anyOf =
  (...paths: readonly string[]): IsUsed =>
  (usage) =>
    usage.has(...paths);

const runsInPages: IsUsed = (usage) =>
  usage.readsTabs ||
  usage.has(
    'chrome.scripting',
    'chrome.tabCapture',
    'chrome.pageCapture',
    'chrome.userScripts',
    'chrome.debugger',
    'chrome.tabs.executeScript',
    'chrome.tabs.insertCSS',
  );

/** Permissions that are used by more, or by other things, than `chrome.NAME`. */
const usedBy: Readonly<Record<string, IsUsed>> = {
  tabs: (usage) => usage.readsTabs,
  activeTab: (usage, code) =>
    runsInPages(usage, code) || usage.has('chrome.cookies', 'chrome.webRequest', 'chrome.declarativeNetRequest'),
  unlimitedStorage: anyOf(
    'chrome.storage.local',
    'indexedDB',
    'caches',
    'navigator.storage',
    'openDatabase',
    'localStorage',
    'navigator.webkitPersistentStorage',
    'webkitRequestFileSystem',
  ),
  favicon: (usage) => usage.mentions('_favicon'),
  nativeMessaging: anyOf(
    'chrome.runtime.connectNative',
    'chrome.runtime.sendNativeMessage',
    'chrome.extension.connectNative',
  ),
  clipboardRead: (usage) =>
    usage.has('navigator.clipboard', 'document.execCommand') ||
    usage.properties.has('clipboard') ||
    usage.properties.has('execCommand'),
  clipboardWrite: (usage) =>
    usage.has('navigator.clipboard', 'document.execCommand') ||
    usage.properties.has('clipboard') ||
    usage.properties.has('execCommand'),
  geolocation: (usage) => usage.has('navigator.geolocation') || usage.properties.has('geolocation'),
  notifications: (usage) =>
    usage.has('chrome.notifications', 'Notification', 'registration.showNotification') ||
    usage.properties.has('showNotification') ||
    usage.properties.has('pushManager'),
  declarativeNetRequest: (usage, { loaded }) =>
    usage.has('chrome.declarativeNetRequest') || 'declarative_net_request' in loaded.manifest,
  declarativeNetRequestWithHostAccess: (usage, { loaded }) =>
    usage.has('chrome.declarativeNetRequest') || 'declarative_net_request' in loaded.manifest,
  declarativeNetRequestFeedback: anyOf(
    'chrome.declarativeNetRequest.onRuleMatchedDebug',
    'chrome.declarativeNetRequest.getMatchedRules',
    'chrome.declarativeNetRequest.testMatchOutcome',
  ),
  sidePanel: (usage, { loaded }) => usage.has('chrome.sidePanel') || 'side_panel' in loaded.manifest,
  ttsEngine: (usage, { loaded }) => usage.has('chrome.ttsEngine') || 'tts_engine' in loaded.manifest,
  storage: (usage, { loaded }) => usage.has('chrome.storage') || 'storage' in loaded.manifest,
  'downloads.open': anyOf('chrome.downloads.open'),
  'downloads.ui': anyOf('chrome.downloads.setUiOptions'),
  'downloads.shelf': anyOf('chrome.downloads.setShelfEnabled'),
  'identity.email': anyOf('chrome.identity.getProfileUserInfo'),
  webRequestAuthProvider: anyOf('chrome.webRequest.onAuthRequired'),
  gcm: anyOf('chrome.gcm', 'chrome.instanceID'),
};

/** Permissions that are wrong, unused or missing. */
export function* permissionFindings(code: LinkedCode): Generator<Finding> {
  const { manifest, files } = code.loaded;
  const usage = new Usage(code);
  // Where code was not read, nothing can be said to be unused.
  const isWhole = isComplete(code);
  const required = stringsIn(manifest['permissions']);
  const optional = stringsIn(manifest['optional_permissions']);
  for (const [key, list] of [
    ['permissions', required],
    ['optional_permissions', optional],
  ] as const) {
    for (const [index, permission] of list.entries()) {
      const at = `manifest.json:${files.manifest.lineOf(`${key}[${index}]`)} ${key}`;
      if (list.indexOf(permission) < index) {
        const problem = `"${permission}" is listed twice.`;
        yield { severity: 'advice', at, problem, fix: 'Remove one.' };
        continue;
      }
      yield* permissionFinding({ at, permission, isOptional: key !== 'permissions' });
      if (isWhole && !isUsed(permission, usage, code)) {
        const problem = `"${permission}" is not used by any code of the extension.`;
        yield { severity: 'advice', at, problem, fix: `Remove "${permission}" from ${key}.` };
      }
    }
  }
  if (isWhole) yield* unusedHosts(code, usage);
  if (isWhole) yield* neverAsked(code, usage);
  const declared = new Set([...required, ...optional]);
  const lists = ['host_permissions', 'optional_host_permissions'].flatMap((key) => stringsIn(manifest[key]));
  // Those that stand in the wrong list are told of already.
  const hosts = [...lists, ...[...declared].filter(isHost)];
  yield* missingPermissions(code, declared);
  yield* missingHosts(code, { hosts: hosts.length, declared });
  if (hosts.length === 0) yield* tabAddresses(code, declared);
}

/** Optional permissions are granted only where code asks for them. */
function* neverAsked({ loaded: { manifest, files } }: LinkedCode, usage: Usage): Generator<Finding> {
  if (usage.has('chrome.permissions.request', 'chrome.permissions.addHostAccessRequest')) return;
  for (const key of ['optional_permissions', 'optional_host_permissions']) {
    if (stringsIn(manifest[key]).length === 0) continue;
    const at = `manifest.json:${files.manifest.lineOf(key)} ${key}`;
    const problem = 'No code asks for them with chrome.permissions.request, so they are never granted.';
    yield { severity: 'advice', at, problem, fix: `Ask for them when the user clicks, or remove "${key}".` };
  }
}

/** Whether all code is there and could be read. */
function isComplete({ loaded }: LinkedCode): boolean {
  const { manifest, files, skipped, scripts, missing } = loaded;
  const background = objectAt(manifest, 'background');
  const named = [
    background['service_worker'],
    ...stringsIn(background['scripts']),
    ...objectsIn(manifest['content_scripts']).flatMap(({ js }) => stringsIn(js)),
    ...pagesOf(manifest),
  ];
  return (
    skipped.length === 0 &&
    files.cut === undefined &&
    [...scripts.values()].every(({ problem }) => problem === undefined) &&
    missing.every(({ path }) => !/\.(?:m?js|html?)$/i.test(path)) &&
    named.every((path) => typeof path !== 'string' || loaded.has(path))
  );
}

function isUsed(permission: string, usage: Usage, code: LinkedCode): boolean {
  const special = Object.hasOwn(usedBy, permission) ? usedBy[permission] : undefined;
  if (special !== undefined) return special(usage, code);
  return !namespacesWithPermission.has(permission) || usage.has(`chrome.${permission}`);
}

const isHost = (permission: string): boolean => permission.includes('://') || permission === '<all_urls>';

function* permissionFinding({
  at,
  permission,
  isOptional,
}: {
  at: string;
  permission: string;
  isOptional: boolean;
}): Generator<Finding> {
  const hosts = isOptional ? 'optional_host_permissions' : 'host_permissions';
  if (isHost(permission)) {
    const problem = `"${permission}" is a host, which Chrome ignores here.`;
    yield { severity: 'breaks', at, problem, fix: `Move it to "${hosts}".` };
  } else if (permission === 'webRequestBlocking') {
    const problem = 'webRequestBlocking is for extensions that a policy installed; others do not get it.';
    yield { severity: 'breaks', at, problem, fix: 'Use chrome.declarativeNetRequest.' };
  } else if (isOptional && neverOptional.has(permission)) {
    const problem = `"${permission}" cannot be optional: Chrome leaves it out.`;
    yield { severity: 'breaks', at, problem, fix: 'Move it to "permissions".' };
  } else if (!isKnown(permission)) {
    const problem = `Chrome does not know the permission "${permission}", and ignores it.`;
    yield { severity: 'advice', at, problem, fix: `Remove "${permission}".` };
  }
}

const isKnown = (permission: string): boolean =>
  namespacesWithPermission.has(permission) ||
  otherPermissions.has(permission) ||
  /^(enterprise|networking|app|usb|socket)/.test(permission) ||
  /^(fileSystem|hid|serial|bluetooth\w*|syncFileSystem|mediaGalleries|diagnostics|virtualKeyboard|clipboard|publicSuffix|ttsEngine|passwordsPrivate|webcamPrivate)$/.test(
    permission,
  );

/** What reaches other hosts than the extension's own. */
const reachesHosts = [
  'fetch',
  'XMLHttpRequest',
  'WebSocket',
  'EventSource',
  'WebTransport',
  'navigator.sendBeacon',
  'chrome.cookies',
  'chrome.webRequest',
  'chrome.declarativeNetRequest',
  'chrome.history',
  'chrome.proxy',
  'chrome.browsingData',
  'chrome.contentSettings',
  'chrome.privacy',
];

function* unusedHosts(code: LinkedCode, usage: Usage): Generator<Finding> {
  const { manifest, files, documents } = code.loaded;
  const hosts = stringsIn(manifest['host_permissions']);
  const isByKey = 'declarative_net_request' in manifest || isJsonObject(manifest['storage']);
  const isRemote = [...documents.values()].some(({ links }) => links.some(({ path }) => /^https?:/i.test(path)));
  if (hosts.length === 0 || isByKey || isRemote || runsInPages(usage, code) || usage.has(...reachesHosts)) return;
  const at = `manifest.json:${files.manifest.lineOf('host_permissions')} host_permissions`;
  const scripts =
    objectsIn(manifest['content_scripts']).length > 0 ? ' Content scripts need only their own "matches".' : '';
  const problem = `No code of the extension uses its access to ${hosts.slice(0, 3).join(', ')}.${scripts}`;
  yield { severity: 'advice', at, problem, fix: 'Remove "host_permissions".' };
}

/** What Chrome leaves out of the tabs that it gives to an extension: the last part of a path. */
const hiddenOfTab = [
  /^chrome\.tabs\.(?:query\(\)\[\]|get\(\)|onUpdated\.addListener\(\)\.[12]|onCreated\.addListener\(\)\.0)\.(url|title|favIconUrl)\b/,
  /^chrome\.action\.onClicked\.addListener\(\)\.0\.(url|title|favIconUrl)\b/,
  /^chrome\.(?:commands\.onCommand|contextMenus\.onClicked)\.addListener\(\)\.1\.(url|title|favIconUrl)\b/,
];

/** Addresses of tabs are hidden from extensions without a right to them. */
function* tabAddresses(code: LinkedCode, declared: ReadonlySet<string>): Generator<Finding> {
  if (declared.has('tabs') || declared.has('activeTab')) return;
  for (const { path, script, contexts, isInjected, offset } of code.uses) {
    const [, key] = hiddenOfTab.flatMap((hidden) => hidden.exec(path) ?? []);
    if (key === undefined || script.tested.has(path) || isInjected || contexts.size === 0) continue;
    const problem = `"${key}" of a tab is undefined without "tabs" or access to its host.`;
    yield {
      severity: 'breaks',
      at: placeAt(script.path, script.text, offset),
      problem,
      fix: 'Add "tabs" to permissions, or "activeTab" where the user has clicked the action.',
    };
    return;
  }
}
