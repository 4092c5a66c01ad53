/** An extension as its files, and what it is made of. */
export interface ExtensionFixture {
  readonly files: Readonly<Record<string, string>>;
  /** Chrome's words when it refuses the folder. */
  readonly refusal?: string;
  /** What installing it warns of. */
  readonly warning?: string;
}

const manifest = (name: string, more: object = {}): string =>
  JSON.stringify({ manifest_version: 3, name, version: '1.0', ...more });

const page = (script: string): string => `<!doctype html><meta charset="utf-8"><script src="${script}"></script>`;
const matchesEverywhere = { matches: ['http://127.0.0.1/*'] };

/** Extensions as people build them: each stands for many. */
export const extensionFixtures: Readonly<Record<string, ExtensionFixture>> = {
  'popup only': {
    files: {
      'manifest.json': manifest('Popup', { action: { default_popup: 'popup.html' } }),
      'popup.html': page('popup.js'),
      'popup.js': 'document.title = "popup";',
    },
  },
  'nothing but a style sheet': {
    files: {
      'manifest.json': manifest('Style', { content_scripts: [{ ...matchesEverywhere, css: ['a.css'] }] }),
      'a.css': 'body { color: red }',
    },
  },
  'side panel': {
    files: {
      'manifest.json': manifest('Panel', {
        permissions: ['sidePanel'],
        side_panel: { default_path: 'panel/panel.html' },
        background: { service_worker: 'worker.js' },
      }),
      'panel/panel.html': page('panel.js'),
      'panel/panel.js': 'chrome.runtime.sendMessage("panel");',
      'worker.js': 'chrome.sidePanel.setPanelBehavior({ openPanelOnActionClick: false });',
    },
  },
  'offscreen document': {
    files: {
      'manifest.json': manifest('Offscreen', {
        permissions: ['offscreen'],
        background: { service_worker: 'worker.js' },
      }),
      'worker.js':
        'chrome.offscreen.createDocument({ url: "off.html", reasons: ["DOM_PARSER"], justification: "test" });',
      'off.html': page('off.js'),
      'off.js': 'chrome.runtime.onMessage.addListener((m, s, reply) => { reply("off " + m); });',
    },
  },
  declarativeNetRequest: {
    files: {
      'manifest.json': manifest('Rules', {
        permissions: ['declarativeNetRequest'],
        declarative_net_request: { rule_resources: [{ id: 'r', enabled: true, path: 'rules.json' }] },
      }),
      'rules.json': JSON.stringify([
        { id: 1, priority: 1, action: { type: 'block' }, condition: { urlFilter: '||ads.example^' } },
      ]),
    },
  },
  'content scripts in both worlds': {
    files: {
      'manifest.json': manifest('Worlds', {
        content_scripts: [
          { ...matchesEverywhere, js: ['isolated.js'], run_at: 'document_start', all_frames: true },
          { ...matchesEverywhere, js: ['main.js'], world: 'MAIN' },
          { ...matchesEverywhere, js: ['isolated.js', 'late.js'], run_at: 'document_idle' },
        ],
      }),
      'isolated.js': 'globalThis.count = (globalThis.count ?? 0) + 1;',
      'main.js': 'window.fromMain = true;',
      'late.js': 'console.log("late", count);',
    },
  },
  'module worker with imports': {
    files: {
      'manifest.json': manifest('Modules', { background: { service_worker: 'src/worker.js', type: 'module' } }),
      'src/worker.js': 'import { answer } from "./lib/answer.js"; globalThis.answer = answer;',
      'src/lib/answer.js': 'export const answer = 42;',
    },
  },
  'devtools page': {
    files: {
      'manifest.json': manifest('Tools', { devtools_page: 'devtools.html' }),
      'devtools.html': page('devtools.js'),
      'devtools.js': 'chrome.devtools.panels.create("T", "", "panel.html");',
      'panel.html': '<p>panel',
    },
  },
  'options in a tab': {
    files: {
      'manifest.json': manifest('Options', {
        permissions: ['storage'],
        options_ui: { page: 'options.html#general', open_in_tab: true },
      }),
      'options.html': page('options.js'),
      'options.js': 'chrome.storage.sync.set({ seen: 1 });',
    },
  },
  'worker that throws at start': {
    files: {
      'manifest.json': manifest('Thrower', { background: { service_worker: 'worker.js' } }),
      'worker.js': 'throw new Error("planted");',
    },
  },
  'worker that never rests': {
    files: {
      'manifest.json': manifest('Busy', { background: { service_worker: 'worker.js' } }),
      'worker.js':
        'setInterval(() => { for (let i = 0; i < 3; i++) console.log("line", i, { i }); }, 5); chrome.runtime.onMessage.addListener(() => true);',
    },
  },
  'huge storage': {
    files: {
      'manifest.json': manifest('Hoarder', {
        permissions: ['storage', 'unlimitedStorage'],
        background: { service_worker: 'worker.js' },
      }),
      'worker.js':
        'const big = "x".repeat(1e6); (async () => { for (let i = 0; i < 30; i++) await chrome.storage.local.set({ ["key" + i]: big }); })();',
    },
  },
  'name in another script, from _locales': {
    files: {
      'manifest.json': manifest('__MSG_name__', {
        default_locale: 'ja',
        background: { service_worker: '働き手.js' },
        content_scripts: [{ ...matchesEverywhere, js: ['内容.js'] }],
      }),
      '_locales/ja/messages.json': JSON.stringify({ name: { message: 'メモ帳 “ノート” & <b>' } }),
      '働き手.js': 'console.log("こんにちは");',
      '内容.js': 'chrome.runtime.sendMessage("内容").catch(() => 0);',
    },
  },
  'native messaging to a host that is not installed': {
    files: {
      'manifest.json': manifest('Native', {
        permissions: ['nativeMessaging'],
        background: { service_worker: 'worker.js' },
      }),
      'worker.js':
        'chrome.runtime.connectNative("com.example.host").onDisconnect.addListener(() => console.error("native", chrome.runtime.lastError.message));',
    },
  },
  'user scripts, context menus and a command': {
    files: {
      'manifest.json': manifest('Menus', {
        permissions: ['userScripts', 'contextMenus'],
        host_permissions: ['http://127.0.0.1/*'],
        commands: { go: { suggested_key: { default: 'Ctrl+Shift+Y' }, description: 'Go' } },
        background: { service_worker: 'worker.js' },
      }),
      'worker.js':
        'chrome.runtime.onInstalled.addListener(() => chrome.contextMenus.create({ id: "m", title: "Menu" })); chrome.commands.onCommand.addListener(() => {}); chrome.userScripts.register([{ id: "u", matches: ["http://127.0.0.1/*"], js: [{ code: "0" }] }]);',
    },
    // Chrome gives the API only where a person has switched user scripts on.
    warning: 'its script threw while it started',
  },
  'embedded options and resources with changing addresses': {
    files: {
      'manifest.json': manifest('Embedded', {
        options_ui: { page: 'options.html', open_in_tab: false },
        web_accessible_resources: [
          { resources: ['frame.html'], matches: ['http://127.0.0.1/*'], use_dynamic_url: true },
        ],
        content_scripts: [{ ...matchesEverywhere, js: ['frame.js'] }],
      }),
      'options.html': page('options.js'),
      'options.js': 'document.title = "options";',
      'frame.html': '<p>framed',
      'frame.js':
        'document.body.append(Object.assign(document.createElement("iframe"), { src: chrome.runtime.getURL("frame.html") }));',
    },
  },
  'module worker whose late import fails': {
    files: {
      'manifest.json': manifest('Late', { background: { service_worker: 'worker.js', type: 'module' } }),
      'worker.js': 'const late = await import("./late.js"); late.go();',
      'late.js': 'export const go = () => {};',
    },
    warning: 'an await outside of functions',
  },
  'worker whose import fails in an event': {
    files: {
      'manifest.json': manifest('Lazy', { background: { service_worker: 'worker.js', type: 'module' } }),
      'worker.js':
        'chrome.runtime.onMessage.addListener((message, sender, reply) => { import("./late.js").then(reply); return true; }); import("./late.js");',
      'late.js': '',
    },
  },
  'alarms and managed storage': {
    files: {
      'manifest.json': manifest('Managed', {
        permissions: ['alarms', 'storage'],
        storage: { managed_schema: 'schema.json' },
        background: { service_worker: 'worker.js' },
      }),
      'schema.json': JSON.stringify({ type: 'object', properties: { server: { type: 'string' } } }),
      'worker.js':
        'chrome.alarms.create("tick", { periodInMinutes: 0.5 }); chrome.alarms.onAlarm.addListener(() => chrome.storage.managed.get());',
    },
  },
  'icon that is no picture': {
    files: {
      'manifest.json': manifest('Icon', { icons: { 48: 'icon.png' }, action: { default_icon: 'icon.png' } }),
      'icon.png': 'not a picture',
    },
  },
  'manifest that is no JSON': {
    files: { 'manifest.json': '{ "manifest_version": 3, "name": ' },
    refusal: 'Manifest',
  },
  'manifest of version 2': {
    files: { 'manifest.json': JSON.stringify({ manifest_version: 2, name: 'Two', version: '1' }) },
    refusal: 'manifest version',
  },
  'worker that is not there': {
    files: { 'manifest.json': manifest('Absent', { background: { service_worker: 'absent.js' } }) },
    refusal: 'background script',
  },
  'match pattern that is none': {
    files: {
      'manifest.json': manifest('Pattern', { content_scripts: [{ matches: ['example.com'], js: ['a.js'] }] }),
      'a.js': '',
    },
    refusal: 'content_scripts',
  },
};
