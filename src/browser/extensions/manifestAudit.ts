import { compileGlob } from '../patterns/glob.js';
import { codeFindings } from './codeAudit.js';
import { objectAt, objectsIn, stringsIn, type ExtensionFiles } from './extensionFiles.js';
import { fileFindings } from './fileAudit.js';
import { parsePattern } from './matchPattern.js';
import { permissionFindings } from './permissionAudit.js';

export type Severity = 'error' | 'warning' | 'info';

/** What is wrong with an extension, and what mends it. */
export interface Finding {
  /** `error`: Chrome refuses or ignores it. `warning`: it is likely to go wrong. `info`: it could be better. */
  readonly severity: Severity;
  /** The key in the manifest, or file and line. */
  readonly at: string;
  readonly problem: string;
  readonly fix: string;
}

type Manifest = Readonly<Record<string, unknown>>;

const order: readonly Severity[] = ['error', 'warning', 'info'];

/** Checks manifest, files and code of an extension against Manifest V3. The gravest findings come first. */
export async function auditManifest(files: ExtensionFiles): Promise<Finding[]> {
  const { manifest } = files;
  if (manifest === undefined) {
    const problem = `manifest.json cannot be parsed: ${files.manifestProblem ?? ''}`;
    return [{ severity: 'error', at: 'manifest.json', problem, fix: 'Mend the JSON.' }];
  }
  const findings = [
    ...versionFindings(manifest),
    ...backgroundFindings(manifest),
    ...policyFindings(manifest),
    ...patternFindings(manifest),
    ...resourceFindings(manifest, files),
    ...permissionFindings(manifest, files),
    ...(await fileFindings(manifest, files)),
    ...codeFindings(manifest, files),
  ];
  return findings.sort((a, b) => order.indexOf(a.severity) - order.indexOf(b.severity));
}

function* versionFindings(manifest: Manifest): Generator<Finding> {
  const { manifest_version: version } = manifest;
  if (version !== 3) {
    const problem = `manifest_version is ${JSON.stringify(version)}; Chrome loads only 3.`;
    yield { severity: 'error', at: 'manifest_version', problem, fix: 'Set it to 3 and mend what follows.' };
  }
  if (typeof manifest['version'] !== 'string' || !/^\d{1,5}(\.\d{1,5}){0,3}$/.test(manifest['version'])) {
    const problem = `version is ${JSON.stringify(manifest['version'])}.`;
    yield { severity: 'error', at: 'version', problem, fix: 'One to four numbers with dots between, as "1.2.3".' };
  }
  for (const key of ['browser_action', 'page_action'].filter((name) => name in manifest)) {
    yield { severity: 'error', at: key, problem: `${key} is gone in Manifest V3.`, fix: 'Rename it to "action".' };
  }
}

function* backgroundFindings(manifest: Manifest): Generator<Finding> {
  if (!('background' in manifest)) return;
  const background = objectAt(manifest, 'background');
  for (const key of ['scripts', 'page', 'persistent'].filter((name) => name in background)) {
    const problem = `background.${key} belongs to Manifest V2; Chrome ignores or refuses it.`;
    const fix = 'Use "background": { "service_worker": "worker.js" }, and "type": "module" if it imports.';
    yield { severity: 'error', at: `background.${key}`, problem, fix };
  }
  const { type } = background;
  if (type !== undefined && type !== 'module' && type !== 'classic') {
    const problem = `background.type is ${JSON.stringify(type)}.`;
    yield { severity: 'error', at: 'background.type', problem, fix: 'Use "module", or leave it out.' };
  }
}

