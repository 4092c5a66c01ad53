const table = <Value>(entries: Readonly<Record<string, Value>>): ReadonlyMap<string, Value> =>
  new Map(Object.entries(entries));

/** Namespaces of `chrome` whose name is also the permission that they need. */
export const namespacesWithPermission: ReadonlySet<string> = new Set([
  ...['alarms', 'audio', 'bookmarks', 'browsingData', 'certificateProvider', 'contentSettings', 'contextMenus'],
  ...['cookies', 'debugger', 'declarativeContent', 'declarativeNetRequest', 'desktopCapture', 'dns', 'documentScan'],
  ...['downloads', 'fileBrowserHandler', 'fileSystemProvider', 'fontSettings', 'gcm', 'history', 'identity', 'idle'],
  ...['loginState', 'management', 'notifications', 'offscreen', 'pageCapture', 'platformKeys', 'power'],
  ...['printerProvider', 'printing', 'printingMetrics', 'privacy', 'processes', 'proxy', 'readingList', 'scripting'],
  ...['search', 'sessions', 'sidePanel', 'storage', 'systemLog', 'tabCapture', 'tabGroups', 'topSites', 'tts'],
  ...['ttsEngine', 'userScripts', 'vpnProvider', 'wallpaper', 'webAuthenticationProxy', 'webNavigation', 'webRequest'],
  ...['system.cpu', 'system.display', 'system.memory', 'system.network', 'system.storage'],
]);

/** Functions and events that need a permission of their own. */
export const functionPermissions: ReadonlyMap<string, string> = table({
  'chrome.runtime.connectNative': 'nativeMessaging',
  'chrome.runtime.sendNativeMessage': 'nativeMessaging',
  'chrome.downloads.open': 'downloads.open',
  'chrome.downloads.setUiOptions': 'downloads.ui',
  'chrome.declarativeNetRequest.onRuleMatchedDebug': 'declarativeNetRequestFeedback',
  'chrome.declarativeNetRequest.getMatchedRules': 'declarativeNetRequestFeedback',
});

/** Those that are there without it, and fail when they are called. */
export const failingApis: ReadonlySet<string> = new Set(['chrome.declarativeNetRequest.getMatchedRules']);

/** Namespaces that are there only with a key of the manifest. */
export const namespacesWithKey: ReadonlyMap<string, string> = table({
  action: 'action',
  commands: 'commands',
  omnibox: 'omnibox',
  devtools: 'devtools_page',
});

/** Permissions without a namespace of their own, or with more than one. */
export const otherPermissions: ReadonlySet<string> = new Set([
  ...['activeTab', 'accessibilityFeatures.modify', 'accessibilityFeatures.read', 'background', 'clipboardRead'],
  ...['clipboardWrite', 'declarativeNetRequestFeedback', 'declarativeNetRequestWithHostAccess', 'downloads.open'],
  ...['downloads.shelf', 'downloads.ui', 'favicon', 'geolocation', 'identity.email', 'nativeMessaging', 'tabs'],
  ...['unlimitedStorage', 'webRequestAuthProvider', 'webRequestBlocking', 'mdns', 'input', 'experimental', 'webview'],
]);

/** Other permissions that make a namespace or a function available. */
export const alternatives: ReadonlyMap<string, readonly string[]> = table({
  declarativeNetRequest: ['declarativeNetRequestWithHostAccess'],
  'chrome.declarativeNetRequest.getMatchedRules': ['activeTab'],
  // Both work without it in part.
  management: ['management'],
});

/** Namespaces of which a part works without the permission. */
export const worksInPart: ReadonlyMap<string, readonly string[]> = table({
  management: [
    'chrome.management.getSelf',
    'chrome.management.uninstallSelf',
    'chrome.management.getPermissionWarningsByManifest',
  ],
});

/** Permissions that Chrome does not take as optional ones. */
export const neverOptional: ReadonlySet<string> = new Set([
  ...['debugger', 'declarativeNetRequest', 'fontSettings', 'geolocation', 'proxy', 'tts', 'ttsEngine'],
  ...['unlimitedStorage', 'webAuthenticationProxy', 'webRequestBlocking'],
]);

/** What Manifest V3 took away, and what is used instead. */
export const removedApis: ReadonlyMap<string, string> = table({
  'chrome.browserAction': 'chrome.action, and the key "action"',
  'chrome.pageAction': 'chrome.action, and the key "action"',
  'chrome.tabs.executeScript': 'chrome.scripting.executeScript, with the permission "scripting"',
  'chrome.tabs.insertCSS': 'chrome.scripting.insertCSS, with the permission "scripting"',
  'chrome.tabs.removeCSS': 'chrome.scripting.removeCSS, with the permission "scripting"',
  'chrome.tabs.getSelected': 'chrome.tabs.query({ active: true, currentWindow: true })',
  'chrome.tabs.getAllInWindow': 'chrome.tabs.query({ windowId })',
  'chrome.tabs.sendRequest': 'chrome.tabs.sendMessage',
  'chrome.tabs.onActiveChanged': 'chrome.tabs.onActivated',
  'chrome.tabs.onSelectionChanged': 'chrome.tabs.onActivated',
  'chrome.tabs.onHighlightChanged': 'chrome.tabs.onHighlighted',
  'chrome.extension.connect': 'chrome.runtime.connect',
  'chrome.extension.connectNative': 'chrome.runtime.connectNative',
  'chrome.extension.getExtensionTabs': 'chrome.extension.getViews',
  'chrome.extension.getURL': 'chrome.runtime.getURL',
  'chrome.extension.onConnect': 'chrome.runtime.onConnect',
  'chrome.extension.onConnectExternal': 'chrome.runtime.onConnectExternal',
  'chrome.extension.onMessage': 'chrome.runtime.onMessage',
  'chrome.extension.onMessageExternal': 'chrome.runtime.onMessageExternal',
  'chrome.extension.onRequest': 'chrome.runtime.onMessage',
  'chrome.extension.onRequestExternal': 'chrome.runtime.onMessageExternal',
  'chrome.extension.sendMessage': 'chrome.runtime.sendMessage',
  'chrome.extension.sendNativeMessage': 'chrome.runtime.sendNativeMessage',
  'chrome.extension.sendRequest': 'chrome.runtime.sendMessage',
  'chrome.runtime.getPackageDirectoryEntry': 'fetch(chrome.runtime.getURL(path))',
});

