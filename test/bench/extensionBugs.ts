import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { AppFiles } from '../support/bundleApp.js';
import type { Call } from './browserPeers.js';

/** A bug that is planted in an extension. */
export interface ExtensionBug {
  readonly name: string;
  readonly manifest: object;
  readonly files: AppFiles;
  /** The text of the line at which it is. */
  readonly file: string;
  readonly line: string;
  /** `FOLDER`, `EXTENSION` and `SITE` stand for its folder, the id that the installation answers, and a page's address. */
  readonly calls: readonly Call[];
}

const call = (name: string, args: Record<string, unknown> = {}): Call => ({ name, arguments: args });
const of = (name: string, args: Record<string, unknown> = {}): Call =>
  call(name, { extensionId: 'EXTENSION', ...args });
const install = call('install_extension', { path: 'FOLDER' });
const open = call('new_page', { url: 'SITE' });
const message = (type: string): Call => of('send_extension_message', { message: { type }, timeoutMs: 1_000 });

const worker = (more: object = {}): object => ({ background: { service_worker: 'worker.js' }, ...more });
const onSite = (more: object = {}): object => ({
  content_scripts: [{ matches: ['<all_urls>'], js: ['content.js'], ...more }],
});

export const extensionBugs: readonly ExtensionBug[] = [
  {
    name: 'shortcut without its handler',
    manifest: worker({
      commands: { 'toggle-notes': { description: 'Toggle', suggested_key: { default: 'Ctrl+Shift+Y' } } },
    }),
    files: {
      'worker.js': `const handlers = { toggle_notes: () => console.log('toggled') };
chrome.commands.onCommand.addListener((command) => {
  handlers[command]();
});
`,
    },
    ...{ file: 'worker.js', line: 'handlers[command]()' },
    calls: [install, of('fire_extension_event', { event: 'commands.onCommand', subject: 'toggle-notes' })],
  },
  {
    name: 'alarm that finds no settings',
    manifest: worker({ permissions: ['alarms', 'storage'] }),
    files: {
      'worker.js': `chrome.alarms.create('sync', { periodInMinutes: 30 });
chrome.alarms.onAlarm.addListener(async () => {
  const { settings } = await chrome.storage.local.get('settings');
  await chrome.storage.local.set({ synced: settings.account.id });
});
`,
    },
    ...{ file: 'worker.js', line: 'settings.account' },
    calls: [install, of('fire_extension_event', { event: 'alarms.onAlarm', subject: 'sync' })],
  },
  {
    name: 'update that breaks old data',
    manifest: worker({ permissions: ['storage'] }),
    files: {
      'worker.js': `const migrations = { 2: (notes) => notes.map((text) => ({ text })) };
chrome.runtime.onInstalled.addListener(async ({ reason, previousVersion }) => {
  if (reason !== 'update') return;
  const { notes } = await chrome.storage.local.get('notes');
  const migrated = migrations[Number(previousVersion) + 1](notes);
  await chrome.storage.local.set({ notes: migrated });
});
`,
    },
    ...{ file: 'worker.js', line: 'notes.map' },
    calls: [install, of('fire_extension_event', { event: 'runtime.onInstalled', subject: '1.0' })],
  },
  {
    name: 'optional permission that is refused',
    manifest: worker({ optional_permissions: ['bookmarks'] }),
    files: {
      'worker.js': `chrome.runtime.onMessage.addListener((message, sender, reply) => {
  chrome.permissions.request({ permissions: ['bookmarks'] }, () => {
    chrome.bookmarks.getTree((tree) => reply(tree.length));
  });
  return true;
});
`,
    },
    ...{ file: 'worker.js', line: 'chrome.bookmarks' },
    calls: [
      install,
      of('set_extension_permissions', { prompts: 'refuse' }),
      message('count'),
      of('get_extension_runtime_errors'),
    ],
  },
  {
    name: 'request that a rule blocks',
    manifest: {
      permissions: ['declarativeNetRequest'],
      host_permissions: ['<all_urls>'],
      declarative_net_request: { rule_resources: [{ id: 'ads', enabled: true, path: 'rules/ads.json' }] },
    },
    files: {
      'rules/ads.json': `[
  { "id": 1, "action": { "type": "block" }, "condition": { "urlFilter": "/banner/" } },
  { "id": 2, "action": { "type": "block" }, "condition": { "urlFilter": "/ad", "resourceTypes": ["xmlhttprequest"] } }
]
`,
    },
    ...{ file: 'rules/ads.json', line: '"id": 2' },
    calls: [install, of('list_request_rules', { url: 'https://shop.example/address', type: 'xmlhttprequest' })],
  },
  {
    name: 'rule that Chrome leaves out',
    manifest: {
      permissions: ['declarativeNetRequest'],
      declarative_net_request: { rule_resources: [{ id: 'ads', enabled: true, path: 'rules.json' }] },
    },
    files: {
      'rules.json': `[
  { "id": 1, "action": { "type": "block" }, "condition": { "urlFilter": "||ads.example" } },
  { "id": 2, "action": { "type": "block" }, "condition": { "resourceTypes": ["xhr"] } }
]
`,
    },
    ...{ file: 'rules.json', line: '"xhr"' },
    calls: [install],
  },
  {
    name: 'variable that sleep loses',
    manifest: worker(),
    files: {
      'worker.js': `let tokens = [];
chrome.runtime.onMessage.addListener((message, sender, reply) => {
  if (message.type === 'sign-in') tokens.push('token');
  reply(tokens.length);
});
`,
    },
    ...{ file: 'worker.js', line: 'let tokens' },
    calls: [install, of('check_worker_sleep', { steps: ['{"type":"sign-in"}', '{"type":"count"}'] })],
  },
  {
    name: 'old content script after a reload',
    manifest: { ...worker(), ...onSite() },
    files: {
      'worker.js': 'chrome.runtime.onMessage.addListener((message, sender, reply) => reply(1));\n',
      'content.js': `setInterval(() => {
  const title = document.title;
  chrome.runtime.sendMessage({ title });
}, 50);
`,
    },
    ...{ file: 'content.js', line: 'sendMessage' },
    calls: [install, open, of('reload_extension'), of('get_extension_runtime_errors')],
  },
  {
    name: 'worker whose import is missing',
    manifest: { background: { service_worker: 'worker.js', type: 'module' } },
    files: {
      'worker.js': "import './lib/log.js';\nimport { open } from './lib/store';\nopen();\n",
      'lib/log.js': '',
      'lib/store.js': 'export const open = () => 1;\n',
    },
    ...{ file: 'worker.js', line: './lib/store' },
    calls: [install],
  },
  {
    name: 'listener that is added late',
    manifest: worker({ permissions: ['storage', 'alarms'] }),
    files: {
      'worker.js': `async function start() {
  const { every = 5 } = await chrome.storage.local.get('every');
  chrome.alarms.create('tick', { periodInMinutes: every });
  chrome.alarms.onAlarm.addListener(() => console.log('tick'));
}
start();
`,
    },
    ...{ file: 'worker.js', line: 'onAlarm.addListener' },
    calls: [install, of('inspect_extension_manifest')],
  },
  {
    name: 'offscreen document that throws',
    manifest: worker({ permissions: ['offscreen'] }),
    files: {
      'worker.js': `chrome.runtime.onMessage.addListener(() => {
  chrome.offscreen.createDocument({ url: 'offscreen.html', reasons: ['DOM_PARSER'], justification: 'parse' });
});
`,
      'offscreen.html': '<script src="offscreen.js"></script>\n',
      'offscreen.js':
        "const parser = new DOMParser();\nconst page = parser.parseFromString('', 'text/html');\nconsole.log(page.querySelector('h1').textContent);\n",
    },
    ...{ file: 'offscreen.js', line: "querySelector('h1')" },
    calls: [install, message('parse'), of('get_extension_runtime_errors')],
  },
  {
    name: 'API that content scripts lack',
    manifest: { permissions: ['tabs'], ...onSite({ all_frames: true }) },
    files: {
      'content.js': `document.documentElement.dataset.notes = 'on';
chrome.tabs.query({ active: true }, ([tab]) => console.log(tab.url));
`,
    },
    ...{ file: 'content.js', line: 'chrome.tabs' },
    calls: [install, open, of('get_extension_runtime_errors')],
  },
  {
    name: 'popup that reads a missing element',
    manifest: { action: { default_popup: 'popup.html' } },
    files: {
      'popup.html': '<p id="state"></p><script src="popup.js"></script>\n',
      'popup.js': "const state = document.querySelector('#status');\nstate.textContent = 'ready';\n",
    },
    ...{ file: 'popup.js', line: 'state.textContent' },
    calls: [install, of('open_extension_popup'), of('get_extension_runtime_errors')],
  },
  {
    name: 'answer that comes too late',
    manifest: worker({ permissions: ['storage'] }),
    files: {
      'worker.js': `chrome.runtime.onMessage.addListener((message, sender, reply) => {
  chrome.storage.local.get('notes').then(({ notes }) => reply(notes));
});
`,
    },
    ...{ file: 'worker.js', line: 'onMessage.addListener' },
    calls: [install, message('notes'), of('get_extension_flow'), of('inspect_extension_manifest')],
  },
];

/** Writes the extension of a bug to a folder, which the caller removes. */
export async function writeBug({ name, manifest, files }: ExtensionBug): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'greenroom-bug-'));
  const whole = JSON.stringify({ manifest_version: 3, name, version: '2.0', ...manifest }, undefined, 2);
  for (const [path, text] of Object.entries({ 'manifest.json': whole, ...files })) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
  return folder;
}
