import { compileGlob } from '../../patterns/urlPattern.js';
import { isJsonObject, objectAt, objectsIn, stringsIn, type ManifestJson } from '../manifest.js';
import { parsePattern } from '../matchPattern.js';
import { commandFindings } from './commandRules.js';
import { atKey, type Audited, type Findings } from './findings.js';
import { keyNameFindings, listFindings } from './manifestKeys.js';

/** What Chrome refuses or ignores in a manifest, apart from files and permissions. */
export function* manifestFindings(audited: Audited): Findings {
  yield* identityFindings(audited);
  yield* backgroundFindings(audited);
  yield* policyFindings(audited);
  yield* patternFindings(audited);
  yield* keyNameFindings(audited);
  yield* listFindings(audited);
  yield* resourceFindings(audited);
  yield* commandFindings(audited);
  yield* contentScriptFindings(audited);
}

function* identityFindings(audited: Audited): Findings {
  const { json } = audited;
  const { manifest_version: manifestVersion, name, description } = json;
  if (manifestVersion !== 3) {
    const said = manifestVersion === undefined ? 'is missing' : `is ${JSON.stringify(manifestVersion)}`;
    const problem = `manifest_version ${said}; Chrome runs only 3.`;
    yield atKey(audited, 'manifest_version', [
      'refused',
      problem,
      'Set "manifest_version": 3 and mend what follows from it.',
    ]);
  }
  if (typeof name !== 'string' || name === '')
    yield atKey(audited, 'name', ['refused', 'name is missing.', 'Add "name", with at most 75 characters.']);
  yield* tooLong(audited, 'name', [name, 75]);
  yield* tooLong(audited, 'description', [description, 132]);
  yield* versionFindings(audited);
  for (const key of ['browser_action', 'page_action'].filter((old) => old in json)) {
    const fix = 'action' in json ? `Remove ${key}.` : `Rename ${key} to "action".`;
    yield atKey(audited, key, ['breaks', `${key} is of Manifest V2, and Chrome ignores it.`, fix]);
  }
  yield* keyFindings(audited);
  if ('incognito' in json) yield* oneOf(audited, 'incognito', json['incognito'], ['spanning', 'split', 'not_allowed']);
  const overrides = Object.keys(objectAt(json, 'chrome_url_overrides'));
  if (overrides.length > 1) {
    const problem = `It overrides ${overrides.join(' and ')}, and Chrome takes one page.`;
    yield atKey(audited, 'chrome_url_overrides', ['refused', problem, 'Keep one of them.']);
  }
}

function* tooLong(audited: Audited, key: string, [text, most]: readonly [unknown, number]): Findings {
  if (typeof text !== 'string' || text.length <= most || text.startsWith('__MSG_')) return;
  const problem = `${key} has ${text.length} characters, and the Web Store takes ${most}.`;
  yield atKey(audited, key, ['refused', problem, 'Shorten it.']);
}

const isVersion = (text: unknown): boolean =>
  typeof text === 'string' &&
  /^\d+(?:\.\d+){0,3}$/.test(text) &&
  text.split('.').every((part) => Number(part) <= 65_536);

function* versionFindings(audited: Audited): Findings {
  const { version, minimum_chrome_version: minimum } = audited.json;
  if (!isVersion(version)) {
    const problem = `version is ${version === undefined ? 'missing' : JSON.stringify(version)}.`;
    const fix = 'Write one to four whole numbers up to 65535 with dots between, as "1.2.3".';
    yield atKey(audited, 'version', ['refused', problem, fix]);
  }
  if (minimum === undefined || isVersion(minimum)) return;
  const problem = `minimum_chrome_version is ${JSON.stringify(minimum)}.`;
  yield atKey(audited, 'minimum_chrome_version', ['refused', problem, 'Write a version in quotes, as "120".']);
}

/** A public key begins with the name of its algorithm, a private one with a version number. */
function* keyFindings(audited: Audited): Findings {
  const { key } = audited.json;
  if (key === undefined) return;
  const bare = typeof key === 'string' ? key.replace(/-----[A-Z ]{1,40}-----/g, '').replace(/\s+/g, '') : '';
  if (typeof key !== 'string' || bare === '' || /[^\w+/=-]/.test(bare)) {
    yield atKey(audited, 'key', ['refused', 'key is not base64.', 'Put the public key here, or remove "key".']);
    return;
  }
  const bytes = Buffer.from(bare, 'base64');
  const contents = bytes[0] === 0x30 ? contentsOf(bytes) : undefined;
  if (
    key.includes('PRIVATE KEY') ||
    (contents !== undefined && bytes[contents] === 0x02 && bytes[contents + 2] === 0)
  ) {
    const problem = 'key is a private key: whoever has the extension can sign in its name.';
    yield atKey(audited, 'key', [
      'refused',
      problem,
      'Put the public key here (openssl rsa -in key.pem -pubout -outform DER | base64 -w0), and make a new pair.',
    ]);
  }
}