/** What still exists and should not be used any more. */
export const deprecatedApis: ReadonlyMap<string, string> = table({
  'chrome.downloads.setShelfEnabled': 'Use chrome.downloads.setUiOptions.',
  'chrome.browsingData.removeAppcache': 'It has no effect: remove the call.',
  'chrome.browsingData.removePluginData': 'It has no effect: remove the call.',
  'chrome.browsingData.removeWebSQL': 'It has no effect: remove the call.',
  'chrome.browsingData.removePasswords': 'It has no effect: remove the call.',
  'chrome.runtime.onBrowserUpdateAvailable': 'Use chrome.runtime.onRestartRequired.',
  'chrome.notifications.onShowSettings': 'It never fires: remove the listener.',
});

/** Chrome versions in which newer APIs appeared. */
export const since: ReadonlyMap<string, number> = table({
  'chrome.action': 88,
  'chrome.scripting': 88,
  'chrome.scripting.registerContentScripts': 96,
  'chrome.storage.session': 102,
  'chrome.offscreen': 109,
  'chrome.sidePanel': 114,
  'chrome.sidePanel.open': 116,
  'chrome.runtime.getContexts': 116,
  'chrome.tabGroups': 89,
  'chrome.readingList': 120,
  'chrome.userScripts': 120,
  'chrome.declarativeNetRequest.updateSessionRules': 90,
  'chrome.declarativeNetRequest.testMatchOutcome': 103,
});

/** What of `chrome` content scripts have. */
export const contentScriptApis: ReadonlySet<string> = new Set([
  'dom',
  'extension',
  'i18n',
  'runtime',
  'storage',
  'app',
  'loadTimes',
  'csi',
  'test',
]);

/** What of `chrome` offscreen documents have. */
export const offscreenApis: ReadonlySet<string> = new Set(['runtime', 'app', 'loadTimes', 'csi', 'test']);

/** Global objects of pages that a service worker lacks, and what it has instead. */
export const missingInWorker: ReadonlyMap<string, string> = table({
  window: 'Use self or globalThis.',
  document: 'Use an offscreen document (chrome.offscreen), or do it in a content script or a page.',
  localStorage: 'Use chrome.storage.local, with the permission "storage".',
  sessionStorage: 'Use chrome.storage.session, with the permission "storage".',
  XMLHttpRequest: 'Use fetch.',
  alert: 'Use chrome.notifications, or a page of the extension.',
  confirm: 'Ask in a page of the extension.',
  prompt: 'Ask in a page of the extension.',
  DOMParser: 'Use an offscreen document (chrome.offscreen) with the reason DOM_PARSER.',
  Image: 'Use createImageBitmap and OffscreenCanvas.',
  Audio: 'Use an offscreen document (chrome.offscreen) with the reason AUDIO_PLAYBACK.',
  requestAnimationFrame: 'Use setTimeout, or an offscreen document.',
  'URL.createObjectURL': 'Use an offscreen document (chrome.offscreen) with the reason BLOBS.',
  Worker: 'Start it in an offscreen document (chrome.offscreen) with the reason WORKERS.',
});

/** The values that Chrome takes, by call and key of its first argument. */
export const takenValues: Readonly<Record<string, readonly (readonly [key: string, values: readonly string[]])[]>> = {
  'chrome.contextMenus.create': [
    [
      'contexts',
      [
        ...['all', 'page', 'frame', 'selection', 'link', 'editable', 'image', 'video', 'audio', 'launcher', 'action'],
        ...['tab', 'browser_action', 'page_action'],
      ],
    ],
    ['type', ['normal', 'checkbox', 'radio', 'separator']],
  ],
  'chrome.offscreen.createDocument': [
    [
      'reasons',
      [
        ...['TESTING', 'AUDIO_PLAYBACK', 'IFRAME_SCRIPTING', 'DOM_SCRAPING', 'BLOBS', 'DOM_PARSER', 'USER_MEDIA'],
        ...['DISPLAY_MEDIA', 'WEB_RTC', 'CLIPBOARD', 'LOCAL_STORAGE', 'WORKERS', 'BATTERY_STATUS', 'MATCH_MEDIA'],
        ...['GEOLOCATION'],
      ],
    ],
  ],
  'chrome.scripting.executeScript': [['world', ['ISOLATED', 'MAIN']]],
};
