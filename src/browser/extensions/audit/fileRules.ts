import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../../errors/errors.js';
import { parseChromeJson } from '../chromeJson.js';
import { localPath } from '../extensionFiles.js';
import { isJsonObject, objectAt, objectsIn, stringsIn } from '../manifest.js';
import { atKey, placeAt, type Audited, type Finding, type Findings, type Severity } from './findings.js';
import { messageNames } from './callRules.js';
import type { LoadedCode, MissingFile } from './loadedCode.js';
import { ruleFindings } from './ruleFileRules.js';

/** Reads a file of the extension as text; undefined if it is not there. */
type ReadText = (path: string) => string | undefined;

/** Files that the manifest names, icons and translations. */
export function* fileFindings(audited: Audited, code: LoadedCode): Findings {
  yield* namedFileFindings(audited);
  yield* iconFindings(audited, code.files.folder);
  yield* reservedNames(audited);
  yield* localeFindings(audited, (path) => code.read(path));
  yield* ruleFindings(audited, (path) => code.read(path));
}

interface NamedFile {
  readonly key: string;
  readonly path: unknown;
  /** What Chrome does when it is not there. */
  readonly severity: Severity;
}

function namedFiles({ json }: Audited): NamedFile[] {
  const files: NamedFile[] = [
    { key: 'background.service_worker', path: objectAt(json, 'background')['service_worker'], severity: 'refused' },
    { key: 'action.default_popup', path: objectAt(json, 'action')['default_popup'], severity: 'breaks' },
    { key: 'options_page', path: json['options_page'], severity: 'refused' },
    { key: 'options_ui.page', path: objectAt(json, 'options_ui')['page'], severity: 'refused' },
    { key: 'side_panel.default_path', path: objectAt(json, 'side_panel')['default_path'], severity: 'refused' },
    { key: 'devtools_page', path: json['devtools_page'], severity: 'breaks' },
    { key: 'storage.managed_schema', path: objectAt(json, 'storage')['managed_schema'], severity: 'refused' },
  ];
  for (const [key, path] of Object.entries(objectAt(json, 'chrome_url_overrides')))
    files.push({ key: `chrome_url_overrides.${key}`, path, severity: 'refused' });
  stringsIn(objectAt(json, 'sandbox')['pages']).forEach((path, index) =>
    files.push({ key: `sandbox.pages[${index}]`, path, severity: 'breaks' }),
  );
  objectsIn(json['content_scripts']).forEach((script, index) => {
    for (const kind of ['js', 'css'])
      stringsIn(script[kind]).forEach((path, at) =>
        files.push({ key: `content_scripts[${index}].${kind}[${at}]`, path, severity: 'refused' }),
      );
  });
  objectsIn(objectAt(json, 'declarative_net_request')['rule_resources']).forEach(({ path }, index) =>
    files.push({ key: `declarative_net_request.rule_resources[${index}].path`, path, severity: 'refused' }),
  );
  for (const { key, path } of iconsOf(json)) files.push({ key, path, severity: 'refused' });
  for (const [name, path] of Object.entries(objectAt(objectAt(json, 'theme'), 'images')))
    files.push({ key: `theme.images.${name}`, path, severity: 'refused' });
  return files;
}

function* namedFileFindings(audited: Audited): Findings {
  for (const { key, path, severity } of namedFiles(audited)) {
    if (typeof path !== 'string' || path === '' || audited.paths.has(localPath(path))) continue;
    if (/^[a-z]+:\/\//i.test(path)) {
      const problem = `"${path}" is an address, and no file of the extension.`;
      yield atKey(audited, key, [severity, problem, 'Put the file into the extension, and write its path.']);
      continue;
    }
    const similar = [...audited.paths].find((known) => known.toLowerCase() === localPath(path).toLowerCase());
    const fix =
      similar === undefined
        ? 'Add it, or mend the path, which begins at the folder of the extension.'
        : `Write "${similar}": upper and lower case count.`;
    yield atKey(audited, key, [severity, `The file ${path} does not exist.`, fix]);
  }
}

function iconsOf(json: Audited['json']): { key: string; path: unknown; size: number }[] {
  const sets = [
    { key: 'icons', icons: json['icons'] },
    { key: 'action.default_icon', icons: objectAt(json, 'action')['default_icon'] },
  ];
  return sets.flatMap(({ key, icons }) => {
    if (typeof icons === 'string') return [{ key, path: icons, size: 0 }];
    if (!isJsonObject(icons)) return [];
    return Object.entries(icons).map(([size, path]) => ({ key: `${key}.${size}`, path, size: Number(size) }));
  });
}

