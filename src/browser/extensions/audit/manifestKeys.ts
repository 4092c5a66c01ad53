import { objectsIn } from '../manifest.js';
import { atKey, type Audited, type Findings } from './findings.js';

/** Keys whose names people miss by a letter or two. */
const knownKeys = [
  ...['action', 'background', 'chrome_url_overrides', 'commands', 'content_scripts', 'content_security_policy'],
  ...['declarative_net_request', 'default_locale', 'description', 'devtools_page', 'externally_connectable'],
  ...['host_permissions', 'icons', 'incognito', 'minimum_chrome_version', 'options_page', 'options_ui'],
  ...['optional_host_permissions', 'optional_permissions', 'permissions', 'sandbox', 'side_panel', 'storage'],
  ...['web_accessible_resources', 'manifest_version', 'version', 'name', 'omnibox', 'oauth2'],
];

/** Those that may be near another one. */
const furtherKeys = [
  ...['author', 'automation', 'key', 'export', 'import', 'requirements', 'short_name', 'theme', 'user_scripts'],
  ...['version_name', 'options', 'platforms', 'sockets', 'file_handlers', 'tts_engine', 'update_url'],
];

/** Keys that Chrome does not know, and that are meant to be others. */
export function* keyNameFindings(audited: Audited): Findings {
  for (const key of Object.keys(audited.json)) {
    if (knownKeys.includes(key) || furtherKeys.includes(key)) continue;
    const meant = knownKeys.find((known) => isNear(bareKey(key), bareKey(known)));
    if (meant === undefined || meant in audited.json) continue;
    const problem = `Chrome does not know the key "${key}", and ignores it.`;
    yield atKey(audited, key, ['breaks', problem, `Write it "${meant}".`]);
  }
}

/** Without what is easily got wrong: capitals, underscores, and the s of a plural. */
const bareKey = (key: string): string => key.toLowerCase().replaceAll(/[-_]/g, '').replace(/s$/, '');

/** Whether one letter more, less or other, or two that are swapped, make the other; in longer ones, two of these. */
function isNear(one: string, other: string): boolean {
  const most = Math.min(one.length, other.length) < 5 ? 0 : other.length < 9 ? 1 : 2;
  if (Math.abs(one.length - other.length) > most) return false;
  return distance(one, other) <= most;
}

/** The number of such changes (Damerau and Levenshtein, of adjacent letters). */
function distance(one: string, other: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: other.length + 1 }, (_, at) => at)];
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const isSame = one[i - 1] === other[j - 1];
      const steps = [(row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + (isSame ? 0 : 1)];
      const isSwapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1];
      if (isSwapped) steps.push((before[j - 2] ?? 0) + 1);
      next[j] = Math.min(...steps);
    }
    [before, row] = [row, next];
  }
  return row[other.length] ?? 0;
}

/** Keys whose values Chrome takes as lists alone. In those with a dot, of each entry of the first. */
const lists = [
  ...['permissions', 'optional_permissions', 'host_permissions', 'optional_host_permissions', 'content_scripts'],
  ...['web_accessible_resources', 'content_scripts.matches', 'content_scripts.js', 'content_scripts.css'],
  ...['content_scripts.exclude_matches', 'content_scripts.include_globs', 'content_scripts.exclude_globs'],
  ...[
    'web_accessible_resources.resources',
    'web_accessible_resources.matches',
    'web_accessible_resources.extension_ids',
  ],
];

/** Values that Chrome refuses since they are no lists. */
export function* listFindings(audited: Audited): Findings {
  for (const path of lists) {
    const [key = '', inner] = path.split('.');
    const value = audited.json[key];
    const places: [string, unknown][] =
      inner === undefined
        ? [[key, value]]
        : objectsIn(value).map((entry, index) => [`${key}[${index}].${inner}`, entry[inner]]);
    for (const [at, given] of places)
      if (given !== undefined && !Array.isArray(given))
        yield atKey(audited, at, ['refused', 'It is no list.', `Write ${JSON.stringify([given])}.`]);
  }
}