function* policyFindings(manifest: Manifest): Generator<Finding> {
  const at = 'content_security_policy';
  const policy = manifest[at];
  if (typeof policy === 'string') {
    const fix = `Write { "extension_pages": ${JSON.stringify(policy)} }.`;
    yield { severity: 'error', at, problem: 'It is a string, as in Manifest V2.', fix };
  }
  const pages = objectAt(manifest, at)['extension_pages'];
  if (typeof pages !== 'string') return;
  const scripts = /(?:script|object|worker)-src([^;]*)/g;
  for (const [directive, sources = ''] of pages.matchAll(scripts)) {
    for (const source of sources.trim().split(/\s+/)) {
      if (/^('self'|'none'|'wasm-unsafe-eval'|https?:\/\/(localhost|127\.0\.0\.1)(:[\d*]+)?|)$/.test(source)) continue;
      const problem = `"${directive.trim()}" allows ${source}, which Chrome refuses for extension pages.`;
      const fix = `Remove ${source}; put the code into files of the extension, or what needs eval into a sandboxed page.`;
      yield { severity: 'error', at: `${at}.extension_pages`, problem, fix };
    }
  }
}

/** Every list of match patterns, by where it stands. */
function patternLists(manifest: Manifest): { at: string; patterns: string[] }[] {
  const lists = [
    { at: 'host_permissions', list: manifest['host_permissions'] },
    { at: 'optional_host_permissions', list: manifest['optional_host_permissions'] },
    { at: 'externally_connectable.matches', list: objectAt(manifest, 'externally_connectable')['matches'] },
    ...objectsIn(manifest['content_scripts']).flatMap((script, index) =>
      ['matches', 'exclude_matches'].map((key) => ({ at: `content_scripts[${index}].${key}`, list: script[key] })),
    ),
    ...objectsIn(manifest['web_accessible_resources']).map((entry, index) => ({
      at: `web_accessible_resources[${index}].matches`,
      list: entry['matches'],
    })),
  ];
  return lists.map(({ at, list }) => ({ at, patterns: stringsIn(list) }));
}

function* patternFindings(manifest: Manifest): Generator<Finding> {
  for (const { at, patterns } of patternLists(manifest)) {
    for (const text of patterns) {
      const pattern = parsePattern(text);
      if (typeof pattern === 'string') {
        const fix = 'A pattern is <scheme>://<host>/<path>, as https://*.example.com/*.';
        yield { severity: 'error', at, problem: `"${text}" is no match pattern: ${pattern}.`, fix };
      } else if (pattern.everyHost && !at.startsWith('optional') && !/exclude|web_acc/.test(at)) {
        const problem = `"${text}" takes in every site: users are warned, and review takes longer.`;
        const fix =
          'Name the hosts that are needed, or use activeTab with chrome.scripting, or optional_host_permissions.';
        yield { severity: 'warning', at, problem, fix };
      }
    }
  }
}

function* resourceFindings(manifest: Manifest, { paths }: ExtensionFiles): Generator<Finding> {
  const at = 'web_accessible_resources';
  const strings = stringsIn(manifest[at]);
  if (strings.length > 0) {
    const fix = `Write [{ "resources": ${JSON.stringify(strings)}, "matches": ["https://the.site/*"] }].`;
    yield { severity: 'error', at, problem: 'It lists strings, as in Manifest V2.', fix };
  }
  for (const [index, entry] of objectsIn(manifest[at]).entries()) {
    const where = `${at}[${index}]`;
    const resources = stringsIn(entry['resources']);
    const open = stringsIn(entry['matches']).some((text) => {
      const pattern = parsePattern(text);
      return typeof pattern !== 'string' && pattern.everyHost;
    });
    if (open && resources.some((resource) => /^\/?\*+$/.test(resource))) {
      const problem = 'Every site may load every file of the extension, and so recognise its users.';
      yield { severity: 'warning', at: where, problem, fix: 'List the files and the sites that need them.' };
    }
    if (!('matches' in entry) && !('extension_ids' in entry)) {
      const fix = 'Add "matches": ["https://the.site/*"].';
      yield { severity: 'error', at: where, problem: 'It has neither matches nor extension_ids.', fix };
    }
    for (const resource of resources.filter((glob) => !anyMatches(paths, glob))) {
      const fix = 'Mend the path, which starts at the folder of the extension, or remove it.';
      yield { severity: 'warning', at: where, problem: `No file is called "${resource}".`, fix };
    }
  }
}

function anyMatches(paths: ReadonlySet<string>, glob: string): boolean {
  return [...paths].some(compileGlob(glob.replace(/^\//, '')));
}