/** Icons that are looked at. */
const maxIcons = 100;
/** The header of a PNG with its size. */
const pngBytes = 24;

function* iconFindings(audited: Audited, folder: string): Findings {
  const icons = iconsOf(audited.json);
  const drawings = new Set<string>();
  for (const { key, size } of icons.filter((icon) => !Number.isInteger(icon.size)))
    yield atKey(audited, key, [
      'refused',
      `"${key.slice(key.lastIndexOf('.') + 1)}" is no size${Number.isNaN(size) ? '' : ' in whole pixels'}.`,
      'Write the size in pixels, as "48".',
    ]);
  for (const { key, path, size } of icons.slice(0, maxIcons)) {
    if (typeof path !== 'string' || !audited.paths.has(localPath(path)) || drawings.has(path)) continue;
    if (/\.svg$/i.test(path)) drawings.add(path);
    const bytes = readFileSync(join(folder, localPath(path)));
    if (bytes.length === 0) yield atKey(audited, key, ['refused', `${path} is empty.`, 'Save it as PNG.']);
    else if (/\.svg$/i.test(path))
      yield atKey(audited, key, [
        'breaks',
        `${path} is SVG, which Chrome does not show as an icon.`,
        'Save it as PNG.',
      ]);
    else if (/\.png$/i.test(path)) yield* pngFinding(audited, { key, path, size }, bytes);
  }
  const sizes = icons.filter(({ key }) => key.startsWith('icons.')).map(({ size }) => size);
  if (!('theme' in audited.json) && !sizes.some((size) => size >= 128))
    yield atKey(audited, 'icons', [
      'advice',
      'There is no icon of 128 pixels, which the Web Store and the installation show.',
      'Add "icons": { "128": "icon128.png" }.',
    ]);
}

function* pngFinding(
  audited: Audited,
  { key, path, size }: { key: string; path: string; size: number },
  bytes: Buffer,
): Findings {
  if (bytes.length < pngBytes || bytes.toString('latin1', 1, 4) !== 'PNG') {
    // Chrome reads the picture by its contents.
    if (/^(?:\xFF\xD8|GIF8|RIFF|BM)/.test(bytes.toString('latin1', 0, 4))) return;
    yield atKey(audited, key, ['breaks', `${path} is no picture.`, 'Save it as PNG.']);
    return;
  }
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  if (!Number.isInteger(size) || size === 0 || (width === size && height === size)) return;
  const problem = `${path} has ${width} x ${height} pixels and is listed as ${size}.`;
  yield atKey(audited, key, ['advice', problem, `Make it ${size} x ${size}, or list it under its size.`]);
}

/** Chrome keeps names with an underscore to itself; private keys do not belong into an extension. */
function* reservedNames({ paths }: Audited): Findings {
  const told = new Set<string>();
  for (const path of paths) {
    const [top = ''] = path.split('/');
    const isChromes = path.startsWith('_metadata/generated_indexed_rulesets/');
    if (top.startsWith('_') && top !== '_locales' && !isChromes && !told.has(top)) {
      told.add(top);
      const problem = `Names that begin with _ are reserved: Chrome refuses the folder.`;
      yield { severity: 'refused', at: top, problem, fix: `Rename or remove ${top}.` };
    }
    if (/\.pem$/i.test(path)) {
      const problem = 'A key file is among the files, and would be published with them.';
      yield { severity: 'advice', at: path, problem, fix: 'Move it out of the folder.' };
    }
  }
}

const maxLocales = 100;

/** The keys of a manifest that Chrome translates; and of the others those that it uses. */
const translated =
  /^(?:name|short_name|description|omnibox\.keyword|action\.default_title|commands\..+\.description|(?:chrome_settings_overrides|file_browser_handlers|input_components|tts_engine)\b.*)$/;
const untranslated =
  /^(?:version_name|author|homepage_url|update_url|side_panel|options_page|options_ui|background|content_scripts|icons|devtools_page|chrome_url_overrides|web_accessible_resources|externally_connectable|storage)\b/;

const messagesIn = (text: string): string[] => [
  ...new Set(Array.from(text.matchAll(/__MSG_([\w@]+?)__/g), ([, name = '']) => name)),
];

/** The texts of a manifest with their keys. */
function textsIn(value: unknown, key: string): [key: string, text: string][] {
  if (typeof value === 'string') return [[key, value]];
  if (Array.isArray(value)) return value.flatMap((item, index) => textsIn(item, `${key}[${index}]`));
  if (!isJsonObject(value)) return [];
  return Object.entries(value).flatMap(([name, item]) => textsIn(item, key === '' ? name : `${key}.${name}`));
}

