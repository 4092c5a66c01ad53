import { stringsIn, type ExtensionFiles } from './extensionFiles.js';
import { placeAt, type Findings, type ManifestJson } from './findings.js';

/** Permissions that `chrome.NAME` requires. */
const namespaces = [
  ...['alarms', 'bookmarks', 'browsingData', 'contentSettings', 'contextMenus', 'cookies', 'debugger'],
  ...['declarativeContent', 'declarativeNetRequest', 'desktopCapture', 'downloads', 'fontSettings', 'gcm', 'history'],
  ...['identity', 'idle', 'notifications', 'offscreen', 'pageCapture', 'power', 'printing', 'privacy', 'proxy'],
  ...['readingList', 'scripting', 'search', 'sessions', 'sidePanel', 'storage', 'tabCapture', 'tabGroups', 'topSites'],
  ...['tts', 'ttsEngine', 'userScripts', 'webNavigation', 'webRequest'],
];

/** Permissions that enable other names in the code. */
const usagePatterns: Readonly<Record<string, readonly string[]>> = {
  tabs: ['tabs'],
  nativeMessaging: ['connectNative', 'sendNativeMessage'],
  management: ['management'],
  geolocation: ['geolocation'],
  clipboardRead: ['clipboard', 'execCommand'],
  clipboardWrite: ['clipboard', 'execCommand'],
};

/** Keys of the manifest that use a permission without code. */
const usedByKey: Readonly<Record<string, string>> = {
  declarativeNetRequest: 'declarative_net_request',
  sidePanel: 'side_panel',
  ttsEngine: 'tts_engine',
};

const broadPermissions: Readonly<Record<string, string>> = {
  debugger: 'It gives full control over every page and shows a bar while in use',
  proxy: 'It sees where all traffic goes',
  webRequest: 'It sees all requests',
  history: 'It reads every address the user has visited',
  tabs: 'It reads address and title of every tab',
};

/** Permissions that are wrong, unused, broad, or missing. */
export function* permissionFindings(manifest: ManifestJson, files: ExtensionFiles): Findings {
  const required = stringsIn(manifest['permissions']);
  const declared = new Set([...required, ...stringsIn(manifest['optional_permissions'])]);
  for (const permission of new Set(required)) yield* permissionFinding(permission, manifest, files);
  yield* missingPermissions(declared, files);
}

function* permissionFinding(permission: string, manifest: ManifestJson, files: ExtensionFiles): Findings {
  const at = 'permissions';
  if (/:\/\/|^<all_urls>$/.test(permission)) {
    const problem = `"${permission}" is a host, which Chrome ignores here.`;
    yield { severity: 'error', at, problem, fix: `Move it to "host_permissions": ["${permission}"].` };
  } else if (permission === 'webRequestBlocking') {
    const problem = 'webRequestBlocking is only for extensions that a policy installed.';
    yield { severity: 'error', at, problem, fix: 'Use declarativeNetRequest.' };
  } else if (yield* isUnused(permission, manifest, files)) {
    const problem = `"${permission}" is not used by any code of the extension.`;
    yield { severity: 'warning', at, problem, fix: `Remove "${permission}" from permissions.` };
  } else if (broadPermissions[permission] !== undefined) {
    const problem = `"${permission}" is broad. ${broadPermissions[permission]}.`;
    const fix =
      permission === 'tabs'
        ? 'chrome.tabs works without it; for the address of the tab that the user acts on activeTab is enough.'
        : 'Ask for it when needed: optional_permissions with chrome.permissions.request.';
    yield { severity: 'info', at, problem, fix };
  }
}

/** Reports only if not even the word occurs, since code can reach the API in many forms. */
function* isUnused(permission: string, manifest: ManifestJson, { sources, cut }: ExtensionFiles): Findings<boolean> {
  const alternatives = usagePatterns[permission] ?? (namespaces.includes(permission) ? [permission] : []);
  if (alternatives.length === 0 || cut !== undefined || (usedByKey[permission] ?? '') in manifest) return false;
  for (const { text } of sources) {
    yield;
    if (alternatives.some((word) => hasWord(text, word))) return false;
  }
  return true;
}

function hasWord(text: string, word: string): boolean {
  const isPart = (character = ' '): boolean => /\w/.test(character);
  for (let at = text.indexOf(word); at !== -1; at = text.indexOf(word, at + word.length)) {
    if (!isPart(text[at - 1]) && !isPart(text[at + word.length])) return true;
  }
  return false;
}

function* missingPermissions(declared: ReadonlySet<string>, { sources }: ExtensionFiles): Findings {
  const used = new Map<string, string>();
  for (const { path, text } of sources) {
    yield;
    for (const { 1: namespace = '', index } of text.matchAll(/\b(?:chrome|browser)\.(\w+)\./g)) {
      if (namespaces.includes(namespace) && !used.has(namespace)) used.set(namespace, placeAt(path, text, index));
    }
  }
  for (const namespace of namespaces) {
    const at = used.get(namespace);
    const isDeclared =
      declared.has(namespace) || (namespace === 'declarativeNetRequest' && declared.has(`${namespace}WithHostAccess`));
    if (isDeclared || at === undefined) continue;
    const problem = `The code uses chrome.${namespace}, and "${namespace}" is not among the permissions: it is undefined there.`;
    yield { severity: 'error', at, problem, fix: `Add "${namespace}" to permissions.` };
  }
}
