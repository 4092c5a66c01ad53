import { randomUUID } from 'node:crypto';
import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Chrome's own page about extensions, as tools open it, hidden. The query has no meaning to Chrome: nobody else knows
 * this address, so it alone can be let through.
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

/** What Chrome draws around pages is made of such pages too. No page of a session gets there: see `TargetGuard`. */
const browserUi = ['chrome://top-chrome', 'chrome://newtab-footer'];

export interface LaunchRules {
  readonly headless: boolean;
  /** Whose files may be opened. */
  readonly folders: readonly string[];
}

/**
 * Writes the preferences of a new profile. They hold the lists that the enterprise policies URLBlocklist and URLAllowlist
 * set, which Chrome checks before any navigation of any frame, whoever begins it.
 */
export async function writePreferences(profile: string, { headless, folders }: LaunchRules): Promise<void> {
  const blocked = headless ? [...blockedEverywhere, 'devtools://*'] : blockedEverywhere;
  const files = await Promise.all(folders.map(filesBelow));
  const policy = { url_blocklist: blocked, url_allowlist: [extensionsPage, ...browserUi, ...files.flat()] };
  await mkdir(join(profile, 'Default'), { recursive: true, mode: 0o700 });
  await writeFile(join(profile, 'Default', 'Preferences'), JSON.stringify({ policy }));
}

/** Addresses are compared as they are asked for: with and without the symbolic links on the way. */
async function filesBelow(folder: string): Promise<string[]> {
  const named = resolve(folder);
  const real = await realpath(named).catch(() => named);
  return [...new Set([named, real])].map(patternOf);
}

/** Chrome decodes the path of a pattern once, but not that of the address that it is compared with. */
function patternOf(folder: string): string {
  const { pathname } = pathToFileURL(join(folder, '/'));
  return `file://${pathname.replaceAll('%', '%25')}`;
}