function* untranslatedKeys(audited: Audited, texts: readonly (readonly [key: string, text: string])[]): Findings {
  for (const [key, text] of texts.filter(([each]) => untranslated.test(each)))
    yield atKey(audited, key, [
      'breaks',
      `Chrome does not translate this key: ${JSON.stringify(text)} is taken as it stands.`,
      'Write the text itself.',
    ]);
}

const maxStyleSheets = 100;

/** Texts of style sheets that are not translated: Chrome then puts in none of that file. */
function* styleFindings(paths: ReadonlySet<string>, names: ReadonlySet<string>, read: ReadText): Findings {
  const sheets = [...paths].filter((path) => path.endsWith('.css') && !path.startsWith('_'));
  for (const path of sheets.slice(0, maxStyleSheets)) {
    const text = read(path) ?? '';
    const missing = messagesIn(text).find((name) => !name.startsWith('@@') && !names.has(name.toLowerCase()));
    if (missing === undefined) continue;
    const problem = `There is no message "${missing}": the texts __MSG_…__ of this file stay as they are.`;
    const fix = `Add "${missing}": { "message": "…" } to the translations of default_locale.`;
    yield { severity: 'breaks', at: placeAt(path, text, text.indexOf(`__MSG_${missing}__`)), problem, fix };
  }
}

function* localeFindings(audited: Audited, read: ReadText): Findings {
  const { json, paths } = audited;
  const texts = textsIn(json, '').filter(([, text]) => text.includes('__MSG_'));
  const used = messagesIn(texts.flatMap(([key, text]) => (translated.test(key) ? text : [])).join(' '));
  yield* untranslatedKeys(audited, texts);
  const locale = json['default_locale'];
  const folders = new Set(
    [...paths].filter((path) => path.startsWith('_locales/')).map((path) => path.split('/')[1] ?? ''),
  );
  if (typeof locale !== 'string') {
    if (folders.size > 0)
      yield atKey(audited, 'default_locale', [
        'refused',
        'default_locale is missing, and there are translations.',
        `Add "default_locale": "${folders.has('en') ? 'en' : ([...folders][0] ?? 'en')}".`,
      ]);
    else if (used.length > 0)
      yield atKey(audited, 'default_locale', [
        'breaks',
        `__MSG_${used[0] ?? ''}__ is shown as it stands: there are no translations.`,
        'Write the text itself, or add default_locale and _locales.',
      ]);
    yield* styleFindings(paths, new Set(), read);
    return;
  }
  const main = `_locales/${locale}/messages.json`;
  if (!paths.has(main)) {
    yield atKey(audited, 'default_locale', [
      'refused',
      `${main} does not exist.`,
      folders.size === 0
        ? 'Add it, or remove default_locale.'
        : `Add it, or use one of ${[...folders].slice(0, 10).join(', ')}.`,
    ]);
    return;
  }
  yield* styleFindings(paths, new Set(messageNames(read(main) ?? '')), read);
  for (const folder of [...folders].slice(0, maxLocales)) {
    const path = `_locales/${folder}/messages.json`;
    if (/^[a-z]{4,}$/i.test(folder))
      yield {
        severity: 'advice',
        at: `_locales/${folder}`,
        problem: `"${folder}" is no locale, and Chrome never uses it.`,
        fix: 'Name the folder by its code, as en, pt_BR or zh_CN.',
      };
    if (!paths.has(path)) {
      yield {
        severity: 'refused',
        at: `_locales/${folder}`,
        problem: 'It has no messages.json: Chrome refuses the folder.',
        fix: 'Add it, or remove the folder.',
      };
      continue;
    }
    yield* messageFindings(path, read, folder === locale ? used : []);
  }
}

function* messageFindings(path: string, read: ReadText, used: readonly string[]): Findings {
  const text = read(path);
  if (text === undefined) return;
  try {
    const { value, lineOf } = parseChromeJson(text);
    if (!isJsonObject(value)) throw new TypeError('it is no object');
    const names = new Set(Object.keys(value).map((name) => name.toLowerCase()));
    for (const [name, entry] of Object.entries(value)) {
      if (/[^\w@]/.test(name))
        yield {
          severity: 'refused',
          at: `${path}:${lineOf(name)}`,
          problem: `"${name}" is no name of a message: Chrome refuses the folder.`,
          fix: 'Use letters, digits and _ alone.',
        };
      else if (isJsonObject(entry) && typeof entry['message'] === 'string')
        yield* placeholderFindings(`${path}:${lineOf(name)}`, name, entry);
      else
        yield {
          severity: 'refused',
          at: `${path}:${lineOf(name)}`,
          problem: `"${name}" has no message.`,
          fix: `Write "${name}": { "message": "…" }.`,
        };
    }
    for (const name of used.filter((each) => !each.startsWith('@@') && !names.has(each.toLowerCase()))) {
      const problem = `The manifest uses __MSG_${name}__, which is not there: Chrome refuses the folder.`;
      yield { severity: 'refused', at: path, problem, fix: `Add "${name}": { "message": "…" }.` };
    }
  } catch (error) {
    yield {
      severity: 'refused',
      at: path,
      problem: `Chrome cannot parse it: ${messageOf(error)}.`,
      fix: 'Mend the JSON.',
    };
  }
}