/** Where the contents of a DER sequence begin. */
function contentsOf(bytes: Buffer): number {
  const length = bytes[1] ?? 0;
  return length < 0x80 ? 2 : 2 + (length & 0x7f);
}

function* backgroundFindings(audited: Audited): Findings {
  const background = objectAt(audited.json, 'background');
  const { type, service_worker: worker } = background;
  for (const key of ['scripts', 'page', 'persistent'].filter((old) => old in background)) {
    // Beside a worker, the others are for another browser.
    const [severity, fix] =
      typeof worker === 'string'
        ? (['advice', `Remove ${key}, unless another browser needs it.`] as const)
        : ([
            'breaks',
            'Use "background": { "service_worker": "worker.js" }, with "type": "module" if it imports.',
          ] as const);
    yield atKey(audited, `background.${key}`, [
      severity,
      `background.${key} is of Manifest V2, and Chrome ignores it.`,
      fix,
    ]);
  }
  if (type !== undefined && type !== 'module' && type !== 'classic')
    yield atKey(audited, 'background.type', [
      'refused',
      `background.type is ${JSON.stringify(type)}.`,
      'Use "module", or leave it out.',
    ]);
}

/** What the policy of extension pages may allow scripts from. */
const allowedSources =
  /^('self'|'none'|'wasm-unsafe-eval'|'inline-speculation-rules'|https?:\/\/(localhost|127\.0\.0\.1)(:[\d*]+)?)$/i;
const policyKeys = ['extension_pages', 'sandbox', 'isolated_world'];
const guardedDirectives = new Set(['script-src', 'object-src', 'worker-src']);

function* policyFindings(audited: Audited): Findings {
  const at = 'content_security_policy';
  const policy = audited.json[at];
  if (policy === undefined) return;
  if (!isJsonObject(policy)) {
    yield atKey(audited, at, [
      'refused',
      'It is no object, as in Manifest V2.',
      `Write "${at}": { "extension_pages": "script-src 'self'" }.`,
    ]);
    return;
  }
  const { extension_pages: pages, sandbox } = policy;
  if (
    typeof sandbox === 'string' &&
    (!/(?:^|;)\s*sandbox\b/i.test(sandbox) || /\ballow-same-origin\b|\ballow-top-navigation\b/i.test(sandbox))
  )
    yield atKey(audited, `${at}.sandbox`, [
      'refused',
      'The policy of sandboxed pages needs the directive sandbox, without allow-same-origin.',
      'Begin it with "sandbox allow-scripts; ".',
    ]);
  for (const other of Object.keys(policy).filter((name) => !policyKeys.includes(name)))
    yield atKey(audited, `${at}.${other}`, [
      'breaks',
      `Chrome does not know "${other}" here, and the policy does not hold.`,
      `Use ${policyKeys.join(' or ')}.`,
    ]);
  if (typeof pages !== 'string') return;
  const key = `${at}.extension_pages`;
  const directives = pages.split(';').map((directive) => directive.trim().split(/\s+/));
  const scripts = directives.filter(([name = '']) => name.toLowerCase() === 'script-src');
  const fallback = directives.filter(([name = '']) => name.toLowerCase() === 'default-src');
  if (scripts.length === 0 && fallback.length === 0)
    yield atKey(audited, key, ['refused', 'It has neither script-src nor default-src.', "Add script-src 'self'."]);
  const judged = [
    ...directives.filter(([name = '']) => guardedDirectives.has(name.toLowerCase())),
    ...(scripts.length === 0 ? fallback : []),
  ];
  for (const [name = '', ...sources] of judged) {
    for (const source of sources.filter((each) => !allowedSources.test(each))) {
      const problem = `${name} allows ${source}, which Chrome refuses for extension pages.`;
      yield atKey(audited, key, [
        'refused',
        problem,
        `Remove ${source}: put the code into files of the extension, and what needs eval into a page of the key "sandbox".`,
      ]);
    }
  }
}

