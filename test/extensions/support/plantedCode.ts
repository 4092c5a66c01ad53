import { contentScript, moduleWorker, onMessage, popup, resources, worker, type AuditCase } from './extensionParts.js';

/** What is planted in code, and the beginning of the line that has to be said. */
export const plantedCode: Readonly<Record<string, AuditCase>> = {
  'an API without its permission': [
    worker('\nchrome.alarms.create({});'),
    'breaks worker.js:2: The code uses chrome.alarms',
  ],
  'one that is taken out': [
    worker('const { alarms } = chrome;\nalarms.create({});'),
    'breaks worker.js:2: The code uses chrome.alarms',
  ],
  'one by another name': [
    worker('const api = globalThis.browser ?? chrome;\nonmessage = () => api.alarms.create({});'),
    'breaks worker.js:2: The code uses chrome.alarms',
  ],
  'one through a module': [
    moduleWorker(
      'import { api } from "./api.js";\napi.bookmarks.getTree();',
      {},
      { 'api.js': 'export const api = self.chrome;' },
    ),
    'breaks worker.js:2: The code uses chrome.bookmarks',
  ],
  'a permission without its call': [
    worker('chrome.storage.local.get();', { permissions: ['storage', 'bookmarks'] }),
    'advice manifest.json:10 permissions: "bookmarks" is not used',
  ],
  'one that stands in comments and texts only': [
    worker('// chrome.bookmarks.getTree()\nconsole.log("chrome.bookmarks");', { permissions: ['bookmarks'] }),
    'advice manifest.json:9 permissions: "bookmarks" is not used',
  ],
  'one whose word means something else': [
    worker('self.history?.back(); chrome.runtime.id;', { permissions: ['history'] }),
    'advice manifest.json:9 permissions: "history" is not used',
  ],
  'activeTab without a use': [
    worker('chrome.runtime.id;', { permissions: ['activeTab'] }),
    'advice manifest.json:9 permissions: "activeTab" is not used',
  ],
  'unlimitedStorage without a use': [
    worker('chrome.runtime.id;', { permissions: ['unlimitedStorage'] }),
    'advice manifest.json:9 permissions: "unlimitedStorage" is not used',
  ],
  'tabs without a use': [
    worker('chrome.tabs.create({ url: "https://a.example" });', { permissions: ['tabs'] }),
    'advice manifest.json:9 permissions: "tabs" is not used',
  ],
  'hosts without a use': [
    worker('chrome.runtime.id;', { host_permissions: ['https://a.example/*'] }),
    'advice manifest.json:8 host_permissions: No code of the extension uses its access',
  ],
  'an address of a tab without a right to it': [
    worker('chrome.tabs.query({}, (tabs) => { const [first] = tabs; console.log(first.url); });'),
    'breaks worker.js:1: "url" of a tab is undefined',
  ],
  'an API of Manifest V2': [
    worker('chrome.browserAction.setTitle({});'),
    'breaks worker.js:1: chrome.browserAction does not exist',
  ],
  'another one': [
    worker('browser.tabs.executeScript({ code: "1" });'),
    'breaks worker.js:1: chrome.tabs.executeScript does not exist',
  ],
  'a deprecated API': [
    worker('chrome.downloads.setShelfEnabled(false);', { permissions: ['downloads'] }),
    'advice worker.js:1: chrome.downloads.setShelfEnabled is deprecated',
  ],
  eval: [
    worker('const run = (text) => eval(text); run("1");'),
    'breaks worker.js:1: eval (or a timer with a text) is called here',
  ],
  'new Function': [
    popup('<script src=a.js></script>', { 'a.js': '\nnew Function("return 1")();' }),
    'breaks a.js:2: new Function is called',
  ],
  'eval that is handed on': [
    worker('\nfetch("https://a.example/x").then((answer) => answer.text()).then(eval);', {
      host_permissions: ['https://a.example/*'],
    }),
    'breaks worker.js:2: eval',
  ],
  'a timer with a text': [
    popup('<script src=a.js></script>', { 'a.js': 'setTimeout("go()", 9);' }),
    'breaks a.js:1: eval',
  ],
  'a script element from elsewhere': [
    popup('<script src=a.js></script>', {
      'a.js':
        'const s = document.createElement("script");\ns.src = "https://cdn.example/x.js";\ndocument.head.append(s);',
    }),
    'refused a.js:2: The script https://cdn.example/x.js comes from elsewhere: Chrome does not load it',
  ],
  'native messages without their permission': [
    worker('chrome.runtime.connectNative("com.example.host");'),
    'breaks worker.js:1: The code uses chrome.runtime.connectNative, and "nativeMessaging"',
  ],
  'a function that needs more than its namespace': [
    worker('chrome.downloads.open(1);', { permissions: ['downloads'] }),
    'breaks worker.js:1: The code uses chrome.downloads.open, and "downloads.open" is not among the permissions: the call fails',
  ],
  'an action that the manifest lacks': [
    worker('\nchrome.action.onClicked.addListener(() => 0);'),
    'breaks worker.js:2: The code uses chrome.action, and the manifest has no "action"',
  ],
  'an injection without a right to any site': [
    worker(
      'chrome.commands.onCommand.addListener((c, tab) => chrome.scripting.executeScript({ target: { tabId: tab.id }, func: () => 1 }));',
      {
        permissions: ['scripting'],
        commands: { go: { description: 'd' } },
      },
    ),
    'breaks worker.js:1: chrome.scripting.executeScript reaches no site',
  ],
  'a menu entry with onclick': [
    worker('chrome.contextMenus.create({ id: "a", title: "A", onclick: () => 0 });', { permissions: ['contextMenus'] }),
    'breaks worker.js:1: A service worker may not pass onclick',
  ],
  'a menu entry without an id': [
    worker('chrome.contextMenus.create({ title: "A" });', { permissions: ['contextMenus'] }),
    'breaks worker.js:1: A service worker has to pass an id',
  ],
  'importScripts in a listener': [
    worker(onMessage('importScripts("a.js")'), {}, { 'a.js': '' }),
    'breaks worker.js:1: importScripts is called late',
  ],
  'an answer that comes too late': [
    worker(
      '\nchrome.runtime.onMessage.addListener((message, sender, reply) => {\n  chrome.storage.local.get("a").then(({ a }) => reply(a));\n});',
      { permissions: ['storage'] },
    ),
    'breaks worker.js:2: The listener answers in a callback and does not return true',
  ],
  'the document in a worker': [
    worker('\ndocument.title = "x";'),
    'breaks worker.js:2: A service worker has no document',
  ],
  'the window in a listener': [
    worker(onMessage('show()') + '\nfunction show() { window.open("x"); }'),
    'breaks worker.js:2: A service worker has no window',
  ],
  'localStorage in an imported function': [
    moduleWorker(
      'import { save } from "./save.js";\nchrome.runtime.onMessage.addListener((m) => save(m));',
      {},
      { 'save.js': 'export function save(m) {\n  localStorage.m = m;\n}' },
    ),
    'breaks save.js:2: A service worker has no localStorage',
  ],
  'a listener after a wait': [
    worker(
      '(async () => {\nconst all = await chrome.storage.local.get();\nchrome.tabs.onUpdated.addListener(() => all);\n})();',
      { permissions: ['storage'] },
    ),
    'breaks worker.js:3: The listener of chrome.tabs.onUpdated is added late',
  ],
  'a listener in a callback': [
    worker('chrome.runtime.onInstalled.addListener(() => {\nchrome.alarms.onAlarm.addListener(() => 0);\n});', {
      permissions: ['alarms'],
    }),
    'breaks worker.js:2: The listener of chrome.alarms.onAlarm is added late',
  ],
  'a listener after a promise': [
    worker('fetch("x").then(() => chrome.runtime.onMessage.addListener(() => 0));'),
    'breaks worker.js:1: The listener of chrome.runtime.onMessage is added late',
  ],
  'a variable that a worker loses': [
    worker(`let count = 0;\n${onMessage('count += 1; return count;')}`),
    'advice worker.js:1: "count" is changed in events',
  ],
  'one that another event reads': [
    worker(
      `let last;\n${onMessage('last = Date.now();')}\nchrome.tabs.onUpdated.addListener(() => console.log(last));`,
    ),
    'advice worker.js:1: "last" is changed in events',
  ],
  'tabs in a content script': [
    contentScript('chrome.tabs.query({});', { permissions: ['tabs'] }),
    'breaks content.js:1: Content scripts have no chrome.tabs',
  ],
  'an API in a sandboxed page': [
    [{ sandbox: { pages: ['box.html'] } }, { 'box.html': '<script>\nchrome.runtime.sendMessage(1)</script>' }],
    'breaks box.html',
  ],
  'storage in an offscreen document': [
    worker(
      onMessage('chrome.offscreen.createDocument({ url: "off.html", reasons: ["BLOBS"], justification: "x" })'),
      { permissions: ['offscreen', 'storage'] },
      { 'off.html': '<script src="off.js"></script>', 'off.js': 'chrome.storage.local.get();' },
    ),
    'breaks off.js:1: Offscreen documents have no chrome.storage',
  ],
  'a version that is too low': [
    worker('chrome.sidePanel.setOptions({});', { permissions: ['sidePanel'], minimum_chrome_version: '100' }),
    'breaks worker.js:1: chrome.sidePanel exists since Chrome 114',
  ],
  'a resource that is not there': [
    [resources('gone.png')],
    'advice manifest.json:7 web_accessible_resources[0].resources: No file is called "gone.png"',
  ],
};