function* placeholderFindings(at: string, name: string, entry: Record<string, unknown>): Findings {
  const known = new Set(Object.keys(objectAt(entry, 'placeholders')).map((key) => key.toLowerCase()));
  for (const [, used = ''] of String(entry['message']).matchAll(/\$([a-z0-9_@]+)\$/gi)) {
    if (known.has(used.toLowerCase())) continue;
    const problem = `"${name}" uses $${used}$, which is not among its placeholders: Chrome refuses the folder.`;
    yield {
      severity: 'refused',
      at,
      problem,
      fix: `Add "placeholders": { "${used.toLowerCase()}": { "content": "$1" } }, or write $$ for a dollar sign.`,
    };
  }
}

/** One finding for a missing file, however many places name it. */
function* missingFindings({ missing }: LoadedCode): Findings {
  const groups = new Map<string, MissingFile[]>();
  for (const each of missing) {
    const key = `${each.path} ${each.how}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  for (const [first, ...others] of groups.values()) {
    if (first === undefined) continue;
    const { at, path, how, isFatal, context } = first;
    const stopped = context === 'worker' ? ' The service worker does not start.' : ' The script does not run.';
    const elsewhere = others.length > 0 ? ` So it is in ${others.length} other places.` : '';
    const problem = `The file ${path} does not exist; it is loaded here ${how}.${isFatal ? stopped : ''}${elsewhere}`;
    yield {
      severity: 'breaks',
      at,
      problem,
      fix: 'Add it, or mend the path: upper and lower case and the ending count.',
    };
  }
}

/** Of files that were not looked at, beside the first. */
const maxSkippedNames = 5;

/** What scripts and documents load and is not there, what cannot be parsed, and what was not looked at. */
export function* loadFindings(code: LoadedCode): Findings {
  yield* missingFindings(code);
  for (const { path, text, problem, isModule } of code.scripts.values()) {
    if (problem === undefined || code.contextsOf(path).size === 0) continue;
    const at = placeAt(path, text, problem.offset);
    if (problem.isTooDeep)
      yield {
        severity: 'advice',
        at: path,
        problem: 'It nests too deep to be checked.',
        fix: 'Nothing is said of this file.',
      };
    else if (!isModule && /'import' and 'export' may appear only/.test(problem.message))
      yield { severity: 'breaks', at, ...importInClassic(code, path) };
    else if (!isModule && /\bawait\s+$/.test(text.slice(0, problem.offset)))
      yield {
        severity: 'breaks',
        at,
        problem: 'It waits outside of an async function, where only modules of pages may: it does not run.',
        fix: 'Put the await into an async function.',
      };
    else
      yield {
        severity: 'breaks',
        at,
        problem: `It cannot be parsed, and so does not run: ${problem.message}.`,
        fix: 'Mend the syntax.',
      };
  }
  yield* skippedFindings(code);
}

/** One for each reason. */
function* skippedFindings({ skipped }: LoadedCode): Findings {
  for (const reason of new Set(skipped.map(({ why }) => why))) {
    const [first = '', ...others] = skipped.flatMap(({ path, why }) => (why === reason ? [path] : []));
    const named = others.slice(0, maxSkippedNames).join(', ');
    const rest = others.length > maxSkippedNames ? ` and ${others.length - maxSkippedNames} more` : '';
    yield {
      severity: 'advice',
      at: first,
      problem: `It${others.length === 0 ? ' was' : ` and ${others.length} other files were`} not looked at: ${reason}.`,
      fix: others.length === 0 ? 'Nothing is said of this file.' : `Nothing is said of it, nor of ${named}${rest}.`,
    };
  }
}

function importInClassic(code: LoadedCode, path: string): Pick<Finding, 'problem' | 'fix'> {
  const contexts = code.contextsOf(path);
  const problem = 'It imports or exports, and is loaded as a script that is no module: it does not run.';
  if (contexts.has('worker')) return { problem, fix: 'Add "type": "module" to background in manifest.json.' };
  if (contexts.has('page')) return { problem, fix: 'Load it with <script type="module">.' };
  return { problem, fix: 'Bundle it: content scripts are never modules.' };
}