/** Every list of match patterns, by its key. */
function patternLists(json: ManifestJson): { key: string; patterns: unknown; isRequired: boolean }[] {
  const lists = [
    { key: 'host_permissions', patterns: json['host_permissions'], isRequired: false },
    { key: 'optional_host_permissions', patterns: json['optional_host_permissions'], isRequired: false },
    {
      key: 'externally_connectable.matches',
      patterns: objectAt(json, 'externally_connectable')['matches'],
      isRequired: true,
    },
  ];
  for (const [list, keys] of [
    ['content_scripts', ['matches', 'exclude_matches']],
    ['web_accessible_resources', ['matches']],
  ] as const) {
    objectsIn(json[list]).forEach((entry, index) => {
      for (const key of keys) lists.push({ key: `${list}[${index}].${key}`, patterns: entry[key], isRequired: true });
    });
  }
  return lists;
}

function* patternFindings(audited: Audited): Findings {
  for (const { key, patterns, isRequired } of patternLists(audited.json)) {
    let isWideTold = false;
    for (const [index, text] of stringsIn(patterns).entries()) {
      const pattern = parsePattern(text);
      const at = `${key}[${index}]`;
      if (typeof pattern === 'string') {
        const problem = `"${text}" is no match pattern: ${pattern}.`;
        const fix = 'A pattern is <scheme>://<host>/<path>, as https://*.example.com/*.';
        yield atKey(audited, at, [isRequired ? 'refused' : 'breaks', problem, fix]);
      } else if (pattern.everyHost && !isWideTold) {
        isWideTold = true;
        yield* wideFinding(audited, key, { at, text });
      }
    }
  }
  const ids = stringsIn(objectAt(audited.json, 'externally_connectable')['ids']);
  for (const [index, id] of ids.entries()) {
    if (id === '*' || /^[a-p]{32}$/.test(id)) continue;
    const problem = `"${id}" is no id of an extension.`;
    yield atKey(audited, `externally_connectable.ids[${index}]`, [
      'refused',
      problem,
      'An id has 32 letters from a to p.',
    ]);
  }
  if (ids.includes('*')) {
    const problem = '"*" lets every extension send messages to this one.';
    yield atKey(audited, 'externally_connectable.ids', ['advice', problem, 'Name the extensions that talk to it.']);
  }
}

/** Once for each list. */
function* wideFinding(audited: Audited, key: string, { at, text }: { at: string; text: string }): Findings {
  if (key === 'host_permissions' || (key.startsWith('content_scripts') && key.endsWith('].matches'))) {
    const problem = `"${text}" takes in every site: users are warned, and review takes longer.`;
    const fix = 'Name the hosts that are needed, or use "activeTab" with chrome.scripting.';
    yield atKey(audited, at, ['advice', problem, fix]);
  } else if (key.startsWith('externally_connectable')) {
    const problem = `"${text}" lets every site send messages to the extension.`;
    yield atKey(audited, at, ['advice', problem, 'Name the sites that talk to it, and check the sender.']);
  }
}

/** Globs with stars that are tried on every file. */
const maxGlobs = 1_000;

function* resourceFindings(audited: Audited): Findings {
  const at = 'web_accessible_resources';
  const listed = audited.json[at];
  if (stringsIn(listed).length > 0) {
    const fix = `Write [{ "resources": [${stringsIn(listed)
      .slice(0, 3)
      .map((each) => JSON.stringify(each))
      .join(', ')}], "matches": ["https://the.site/*"] }].`;
    yield atKey(audited, at, ['refused', 'It lists texts, as in Manifest V2.', fix]);
  }
  for (const [index, entry] of objectsIn(listed).entries()) {
    const key = `${at}[${index}]`;
    const resources = stringsIn(entry['resources']);
    if (!('resources' in entry))
      yield atKey(audited, key, ['refused', 'It has no resources.', 'Add "resources", the list of files.']);
    if (!['matches', 'extension_ids', 'use_dynamic_url'].some((other) => other in entry))
      yield atKey(audited, key, [
        'refused',
        'It has neither matches nor extension_ids.',
        'Add "matches": ["https://the.site/*"].',
      ]);
    const patterns = stringsIn(entry['matches']).map((text) => ({ text, pattern: parsePattern(text) }));
    for (const { text, pattern } of patterns) {
      if (typeof pattern === 'string' || text === '<all_urls>' || /^[^:]+:\/\/[^/]*\/\*$/.test(text)) continue;
      yield atKey(audited, `${key}.matches`, [
        'refused',
        `"${text}" has a path, which Chrome refuses here.`,
        'End it with /* after the host.',
      ]);
    }
    const isOpen = patterns.some(({ pattern }) => typeof pattern !== 'string' && pattern.everyHost);
    const isForAll = stringsIn(entry['extension_ids']).includes('*');
    const who = isOpen ? 'site' : 'extension';
    if ((isOpen || isForAll) && entry['use_dynamic_url'] !== true)
      yield* wideResources(audited, key, { who, resources });
    yield* namelessResources(audited, key, resources);
  }
}

