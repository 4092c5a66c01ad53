import { moduleWorker, onMessage, popup, resources, worker, type AuditCase } from './extensionParts.js';

/** What is right, and a word that no finding may have. */
export const soundExtensions: Readonly<Record<string, AuditCase>> = {
  'importScripts at the start of a line': [worker('importScripts("a.js");', {}, { 'a.js': '' }), 'module'],
  'comments in the manifest': [
    ['{ // one\n"manifest_version": 3, /* two */ "name": "n", "version": "1" // three\n}'],
    'parse',
  ],
  'keys that are near others': [
    [{ author: { email: 'a@b.example' }, version_name: 'one', requirements: {}, export: {} }],
    'does not know',
  ],
  'a command by its name': [
    worker('chrome.commands.onCommand.addListener((name) => { if (name === "go" || name === other) stop("goes"); });', {
      commands: { go: { description: 'Go' } },
    }),
    'waits for',
  ],
  'tabs for the address of a tab': [
    worker('chrome.tabs.onUpdated.addListener((id, change, tab) => console.log(tab.url));', { permissions: ['tabs'] }),
    '"tabs"',
  ],
  'scripts in a sandboxed page': [
    [{ sandbox: { pages: ['box.html'] } }, { 'box.html': '<script>eval("1")</script><b onclick="x()">b</b>' }],
    'Inline',
  ],
  'favicons of other pages': [
    popup(
      '<img src="/_favicon/?pageUrl=https://a.example"><script src="a.js"></script>',
      { 'a.js': 'chrome.runtime.getURL("/_favicon/");' },
      { permissions: ['favicon'], ...resources('_favicon/*') },
    ),
    'avicon',
  ],
  'a function that runs in pages': [
    worker(
      'function title() { localStorage.x = 1; return document.title; }\nchrome.action.onClicked.addListener((tab) => chrome.scripting.executeScript({ target: { tabId: tab.id }, func: title }));',
      { permissions: ['scripting', 'activeTab'], action: {} },
    ),
    'service worker has no',
  ],
  'an API behind a question': [
    worker(
      'if (chrome.sidePanel) chrome.sidePanel.setOptions({});\nchrome.alarms?.create({});\nif (typeof chrome.bookmarks !== "undefined") chrome.bookmarks.getTree();\nif ("idle" in chrome) chrome.idle.queryState(60);',
    ),
    'permissions',
  ],
  'an older API for another browser': [
    worker('(chrome.action ?? chrome.browserAction).setTitle({});\nif (isFirefox) chrome.pageAction.show(1);'),
    'does not exist',
  ],
  'a document that is asked for first': [
    worker(
      'if (typeof document !== "undefined") document.title = "x";\nconst go = () => typeof window === "object" && window.alert(1); go();',
    ),
    'service worker has no',
  ],
  'a listener for a while': [
    worker(
      onMessage(
        'new Promise((done) => chrome.tabs.onUpdated.addListener(function once() { chrome.tabs.onUpdated.removeListener(once); done(); }));',
      ),
    ),
    'added late',
  ],
  'a listener that is there at once': [
    worker('const start = () => { chrome.runtime.onMessage.addListener(() => 0); };\nstart();'),
    'added late',
  ],
  'ports and callbacks that no storage can keep': [
    worker(
      'const ports = new Map();\nconst waiting = new Map();\nchrome.runtime.onConnect.addListener((line) => { ports.set(line.name, line); });\nchrome.runtime.onMessage.addListener((message, sender, reply) => { waiting.set(message, reply); ports.get(message)?.postMessage(1); return true; });\nchrome.tabs.onRemoved.addListener((id) => { waiting.get(id)?.(); });',
    ),
    'lost',
  ],
  'a map that the event which reads it has filled': [
    worker(
      'const known = new Map();\nchrome.tabs.onUpdated.addListener((id) => { if (!known.has(id)) known.set(id, Date.now()); known.get(id); });\nchrome.tabs.onRemoved.addListener((id) => { known.delete(id); });',
    ),
    'lost',
  ],
  'a map that is filled at each start': [
    worker(
      'const handlers = new Map();\nhandlers.set("a", 1);\nfunction add(name) { handlers.set(name, 1); }\nadd("b");\nchrome.runtime.onMessage.addListener((message) => { handlers.get(message); });',
    ),
    'lost',
  ],
  'rules in code that are right': [
    worker(
      'chrome.declarativeNetRequest.updateSessionRules({ addRules: [{ id: 1, priority: 2, action: { type: "block" }, condition: { urlFilter: "||a.example", tabIds: [1] } }, make(2)] });\nfunction make(id) { return { id }; }',
      { permissions: ['declarativeNetRequest'] },
    ),
    'addRules',
  ],
  'a constructor that is asked for and not called': [
    popup('<script src=a.js></script>', {
      'a.js': 'const F = (() => 1).constructor; typeof x === F; this.constructor(1);',
    }),
    'refuses',
  ],
  'a variable that is filled again': [
    worker(
      `let options;\nchrome.storage.local.get().then((all) => { options = all; });\nchrome.storage.onChanged.addListener(() => { options = {}; });\n${onMessage('return options;')}`,
      { permissions: ['storage'] },
    ),
    'is changed in events',
  ],
  'a variable that is made on demand': [
    worker(`let port;\n${onMessage('if (!port) port = chrome.runtime.connect(); port.postMessage(1);')}`),
    'is changed in events',
  ],
  'a library that looks for the global object': [
    worker('var root = typeof self === "object" ? self : Function("return this")();'),
    'new Function',
  ],
  'texts about code': [worker('console.log("eval(x) chrome.browserAction document.title");'), 'eval'],
  'an address of a tab that may be missing': [
    worker('chrome.tabs.query({}).then(([tab]) => console.log(tab?.url ?? "none"));'),
    'of a tab is undefined',
  ],
  'a page whose module waits at its top': [
    popup('<script src="a.js" type="module"></script>', { 'a.js': 'await fetch("data.json");' }),
    'It waits',
  ],
  'a worker that waits within a function': [moduleWorker('(async () => { await fetch("data.json"); })();'), 'It waits'],
  'the rulesets that Chrome indexes': [[{}, { '_metadata/generated_indexed_rulesets/_ruleset1': '' }], '_metadata'],
  'a local name': [
    worker(
      'const chrome = { alarms: { create() {} } };\nchrome.alarms.create();\nfunction eval2(document) { return document.title; } eval2({});',
    ),
    'alarms',
  ],
  'storage by a name of its own': [
    worker('const { storage: { local } } = chrome;\nlocal.get();', { permissions: ['storage'] }),
    '"storage"',
  ],
  'storage that a wrapper uses': [
    worker('function wrap(api) { return api.storage; }\nwrap(chrome).local.get();', { permissions: ['storage'] }),
    '"storage"',
  ],
  'a name that another script shares': [
    [
      { content_scripts: [{ matches: ['https://example.com/*'], js: ['a.js', 'b.js'] }], permissions: ['storage'] },
      { 'a.js': 'var api = chrome;', 'b.js': 'api.storage.local.get();' },
    ],
    '"storage"',
  ],
  'bundled packages': [
    popup('<script src="a.js" type="module"></script>', {
      'a.js': 'import "./node_modules/b/b.js";',
      'node_modules/b/b.js': '',
    }),
    'does not exist',
  ],
  'an address with a query': [
    popup('<script src="a.js?v=1"></script><a href="#top">x</a><img src="data:image/gif;base64,AA">', { 'a.js': '' }),
    'does not exist',
  ],
  'a style sheet that is injected': [
    worker(
      'chrome.action.onClicked.addListener(({ id }) => chrome.scripting.insertCSS({ files: ["a.css"], target: { tabId: id } }));',
      { permissions: ['scripting', 'activeTab'], action: {} },
      { 'a.css': '* { display: none !important; }' },
    ),
    'a.css',
  ],
  'a part of an API that is chosen at run time': [
    popup(
      '<script src=a.js></script>',
      { 'a.js': 'for (const kind of ["cpu", "memory"]) chrome.system[kind].getInfo(console.log);' },
      { permissions: ['system.cpu', 'system.memory'] },
    ),
    'is not used',
  ],
  'a global object that the worker makes itself': [
    worker(
      'self.XMLHttpRequest = class {};\nObject.defineProperty(globalThis, "window", { value: self });\nnew XMLHttpRequest(); window.open;',
    ),
    'service worker has no',
  ],
  'a variable that each event sets before it reads it': [
    worker(
      `let target;\nlet timer;\nfunction start() { target = 1; clearTimeout(timer); timer = setTimeout(go, 9); next(); }\nfunction next() { console.log(target); }\nfunction go() { console.log(timer); }\n${onMessage('start();')}`,
    ),
    'is changed in events',
  ],
  'a module that only pages load late': [
    [
      { background: { service_worker: 'worker.js', type: 'module' }, action: { default_popup: 'popup.html' } },
      {
        'worker.js': 'import { a } from "./shared.js";\na();',
        'shared.js': 'export const a = () => 1;\nexport const b = () => import("./late.js");',
        'late.js': '',
        'popup.html': '<script type="module" src="popup.js"></script>',
        'popup.js': 'import { b } from "./shared.js";\nb();',
      },
    ],
    'import()',
  ],
  'answers that come in time': [
    worker(
      [
        'chrome.storage.local.get("a", (a) => { if (a) return true; reply(a); return true; });',
        'if (message) return chrome.storage.local.get("a").then(reply);',
        'reply(1); chrome.storage.local.get("a").then((a) => console.log(a));',
        '[1].forEach((each) => reply(each));',
      ]
        .map(
          (body, index) =>
            `chrome.runtime.onMessage.addListener((message, sender, reply) => { ${body} ${index === 0 ? 'return true;' : ''} });`,
        )
        .join('\n'),
      { permissions: ['storage'] },
    ),
    'too late',
  ],
  'a template': [popup('<template><img src="{{icon}}"><script>x()</script></template>'), 'popup.html'],
  'answers of functions that wait': [
    worker(
      [
        'async (message, sender, reply) => { reply(1); await fetch("x"); }',
        'async (message) => { await fetch("x"); }',
        '(message, sender, reply) => { (async () => { reply(await fetch("x")); })(); return true; }',
        '(message, sender, reply) => { (async () => { await fetch("x"); })(); reply(1); }',
        '(message, sender, reply) => { log(message, reply); }',
      ]
        .map((listener) => `chrome.runtime.onMessage.addListener(${listener});`)
        .join('\n') + '\nasync function log(message, reply) { reply(2); await 0; }',
    ),
    'too late',
  ],
  'calls with what Chrome takes': [
    worker(
      [
        'const more = { world: "MAIN" };',
        'chrome.action.onClicked.addListener(({ id: tabId }) => chrome.scripting.executeScript({ target: { tabId, allFrames: true }, args: [1], func: (a) => a, ...more }));',
        'chrome.notifications.create({ ...more });',
        'chrome.notifications.create("a", { type: "basic", iconUrl: "a.png", title: "A", message: "b" }, () => 0);',
        'chrome.alarms.create({ delayInMinutes: 1, periodInMinutes: 0.5 });',
        'chrome.tabs.query({ url: "chrome://extensions/*" });',
        'chrome.permissions.request({ origins: ["<all_urls>", "*://*.a.example/*"] });',
        'chrome.webRequest.onAuthRequired.addListener(() => 0, { urls: ["https://a.example/*"] }, ["asyncBlocking"]);',
        'chrome.webRequest.onCompleted.addListener(() => 0, { urls: ["https://a.example/*"] }, ["responseHeaders"]);',
        'setTimeout(() => 0, 25 * 1000);',
      ].join('\n'),
      {
        action: {},
        permissions: ['scripting', 'activeTab', 'notifications', 'alarms', 'webRequest', 'webRequestAuthProvider'],
        host_permissions: ['https://a.example/*'],
        optional_host_permissions: ['*://*/*'],
      },
      { 'a.png': '' },
    ),
    'worker.js',
  ],
  'a popup that is there at times': [
    worker(
      'chrome.action.onClicked.addListener(() => 0);\nchrome.action.setPopup({ popup: "" });',
      { action: { default_popup: 'a.html' } },
      { 'a.html': '' },
    ),
    'never fires',
  ],
  'texts with something instead, and those of Chrome': [
    [
      { default_locale: 'en', action: { default_popup: 'popup.html' } },
      {
        '_locales/en/messages.json': '{ "title": { "message": "T" } }',
        'popup.html': '<script src=a.js></script>',
        'a.js':
          'const t = chrome.i18n.getMessage("none") || "None";\nchrome.i18n.getMessage("@@ui_locale");\nchrome.i18n.getMessage(t);\nchrome.i18n.getMessage("TITLE");',
      },
    ],
    'getMessage',
  ],
  'files that pages may load': [
    [
      {
        content_scripts: [{ matches: ['https://a.example/*'], js: ['a.js'] }],
        web_accessible_resources: [{ resources: ['/pictures/*'], matches: ['https://a.example/*'] }],
      },
      {
        'a.js': 'new Image().src = chrome.runtime.getURL("pictures/a.png?x");\nchrome.runtime.getURL("");',
        'pictures/a.png': '',
      },
    ],
    'a.js',
  ],
  'elements and addresses that are no scripts': [
    popup('<script src=a.js></script>', {
      'a.js':
        'const i = document.createElement("img");\ni.src = "https://a.example/x";\ni.setAttribute("src", "https://a.example/y");\nconst s = document.createElement("script");\ns.src = "http://localhost:3000/x.js";\ns.src = "a.js";',
    }),
    'elsewhere',
  ],
  'a script of the page that asks for what it may not have': [
    [
      { content_scripts: [{ matches: ['https://a.example/*'], js: ['a.js'], world: 'MAIN' }] },
      {
        'a.js': 'chrome.runtime?.sendMessage(1);\nchrome.loadTimes();\nif (chrome.storage) chrome.storage.local.get();',
      },
    ],
    'MAIN',
  ],
  'a script that is also its worker': [
    popup('<script src="js/a.js"></script>', {
      'js/a.js': 'if (typeof document !== "undefined") new Worker("js/a.js");',
    }),
    'does not exist',
  ],
  'rules that Chrome takes': [
    [
      {
        permissions: ['declarativeNetRequest'],
        host_permissions: ['https://a.example/*'],
        declarative_net_request: { rule_resources: [{ id: 'r', enabled: true, path: 'rules.json' }] },
      },
      {
        'a.js': '',
        'rules.json': JSON.stringify([
          { id: 1, action: { type: 'block' }, condition: { regexFilter: '(?i)^https?://[[:alpha:]]{2,8}\\.example' } },
          {
            id: 2,
            action: { type: 'redirect', redirect: { extensionPath: '/a.js?b' } },
            condition: { urlFilter: 'x' },
          },
          {
            id: 3,
            action: {
              type: 'modifyHeaders',
              requestHeaders: [{ header: 'Cookie', operation: 'append', value: 'a' }],
              responseHeaders: [{ header: 'x-a', operation: 'append', value: '1' }],
            },
            condition: {
              requestMethods: ['post'],
              domainType: 'thirdParty',
              requestDomains: ['a.example', 'xn--a-0ga'],
            },
          },
        ]),
      },
    ],
    'rules.json',
  ],
};
