import { moduleWorker, onMessage, popup, resources, worker, type AuditCase } from './extensionParts.js';

/** What is right, and a word that no finding may have. */
export const soundExtensions: Readonly<Record<string, AuditCase>> = {
  'importScripts at the start of a line': [worker('importScripts("a.js");', {}, { 'a.js': '' }), 'module'],
  'comments in the manifest': [
    ['{ // one\n"manifest_version": 3, /* two */ "name": "n", "version": "1" // three\n}'],
    'parse',
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
};