/** Every file, or all pages or scripts. */
function* wideResources(
  audited: Audited,
  key: string,
  { who, resources }: { readonly who: string; readonly resources: readonly string[] },
): Findings {
  const wide = resources.map((resource) => resource.replace(/^\/+/, ''));
  const all = wide.find((resource) => /^\*+(?:\/\*+)?$/.test(resource));
  const kind = all ?? wide.find((resource) => /^\*+(?:\/\*+)?\.(?:html?|m?js)$/i.test(resource));
  if (kind === undefined) return;
  const files = all === undefined ? `file that fits "${kind}"` : 'file of the extension';
  const problem = `Every ${who} may load every ${files}, and so recognise its users.`;
  yield atKey(audited, key, ['advice', problem, `List the files and the ${who}s that need them.`]);
}

function* namelessResources({ manifest, paths }: Audited, key: string, resources: readonly string[]): Findings {
  const globs = resources.filter((resource) => resource.includes('*'));
  const looked = new Set([...globs.slice(0, maxGlobs), ...resources.filter((resource) => !resource.includes('*'))]);
  if (globs.length > maxGlobs)
    yield atKey({ manifest }, key, [
      'advice',
      `It has ${globs.length} entries with *, of which the first ${maxGlobs} were looked at.`,
      'Use fewer and wider ones.',
    ]);
  for (const resource of looked) {
    const path = resource.replace(/^\/+/, '');
    if (paths.has(path) || path.startsWith('_favicon') || (path.includes('*') && anyFits(paths, path))) continue;
    const fix = 'Mend the path, which begins at the folder of the extension, or remove it.';
    yield atKey({ manifest }, `${key}.resources`, ['advice', `No file is called "${resource}".`, fix]);
  }
}

function anyFits(paths: ReadonlySet<string>, glob: string): boolean {
  const fits = compileGlob(glob);
  for (const path of paths) if (fits(path)) return true;
  return false;
}

function* contentScriptFindings(audited: Audited): Findings {
  for (const [index, script] of objectsIn(audited.json['content_scripts']).entries()) {
    const key = `content_scripts[${index}]`;
    if (stringsIn(script['matches']).length === 0)
      yield atKey(audited, key, ['refused', 'It has no matches.', 'Add "matches": ["https://the.site/*"].']);
    if (stringsIn(script['js']).length + stringsIn(script['css']).length === 0)
      yield atKey(audited, key, ['refused', 'It names neither js nor css.', 'Add "js": ["script.js"].']);
    yield* oneOf(audited, `${key}.run_at`, script['run_at'], ['document_start', 'document_end', 'document_idle']);
    yield* oneOf(audited, `${key}.world`, script['world'], ['ISOLATED', 'MAIN']);
    const paths = stringsIn(script['matches']).filter(
      (text) => text !== '<all_urls>' && !/^[^:]+:\/\/[^/]*\/\*$/.test(text),
    );
    if (script['match_origin_as_fallback'] === true && paths.length > 0)
      yield atKey(audited, `${key}.matches`, [
        'refused',
        `With match_origin_as_fallback "${paths[0] ?? ''}" may have no path.`,
        'End it with /* after the host.',
      ]);
    if (script['type'] === 'module')
      yield atKey(audited, `${key}.type`, [
        'breaks',
        'Content scripts are never modules: Chrome ignores "type".',
        'Bundle it, or load the module with import(chrome.runtime.getURL(…)).',
      ]);
  }
}

function* oneOf(audited: Audited, key: string, value: unknown, allowed: readonly string[]): Findings {
  if (value === undefined || (typeof value === 'string' && allowed.includes(value))) return;
  yield atKey(audited, key, ['refused', `It is ${JSON.stringify(value)}.`, `Use ${allowed.join(' or ')}.`]);
}
