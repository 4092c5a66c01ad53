import { compileGlob } from '../patterns/glob.js';
import { inSlices } from '../patterns/slices.js';
import { codeFindings } from './codeAudit.js';
import type { Finding, Findings, Severity, ManifestJson } from './findings.js';
import { objectAt, objectsIn, stringsIn, type ExtensionFiles } from './extensionFiles.js';
import { contentFindings, missingFiles } from './fileAudit.js';
import { parsePattern } from './matchPattern.js';
import { permissionFindings } from './permissionAudit.js';

const severityOrder: readonly Severity[] = ['error', 'warning', 'info'];

/** More of one extension are not said. */
const maxFindings = 500;
/** Globs with stars that are tried on every file. */
const maxGlobs = 1_000;

/** Checks manifest, files and code of an extension against Manifest V3. The gravest findings come first. */
export async function manifestFindings(files: ExtensionFiles, signal: AbortSignal): Promise<Finding[]> {
  const { manifest } = files;
  if (manifest === undefined) {
    const problem = `manifest.json cannot be parsed: ${files.manifestProblem ?? ''}`;
    return [{ severity: 'error', at: 'manifest.json', problem, fix: 'Fix the JSON.' }];
  }
  const ofFiles = await contentFindings(manifest, files);
  const findings = [...ofFiles, ...(await inSlices(collect(allFindings(manifest, files)), signal))];
  findings.sort((a, b) => severityOrder.indexOf(a.severity) - severityOrder.indexOf(b.severity));
  const more = findings.length - maxFindings;
  if (more <= 0) return findings;
  const rest: Finding = {
    severity: 'info',
    at: 'manifest.json',
    problem: `${more} more findings are not shown.`,
    fix: 'Mend these, then call it again.',
  };
  return [...findings.slice(0, maxFindings), rest];
}

function* allFindings(manifest: ManifestJson, files: ExtensionFiles): Findings {
  yield* cutFindings(files);
  yield* versionFindings(manifest);
  yield* backgroundFindings(manifest);
  yield* policyFindings(manifest);
  yield* patternFindings(manifest);
  yield* resourceFindings(manifest, files);
  yield* permissionFindings(manifest, files);
  yield* missingFiles(manifest, files);
  yield* codeFindings(manifest, files);
}

function* collect(findings: Findings): Generator<undefined, Finding[]> {
  const found: Finding[] = [];
  for (const finding of findings) {
    if (finding !== undefined) found.push(finding);
    yield;
  }
  return found;
}

function* cutFindings({ cut }: ExtensionFiles): Findings {
  if (cut === undefined) return;
  yield { severity: 'info', at: 'manifest.json', problem: cut, fix: 'Nothing is said of the rest.' };
}

function* versionFindings(manifest: ManifestJson): Findings {
  const { manifest_version: version } = manifest;
  if (version !== 3) {
    const problem = `manifest_version is ${JSON.stringify(version)}; Chrome loads only 3.`;
    yield { severity: 'error', at: 'manifest_version', problem, fix: 'Set it to 3 and fix what follows.' };
  }
  if (typeof manifest['version'] !== 'string' || !/^\d{1,5}(\.\d{1,5}){0,3}$/.test(manifest['version'])) {
    const problem = `version is ${JSON.stringify(manifest['version'])}.`;
    yield { severity: 'error', at: 'version', problem, fix: 'One to four numbers with dots between, as "1.2.3".' };
  }
  for (const key of ['browser_action', 'page_action'].filter((name) => name in manifest)) {
    yield { severity: 'error', at: key, problem: `${key} is gone in Manifest V3.`, fix: 'Rename it to "action".' };
  }
}

function* backgroundFindings(manifest: ManifestJson): Findings {
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

function* policyFindings(manifest: ManifestJson): Findings {
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
      yield;
      if (/^('self'|'none'|'wasm-unsafe-eval'|https?:\/\/(localhost|127\.0\.0\.1)(:[\d*]+)?|)$/.test(source)) continue;
      const problem = `"${directive.trim()}" allows ${source}, which Chrome refuses for extension pages.`;
      const fix = `Remove ${source}; put the code into files of the extension, or what needs eval into a sandboxed page.`;
      yield { severity: 'error', at: `${at}.extension_pages`, problem, fix };
    }
  }
}

/** Every list of match patterns, by where it stands. */
function patternLists(manifest: ManifestJson): { at: string; patterns: string[] }[] {
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

function* patternFindings(manifest: ManifestJson): Findings {
  for (const { at, patterns } of patternLists(manifest)) {
    for (const text of patterns) {
      yield;
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

function* resourceFindings(manifest: ManifestJson, { paths }: ExtensionFiles): Findings {
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
    yield* nameless(resources, paths, where);
  }
}

function* nameless(resources: readonly string[], paths: ReadonlySet<string>, at: string): Findings {
  const fix = 'Fix the path, which is relative to the folder of the extension, or remove it.';
  const globs = resources.filter((resource) => resource.includes('*'));
  if (globs.length > maxGlobs) {
    const problem = `It has ${globs.length} entries with *, of which the first ${maxGlobs} were looked at.`;
    yield { severity: 'info', at, problem, fix: 'Use fewer and wider ones.' };
  }
  const looked = new Set([...globs.slice(0, maxGlobs), ...resources.filter((resource) => !resource.includes('*'))]);
  for (const resource of looked) {
    yield;
    const path = resource.replace(/^\//, '');
    const isThere = paths.has(path) || (resource.includes('*') && [...paths].some(compileGlob(path)));
    if (!isThere) yield { severity: 'warning', at, problem: `No file is called "${resource}".`, fix };
  }
}
