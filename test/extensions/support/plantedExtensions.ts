import { generateKeyPairSync } from 'node:crypto';
import { moduleWorker, onMessage, popup, worker, type AuditCase } from './extensionParts.js';
import { rules, wrongRules } from './plantedRules.js';

/** A PNG as far as its header. */
function png(size: number): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1');
  bytes.writeUInt32BE(size, 16);
  bytes.writeUInt32BE(size, 20);
  return bytes;
}

const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const secret = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
const secretOld = privateKey.export({ type: 'pkcs1', format: 'der' }).toString('base64');

/** What is planted, and the beginning of the line that has to be said. */
export const plantedExtensions: Readonly<Record<string, AuditCase>> = {
  'a manifest that is no JSON': [
    ['{\n"name": "x",\n}'],
    'refused manifest.json:3: Chrome cannot parse it: a trailing comma',
  ],
  'a manifest of version 2': [
    [{ manifest_version: 2 }],
    'refused manifest.json:2 manifest_version: manifest_version is 2',
  ],
  'a version in words': [[{ version: '1.0-beta' }], 'refused manifest.json:4 version: version is "1.0-beta"'],
  'a private key': [[{ key: secret }], 'refused manifest.json:5 key: key is a private key'],
  'a private key of the older form': [[{ key: secretOld }], 'refused manifest.json:5 key: key is a private key'],
  'an old action': [
    [{ browser_action: {} }],
    'breaks manifest.json:5 browser_action: browser_action is of Manifest V2',
  ],
  'a worker that waits at its top': [
    moduleWorker('import "./data.js";', {}, { 'data.js': '\nexport const data = await fetch("data.json");' }),
    'breaks data.js:2: It waits outside of an async function',
  ],
  'a script that waits at its top': [
    worker('self.a = 1;\nawait fetch("data.json");'),
    'breaks worker.js:2: It waits outside of an async function',
  ],
  'a permission that is listed twice': [
    worker('chrome.tabs.query({}).then(([tab]) => tab.url);', { permissions: ['tabs', 'tabs'] }),
    'permissions: "tabs" is listed twice',
  ],
  'background scripts': [
    [{ background: { scripts: ['a.js'] } }, { 'a.js': '' }],
    'breaks manifest.json:6 background.scripts',
  ],
  'a policy with eval': [
    [{ content_security_policy: { extension_pages: "script-src 'self' 'unsafe-eval'" } }],
    "refused manifest.json:6 content_security_policy.extension_pages: script-src allows 'unsafe-eval'",
  ],
  'a pattern that is none': [
    [{ content_scripts: [{ matches: ['example.com'], js: ['a.js'] }] }, { 'a.js': '' }],
    'refused manifest.json:8 content_scripts[0].matches[0]: "example.com" is no match pattern',
  ],
  'a host among the permissions': [
    [{ permissions: ['https://a.example/*'] }],
    'breaks manifest.json:6 permissions: "https://a.example/*" is a host',
  ],
  'a permission that cannot be optional': [
    [{ optional_permissions: ['debugger'] }],
    'breaks manifest.json:6 optional_permissions: "debugger" cannot be optional',
  ],
  'resources as texts': [
    [{ web_accessible_resources: ['a.png'] }, { 'a.png': '' }],
    'refused manifest.json:5 web_accessible_resources: It lists texts',
  ],
  'resources that are no list': [
    [{ web_accessible_resources: [{ resources: 'a.png', matches: ['<all_urls>'] }] }, { 'a.png': '' }],
    'refused manifest.json:7 web_accessible_resources[0].resources: It is no list',
  ],
  'a port that is none': [
    [{ content_scripts: [{ matches: ['https://a.com:docs/*'], js: ['a.js'] }] }, { 'a.js': '' }],
    'the port is neither a number nor *',
  ],
  'keys that are missed by a letter': [
    [{ option_ui: {}, backgroud: {} }],
    'breaks manifest.json:6 backgroud: Chrome does not know the key "backgroud"',
  ],
  'a syntax error in a sandboxed page': [
    [
      { sandbox: { pages: ['s.html'] } },
      { 's.html': '<!doctype html>\n<p>1\n<script>\nconst a = 1,\n  b;\n</script>' },
    ],
    'breaks s.html:5: It cannot be parsed',
  ],
  'a command by another name': [
    worker('\nchrome.commands.onCommand.addListener((name) => { switch (name) { case "goes": go(); } });', {
      commands: { go: { description: 'Go' } },
    }),
    'breaks worker.js:2: The listener waits for the command "goes", which the manifest does not have',
  ],
  'a place of menus that is none': [
    worker('chrome.contextMenus.create({ id: "a", title: "b", contexts: ["selction"] });', {
      permissions: ['contextMenus'],
    }),
    'breaks worker.js:1: chrome.contextMenus.create does not know contexts "selction"',
  ],
  'a login without the permission to answer': [
    worker(
      'chrome.webRequest.onAuthRequired.addListener((d, answer) => answer({}), { urls: ["https://a.b/*"] }, ["asyncBlocking"]);',
      { permissions: ['webRequest'], host_permissions: ['https://a.b/*'] },
    ),
    'answers only with the permission "webRequestAuthProvider"',
  ],
  'a file name that comes late': [
    worker(
      'chrome.downloads.onDeterminingFilename.addListener((item, suggest) => { fetch("x").then(() => suggest({})); });',
      { permissions: ['downloads'] },
    ),
    'does not return true',
  ],
  'resources open to all': [
    [{ web_accessible_resources: [{ resources: ['*'], matches: ['<all_urls>'] }] }],
    'advice manifest.json:6 web_accessible_resources[0]: Every site may load every file',
  ],
  'every site may connect': [
    [{ externally_connectable: { matches: ['*://*/*'] } }],
    'advice manifest.json:7 externally_connectable.matches[0]',
  ],
  'five shortcuts': [
    [
      {
        commands: Object.fromEntries(
          [1, 2, 3, 4, 5].map((digit) => [
            `c${digit}`,
            { suggested_key: { default: `Ctrl+Shift+${digit}` }, description: 'd' },
          ]),
        ),
      },
    ],
    'refused manifest.json:5 commands: 5 commands suggest a key',
  ],
  'a shortcut that Chrome refuses': [
    [{ commands: { go: { suggested_key: { default: 'Shift+A' }, description: 'd' } } }],
    'refused manifest.json:6 commands.go: "Shift+A" is no shortcut',
  ],
  'an icon that is not there': [
    [{ icons: { 128: 'no.png' } }],
    'refused manifest.json:6 icons.128: The file no.png does not exist',
  ],
  'an icon of another size': [
    [{ icons: { 128: 'a.png' } }, { 'a.png': png(64) }],
    'advice manifest.json:6 icons.128: a.png has 64 x 64 pixels',
  ],
  'a popup whose name has other letters': [
    [{ action: { default_popup: 'Popup.html' } }, { 'popup.html': '' }],
    'breaks manifest.json:6 action.default_popup: The file Popup.html does not exist',
  ],
  'translations without a default': [
    [{}, { '_locales/en/messages.json': '{}' }],
    'refused manifest.json:1 default_locale: default_locale is missing',
  ],
  'a text that is not translated': [
    [{ default_locale: 'en', description: '__MSG_about__' }, { '_locales/en/messages.json': '{}' }],
    'refused _locales/en/messages.json: The manifest uses __MSG_about__',
  ],
  'a translation without a message': [
    [{ default_locale: 'en' }, { '_locales/en/messages.json': '{\n"a": {}}' }],
    'refused _locales/en/messages.json:2: "a" has no message',
  ],
  'a reserved name': [[{}, { '_private/a.txt': '' }], 'refused _private: Names that begin with _'],
  'a rule without a condition': [
    [
      {
        permissions: ['declarativeNetRequest'],
        declarative_net_request: { rule_resources: [{ id: 'r', enabled: true, path: 'rules.json' }] },
      },
      {
        'rules.json':
          '[\n{ "id": 1, "action": { "type": "block" }, "condition": {} },\n{ "id": 2, "action": { "type": "block" } }]',
      },
    ],
    'breaks rules.json:3 [1]: Chrome leaves the rule out: it has no condition',
  ],
  'a rule with a type that does not exist': [
    rules({ id: 1, action: { type: 'block' }, condition: { resourceTypes: ['scripts'] } }),
    'breaks rules.json:1 [0]: Chrome leaves the rule out: resourceTypes has "scripts"',
  ],
  'a rule with an unknown key': [
    rules({ id: 1, action: { type: 'block' }, condition: { urlfilter: 'ads' } }),
    'breaks rules.json:1 [0]: Chrome does not know "urlfilter" in a condition',
  ],
  'a rule with a lookahead': [
    rules({ id: 1, action: { type: 'block' }, condition: { regexFilter: '(?=a)' } }),
    'refused rules.json:1 [0]: The rule is wrong: regexFilter has a lookaround',
  ],
  'a rule that redirects to a path': [
    rules({ id: 1, action: { type: 'redirect', redirect: { url: '/x' } }, condition: {} }),
    'refused rules.json:1 [0]: The rule is wrong: action.redirect.url "/x" is no absolute address',
  ],
  'a rule that changes headers without hosts': [
    rules({
      id: 1,
      action: { type: 'modifyHeaders', requestHeaders: [{ header: 'a', operation: 'remove' }] },
      condition: {},
    }),
    'breaks rules.json:1 [0]: A rule with modifyHeaders works only on hosts of host_permissions',
  ],
  'a worker that imports a missing module': [
    moduleWorker('import "./lib/a.js";', {}, { 'lib/a.js': '\nimport "./gone.js";' }),
    'breaks lib/a.js:2: The file lib/gone.js does not exist; it is loaded here with import. The service worker does not start.',
  ],
  'a worker that loads a missing script': [
    worker('\nimportScripts("a.js", "gone.js");', {}, { 'a.js': '' }),
    'breaks worker.js:2: The file gone.js does not exist',
  ],
  'a worker that imports and is no module': [
    worker('import "./a.js";', {}, { 'a.js': '' }),
    'breaks worker.js:1: It imports or exports, and is loaded as a script that is no module',
  ],
  'a module with importScripts': [
    moduleWorker('importScripts("a.js");', {}, { 'a.js': '' }),
    'breaks worker.js:1: A worker that is a module has no importScripts',
  ],
  'a worker that imports late': [
    moduleWorker(onMessage('import("./a.js")'), {}, { 'a.js': '' }),
    'breaks worker.js:1: import() is not allowed in a service worker',
  ],
  'a worker that imports a package': [
    moduleWorker('import x from "lodash";'),
    'breaks worker.js:1: "lodash" is no path',
  ],
  'a script from elsewhere': [
    worker('importScripts("https://a.example/x.js");'),
    'refused worker.js:1: https://a.example/x.js comes from elsewhere',
  ],
  'a syntax error': [worker('\nlet x = ;'), 'breaks worker.js:2: It cannot be parsed'],
  'a document that names missing files': [
    popup('<link rel=stylesheet href=a.css>\n<img src="b.png">\n<script src="c.js"></script>', { 'a.css': '' }),
    'breaks popup.html:3: The file c.js does not exist; it is loaded here as a script',
  ],
  'an image that is not there': [
    popup('<img src="b.png">'),
    'breaks popup.html:1: The file b.png does not exist; it is loaded here as an image',
  ],
  'an inline script': [popup('<p>\n<script>go()</script>'), 'breaks popup.html:2: Inline scripts do not run'],
  'an inline handler': [
    popup('<b onmouseover="go()">b</b>'),
    'breaks popup.html:1: Inline event handlers, as onmouseover',
  ],
  'a script of another host in a document': [
    popup('<script src="https://a.example/x.js"></script>'),
    'refused popup.html:1: The script https://a.example/x.js',
  ],
  'a file that is injected and missing': [
    worker(
      'chrome.action.onClicked.addListener((tab) => chrome.scripting.executeScript({ target: { tabId: tab.id }, files: ["gone.js"] }));',
      { permissions: ['scripting', 'activeTab'], action: {} },
    ),
    'breaks worker.js:1: The file gone.js does not exist; it is loaded here as a script for pages',
  ],
  'an offscreen document that is missing': [
    worker(onMessage('chrome.offscreen.createDocument({ url: "off.html", reasons: ["BLOBS"], justification: "x" })'), {
      permissions: ['offscreen'],
    }),
    'breaks worker.js:1: The file off.html does not exist; it is loaded here as an offscreen document',
  ],
  'a policy under a name that Chrome does not know': [
    [{ content_security_policy: { extension_page: "script-src 'self'" } }],
    'breaks manifest.json:6 content_security_policy.extension_page: Chrome does not know "extension_page" here',
  ],
  'a key without its last letter': [
    [{ content_script: [] }],
    'breaks manifest.json:5 content_script: Chrome does not know the key "content_script"',
  ],
  'an incognito mode that does not exist': [[{ incognito: 'both' }], 'refused manifest.json:5 incognito: It is "both"'],
  'two pages that are overridden': [
    [{ chrome_url_overrides: { newtab: 'a.html', history: 'a.html' } }, { 'a.html': '' }],
    'refused manifest.json:5 chrome_url_overrides: It overrides newtab and history',
  ],
  'an id that is none': [
    [{ externally_connectable: { ids: ['abc'] } }],
    'refused manifest.json:7 externally_connectable.ids[0]: "abc" is no id',
  ],
  'resources open to every extension': [
    [{ web_accessible_resources: [{ resources: ['*'], extension_ids: ['*'] }] }],
    'advice manifest.json:6 web_accessible_resources[0]: Every extension may load every file',
  ],
  'all pages open to every site': [
    [{ web_accessible_resources: [{ resources: ['*.html'], matches: ['<all_urls>'] }] }, { 'a.html': '' }],
    'advice manifest.json:6 web_accessible_resources[0]: Every site may load every file that fits "*.html"',
  ],
  'an icon from elsewhere': [
    [{ icons: { 128: 'https://a.example/i.png' } }],
    'refused manifest.json:6 icons.128: "https://a.example/i.png" is an address',
  ],
  'an icon without a size': [
    [{ icons: { large: 'a.png' } }, { 'a.png': png(128) }],
    'refused manifest.json:6 icons.large: "large" is no size',
  ],
  'a picture of a theme that is not there': [
    [{ theme: { images: { theme_frame: 'gone.png' } } }],
    'refused manifest.json:7 theme.images.theme_frame: The file gone.png does not exist',
  ],
  'a message with a dash in its name': [
    [{ default_locale: 'en' }, { '_locales/en/messages.json': '{\n"my-key": { "message": "x" } }' }],
    'refused _locales/en/messages.json:2: "my-key" is no name of a message',
  ],
  'a folder of translations that is no locale': [
    [{ default_locale: 'en' }, { '_locales/en/messages.json': '{}', '_locales/german/messages.json': '{}' }],
    'advice _locales/german: "german" is no locale',
  ],
  'two rulesets with one id': [
    [
      {
        permissions: ['declarativeNetRequest'],
        declarative_net_request: {
          rule_resources: [
            { id: 'a', enabled: true, path: 'rules.json' },
            { id: 'a', enabled: true, path: 'rules.json' },
          ],
        },
      },
      { 'rules.json': '[]' },
    ],
    'refused manifest.json:16 declarative_net_request.rule_resources[1].id: The id "a" is there already',
  ],
  ...Object.fromEntries(
    wrongRules.map(([rule, line]): [string, AuditCase] => [
      `a rule as ${JSON.stringify(rule).slice(0, 100)}`,
      [rules({ id: 1, ...rule }), line],
    ]),
  ),
  'an API through a parameter that has a default': [
    worker('function start(api = chrome) {\n  api.alarms.create({});\n}\nstart();'),
    'breaks worker.js:2: The code uses chrome.alarms',
  ],
  'an API through a default in a pattern': [
    worker('function start({ api = chrome } = {}) {\n  api.alarms.create({});\n}\nstart();'),
    'breaks worker.js:2: The code uses chrome.alarms',
  ],
  'a rule in code that Chrome does not take': [
    worker(
      'const block = { type: "block" };\nchrome.declarativeNetRequest.updateDynamicRules({ addRules: [\n  { id: 1, action: block, condition: { urlFilter: "a" } },\n  { id: 1, action: block, condition: { urlFilter: "b" } },\n] });',
      { permissions: ['declarativeNetRequest'] },
    ),
    'breaks worker.js:2: chrome.declarativeNetRequest.updateDynamicRules fails, and changes no rule: addRules[1]: its id 1 was there before.',
  ],
  'a rule of the session with a type that there is not': [
    worker(
      'chrome.declarativeNetRequest.updateSessionRules({ addRules: [{ id: 1, action: { type: "deny" }, condition: {} }] });',
      { permissions: ['declarativeNetRequest'] },
    ),
    'addRules[0]: action.type is "deny"',
  ],
  'a message in a style sheet that is not translated': [
    [
      { default_locale: 'en', content_scripts: [{ matches: ['https://example.com/*'], css: ['a.css'] }] },
      {
        'a.css': 'b { color: red; }\nb::before { content: "__MSG_Gone__"; direction: __MSG_@@bidi_dir__; }',
        '_locales/en/messages.json': '{ "title": { "message": "Title" } }',
      },
    ],
    'breaks a.css:2: There is no message "Gone"',
  ],
  'a message in a key that is not translated': [
    [
      { default_locale: 'en', version_name: '__MSG_title__' },
      { '_locales/en/messages.json': '{ "title": { "message": "Title" } }' },
    ],
    'breaks manifest.json:6 version_name: Chrome does not translate this key',
  ],
};
