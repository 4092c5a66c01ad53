import { randomUUID } from 'node:crypto';
import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Chrome's extensions page, which tools open hidden. The random query means nothing to Chrome: only this address is
 * allowed, and pages cannot guess it.
 */
export const extensionsPage = `chrome://extensions/?opener=${randomUUID()}`;

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

export interface LaunchRules {
  readonly headless: boolean;
  /** The folders whose files may be opened. */
  readonly folders: readonly string[];
}

/**
 * Writes the preferences of a new profile, with the lists of the enterprise policies URLBlocklist and URLAllowlist,
 * which Chrome checks before every navigation of every frame. Without a window nobody can answer a prompt for a password,
 * for which a request would wait without an end: pages get the 401 instead, and `set_credentials` sends credentials.
 */
export async function writePreferences(profile: string, { headless, folders }: LaunchRules): Promise<void> {
  const blocked = headless ? [...blockedEverywhere, 'devtools://*'] : blockedEverywhere;
  const files = await Promise.all(folders.map(filesBelow));
  const policy = { url_blocklist: blocked, url_allowlist: [extensionsPage, ...browserUi, ...files.flat()] };
  await mkdir(join(profile, 'Default'), { recursive: true, mode: 0o700 });
  await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify({ policy }));
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
