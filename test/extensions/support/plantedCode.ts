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
  'an address of the tab of a click without a right to it': [
    worker('chrome.action.onClicked.addListener((tab) => console.log(tab.url));', { action: {} }),
    'breaks worker.js:1: "url" of a tab is undefined',
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
  ...Object.fromEntries(
    [
      ['new Map()', 'kept.set(tab.id, tab.url)', 'kept.get(message)'],
      ['new Set()', 'kept.add(tab.url)', 'kept.has(message)'],
      ['[]', 'kept.push(tab.url)', 'kept.length'],
      ['{}', 'kept[tab.id] = tab.url', 'kept[message]'],
      ['{ last: "" }', 'kept.last = tab.url', 'kept.last'],
    ].map(([value = '', change = '', reading = '']): [string, AuditCase] => [
      `${value} that a worker loses`,
      [
        worker(
          `const kept = ${value};\nchrome.tabs.onCreated.addListener((tab) => { ${change}; });\nchrome.runtime.onMessage.addListener((message, sender, reply) => reply(${reading}));`,
          { permissions: ['tabs'] },
        ),
        'advice worker.js:1: "kept" is changed in events and kept in a variable, which is lost',
      ],
    ]),
  ),
  'a listener of the worker itself that is added late': [
    worker('chrome.storage.local.get("x").then(() => {\n  self.addEventListener("push", () => 1);\n});', {
      permissions: ['storage'],
    }),
    'breaks worker.js:2: The listener of "push" is added late',
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
  'storage without its permission in a content script': [
    contentScript('chrome.storage.local.get("a", console.log);'),
    'breaks content.js:1: The code uses chrome.storage, and "storage" is not among the permissions',
  ],
  'DevTools in a popup': [
    popup('<script src=a.js></script>', { 'a.js': 'chrome.devtools.inspectedWindow.eval("1");' }),
    'breaks a.js:1: The code uses chrome.devtools, and the manifest has no "devtools_page"',
  ],
  'matched rules without the right to see them': [
    worker('chrome.declarativeNetRequest.getMatchedRules({});', { permissions: ['declarativeNetRequest'] }),
    'breaks worker.js:1: The code uses chrome.declarativeNetRequest.getMatchedRules, and "declarativeNetRequestFeedback" is not among the permissions: the call fails',
  ],
  'an event without its capitals': [
    worker('\nchrome.runtime.oninstalled.addListener(() => 0);'),
    'breaks worker.js:2: There is no chrome.runtime.oninstalled',
  ],
  'requests that are stopped by a listener': [
    worker(
      'const extra = ["blocking"];\nchrome.webRequest.onBeforeRequest.addListener(() => ({ cancel: true }), { urls: ["<all_urls>"] }, extra);',
      { permissions: ['webRequest'], host_permissions: ['https://a.example/*'] },
    ),
    'breaks worker.js:2: chrome.webRequest.onBeforeRequest with "blocking" is refused in Manifest V3',
  ],
  'an injection of code as a text': [
    worker(
      'chrome.action.onClicked.addListener(({ id }) => chrome.scripting.executeScript({ target: { tabId: id }, code: "go()" }));',
      { permissions: ['scripting', 'activeTab'], action: {} },
    ),
    'breaks worker.js:1: chrome.scripting.executeScript does not know "code" and throws',
  ],
  'a notification without a picture': [
    worker('chrome.notifications.create("a", { type: "basic", title: "A", message: "b" });', {
      permissions: ['notifications'],
    }),
    'breaks worker.js:1: chrome.notifications.create needs "iconUrl"',
  ],
  'an alarm that is too fast': [
    worker('chrome.alarms.create("a", { periodInMinutes: 5 / 60 });', { permissions: ['alarms'] }),
    'advice worker.js:1: An alarm of 0.08333333333333333 minutes',
  ],
  'a timer that a worker loses': [
    worker('const minute = 60 * 1000;\nsetInterval(() => fetch("x"), 5 * minute);'),
    'advice worker.js:2: setInterval with 300 s is lost when the worker goes to sleep',
  ],
  'a click that never comes': [
    worker('chrome.action.onClicked.addListener(() => 0);', { action: { default_popup: 'a.html' } }, { 'a.html': '' }),
    'breaks worker.js:1: chrome.action.onClicked never fires',
  ],
  'a text that no translation has': [
    [
      { default_locale: 'en', action: { default_popup: 'popup.html' } },
      {
        '_locales/en/messages.json': '{ "title": { "message": "T" } }',
        'popup.html': '<script src=a.js></script>',
        'a.js': 'chrome.i18n.getMessage("Title");\nchrome.i18n.getMessage("subtitle");',
      },
    ],
    'breaks a.js:2: _locales/en/messages.json has no "subtitle"',
  ],
  'sites that nobody hears': [
    worker('chrome.runtime.id;', { externally_connectable: { matches: ['https://a.example/*'] } }),
    'advice manifest.json:8 externally_connectable: Sites may send messages, and no code listens',
  ],
  'permissions that nobody asks for': [
    worker('chrome.history.search({ text: "" });', { optional_permissions: ['history'] }),
    'advice manifest.json:8 optional_permissions: No code asks for them',
  ],
  'an API in the MAIN world': [
    [
      { content_scripts: [{ matches: ['https://a.example/*'], js: ['a.js'], world: 'MAIN' }] },
      { 'a.js': '\nchrome.runtime.sendMessage(1);' },
    ],
    "breaks a.js:2: Scripts in the MAIN world are the page's and have no chrome.runtime",
  ],
  'a file that pages may not load': [
    [
      {
        content_scripts: [{ matches: ['https://a.example/*'], js: ['a.js'] }],
        ...resources('other/*'),
      },
      {
        'a.js': 'new Image().src = chrome.runtime.getURL("/pictures/a.png");',
        'pictures/a.png': '',
        'other/b.png': '',
      },
    ],
    'breaks a.js:1: A page cannot load pictures/a.png: it is not among the web_accessible_resources',
  ],
  'the address of a file that is not there': [
    worker('fetch(chrome.runtime.getURL("data/list.json"));'),
    'breaks worker.js:1: The file data/list.json does not exist; it is loaded here by its address',
  ],
  'a worker of a page that is not there': [
    popup('<script src="js/a.js"></script>', {
      'js/a.js': 'new Worker("js/w.js"); new Worker("v.js");',
      'js/w.js': '',
    }),
    'breaks js/a.js:1: The file v.js does not exist; it is loaded here as a worker',
  ],
  ...Object.fromEntries(
    [
      'chrome.scripting.registerContentScripts([{ id: "a", js: ["worker.js"], matches: ["example.com"] }]);',
      'chrome.tabs.query({ url: ["https://a.example/*", "example.com"] });',
      'chrome.webRequest.onCompleted.addListener(() => 0, { urls: ["example.com"] });',
      'chrome.contextMenus.create({ id: "a", title: "A", documentUrlPatterns: ["example.com"] });',
      'chrome.permissions.request({ origins: ["example.com"] });',
    ].map((code): [string, AuditCase] => [
      `a pattern that is none in ${code.slice(0, code.indexOf('('))}`,
      [
        worker(code, { permissions: ['scripting', 'webRequest', 'contextMenus', 'tabs'] }),
        `breaks worker.js:1: ${code.slice(0, code.indexOf('(')).replace('.addListener', '')} refuses it: "example.com" is no match pattern`,
      ],
    ]),
  ),
  ...Object.fromEntries(
    [
      ['async (message, sender, reply) => { reply(await fetch("x")); }', 'The listener is async'],
      ['(message, sender, reply) => { (async () => { reply(await fetch("x")); })(); }', 'does not return true'],
      ['(message, sender, reply) => { answer(message, reply); }', 'does not return true'],
    ].map(([listener = '', expected = '']): [string, AuditCase] => [
      `an answer that comes too late from ${listener}`,
      [
        worker(
          `chrome.runtime.onMessage.addListener(${listener});\nasync function answer(message, done) { await 0; done(1); }`,
        ),
        `breaks worker.js:1: The listener ${expected.replace('The listener ', '').replace('does', 'answers in a callback and does')}`,
      ],
    ]),
  ),
  ...Object.fromEntries(
    [
      'setTimeout("go(" + 1 + ")", 9);',
      'Function.apply(null, ["return 1"])();',
      'Reflect.construct(Function, ["return 1"]);',
      '(() => 1).constructor("return 1")();',
      '[].constructor.constructor("return 1")();',
      'const Made = Object.getPrototypeOf(async () => 1).constructor; new Made("return 1");',
    ].map((code): [string, AuditCase] => [
      `eval by ${code}`,
      [popup('<script src=a.js></script>', { 'a.js': code }), "which Chrome's policy for extensions refuses"],
    ]),
  ),
  ...Object.fromEntries(
    [
      'const s = document.createElement("script"); s.setAttribute("src", "https://cdn.example/x");',
      'Object.assign(document.createElement("script"), { src: "https://cdn.example/x" });',
      'const at = "https://cdn.example/x"; let s = document.createElement("SCRIPT"); s.src = at;',
      'const s = document.createElement("script"); s.src = `https://cdn.example/${s.id}`;',
      'document.write("<script src=\'https://cdn.example/x\'></script>");',
      'new Worker("https://cdn.example/x");',
      'chrome.scripting.executeScript({ target: { tabId: 1 }, files: ["https://cdn.example/x"] });',
    ].map((code): [string, AuditCase] => [
      `code from elsewhere by ${code}`,
      [
        popup('<script src=a.js></script>', { 'a.js': code }, { permissions: ['scripting', 'activeTab'] }),
        'refused a.js:1: The script https://cdn.example/',
      ],
    ]),
  ),
};
