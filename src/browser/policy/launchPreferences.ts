import { randomUUID } from 'node:crypto';
import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { UrlRules } from './urlRules.js';

const opener = `?opener=${randomUUID()}`;

/**
 * Documents of Chrome's extensions page, which tools open hidden: the text of its script, and the page for a Chrome
 * without that file. Both have the page's APIs, but the text runs nothing, while the page takes half a second of processor
 * time and lists everything again after each change of an extension. The random query means nothing to Chrome: only these
 * addresses are allowed, and pages cannot guess them.
 */
export const extensionsPages = [`chrome://extensions/extensions.js${opener}`, `chrome://extensions/${opener}`] as const;

export const isExtensionsPage = (url: string): boolean => extensionsPages.some((page) => page === url);

const blockedEverywhere = [
  'chrome://*',
  'chrome-untrusted://*',
  'chrome-search://*',
  'view-source:*',
  'filesystem:*',
  'file://*',
];

/** Parts of Chrome's own user interface are such pages. `TargetGuard` keeps pages of sessions away from them. */
const browserUi = ['chrome://top-chrome', 'chrome://newtab-footer'];

/** Without a window nobody can answer, and a waiting tab accepts no clicks: what Chrome would ask for is refused. */
const refused = ['usb_guard', 'serial_guard', 'hid_guard', 'bluetooth_guard', 'notifications', 'idle_detection'];
const withoutChoices = {
  hardware: { screen_capture_enabled: false },
  profile: { default_content_setting_values: Object.fromEntries(refused.map((name) => [name, 2])) },
};

export interface LaunchRules {
  readonly headless: boolean;
  /** The folders whose files may be opened. */
  readonly folders: readonly string[];
  readonly rules?: UrlRules | undefined;
}

/**
 * Writes the preferences of a new profile, with the lists of the enterprise policies URLBlocklist and URLAllowlist,
 * which Chrome checks before every navigation of every frame. Without a window nobody can answer a prompt for a password,
 * for which a request would wait without an end: pages get the 401 instead, and `set_credentials` sends credentials.
 */
export async function writePreferences(profile: string, { headless, folders, rules }: LaunchRules): Promise<void> {
  const blocked = headless ? [...blockedEverywhere, 'devtools://*'] : blockedEverywhere;
  const files = await Promise.all(folders.map(filesBelow));
  const policy = { url_blocklist: blocked, url_allowlist: [...extensionsPages, ...browserUi, ...files.flat()] };
  await mkdir(join(profile, 'Default'), { recursive: true, mode: 0o700 });
  // Pages are not loaded in advance: such requests cannot be checked before they are sent.
  const net = rules?.hasPatterns === true ? { network_prediction_options: 2 } : {};
  const preferences = { policy, net, ...(headless && withoutChoices) };
  await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
  if (headless) await writeFile(join(profile, 'Local State'), JSON.stringify({ auth: { schemes: 'ntlm,negotiate' } }));
}

/** Chrome compares the requested address: with and without symbolic links resolved. */
async function filesBelow(folder: string): Promise<string[]> {
  const path = resolve(folder);
  const realPath = await realpath(path).catch(() => path);
  return [...new Set([path, realPath])].map(patternOf);
}

/** Chrome decodes the path of a pattern once, but not the path of the address. */
function patternOf(folder: string): string {
  const { pathname } = pathToFileURL(join(folder, '/'));
  return `file://${pathname.replaceAll('%', '%25')}`;
}
