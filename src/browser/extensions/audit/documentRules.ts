import { compileGlob } from '../../patterns/urlPattern.js';
import { localPath } from '../extensionFiles.js';
import { objectsIn, stringsIn } from '../manifest.js';
import type { Reference } from './fileReferences.js';
import { placeAt, type Finding, type Findings } from './findings.js';
import type { LinkedCode } from './linkedCode.js';
import type { Context, LoadedCode } from './loadedCode.js';

/** What the policy of extension pages does not let documents do. Sandboxed pages have a policy of their own. */
export function* documentFindings({ documents, contexts }: LoadedCode): Findings {
  for (const { path, text, links, inlineScripts, handlers, scriptAddresses } of documents.values()) {
    const isSandbox = [...(contexts.get(path) ?? [])].every((context) => context === 'sandbox');
    const at = (offset: number): string => placeAt(path, text, offset);
    for (const { kind, path: address, offset } of links) {
      if (
        kind !== 'script' ||
        !/^(?:https?:)?\/\//i.test(address) ||
        /^https?:\/\/(?:localhost|127\.0\.0\.1)[:/]/i.test(address)
      )
        continue;
      const problem = `The script ${address.slice(0, 200)} comes from elsewhere: Chrome does not run it, and the Web Store refuses the extension.`;
      yield { severity: 'refused', at: at(offset), problem, fix: 'Put the file into the extension.' };
    }
    if (isSandbox) continue;
    for (const { offset } of inlineScripts.slice(0, 1)) {
      const problem = 'Inline scripts do not run in extension pages.';
      yield { severity: 'breaks', at: at(offset), problem, fix: 'Put the code into a file: <script src="…">.' };
    }
    for (const { name, offset } of handlers.slice(0, 1)) {
      const problem = `Inline event handlers, as ${name} here, do not run in extension pages.`;
      yield { severity: 'breaks', at: at(offset), problem, fix: 'Use addEventListener in a script file.' };
    }
    for (const offset of scriptAddresses.slice(0, 1)) {
      const problem = 'javascript: addresses do nothing in extension pages.';
      yield { severity: 'breaks', at: at(offset), problem, fix: 'Use addEventListener in a script file.' };
    }
  }
}

/** Imports that browsers do not resolve, that workers refuse, or that come from elsewhere. */
export function* importFindings(linked: LinkedCode): Findings {
  const { loaded: code } = linked;
  const { running } = linked.reachedInWorker();
  const hasMap = hasImportMap(code);
  for (const [path, { text, references }] of code.scripts) {
    const contexts = code.contextsOf(path);
    if (contexts.size === 0) continue;
    for (const reference of references) {
      // What pages share may be for them alone.
      const isInWorker = contexts.has('worker') && (contexts.size === 1 || running.has(`${path}#${reference.within}`));
      const finding = importFinding(reference, { contexts, isInWorker, hasMap });
      if (finding !== undefined) yield { ...finding, at: placeAt(path, text, reference.offset) };
      const file = contexts.size === 1 && contexts.has('content script') ? closedResource(code, reference) : undefined;
      if (file === undefined) continue;
      const problem = `A page cannot load ${file}: it is not among the web_accessible_resources.`;
      const fix = `Add { "resources": ["${file}"], "matches": […] } to web_accessible_resources, with the sites of the script.`;
      yield { severity: 'breaks', at: placeAt(path, text, reference.offset), problem, fix };
    }
  }
}

/** The file whose address a content script takes, unless pages may load it. */
function closedResource({ manifest, files }: LoadedCode, { kind, path }: Reference): string | undefined {
  const file = localPath(path.split(/[?#]/, 1)[0] ?? '');
  if (kind !== 'resource' || !files.paths.has(file)) return undefined;
  const open = objectsIn(manifest['web_accessible_resources']).flatMap(({ resources }) => stringsIn(resources));
  return open.slice(0, maxGlobs).some((glob) => compileGlob(glob.replace(/^\/+/, ''))(file)) ? undefined : file;
}

/** Entries that a file is compared with. */
const maxGlobs = 1_000;

interface ImportPlace {
  readonly contexts: ReadonlySet<Context>;
  readonly isInWorker: boolean;
  readonly hasMap: boolean;
}

/** In pages of others. */
const pageContexts: ReadonlySet<Context> = new Set(['content script', 'injected', 'main world']);

function importFinding(
  { kind, path: named, isGuarded }: Reference,
  { contexts, isInWorker, hasMap }: ImportPlace,
): Omit<Finding, 'at'> | undefined {
  const shown = named.slice(0, 200);
  if (kind === 'dynamic import' && isInWorker && !isGuarded) {
    const problem = 'import() is not allowed in a service worker: it always fails.';
    return { severity: 'breaks', problem, fix: 'Import it at the top of the file: import … from "…".' };
  }
  if (kind === 'remote script') {
    const isInPages = [...contexts].some((context) => pageContexts.has(context));
    const refused = isInPages ? 'the Web Store' : 'Chrome does not load it, and the Web Store';
    const problem = `The script ${shown} comes from elsewhere: ${refused} refuses the extension.`;
    return { severity: 'refused', problem, fix: 'Put the file into the extension.' };
  }
  const isLoaded = kind === 'import' || kind === 'dynamic import' || kind === 'importScripts';
  if (isLoaded && /^(?:https?:)?\/\//i.test(named) && !contexts.has('injected') && !contexts.has('main world')) {
    const problem = `${shown} comes from elsewhere: Chrome does not load it, and the Web Store refuses the extension.`;
    return { severity: 'refused', problem, fix: 'Put the file into the extension.' };
  }
  if (kind !== 'import' || hasMap || /^(?:\.{0,2}\/|[a-z][\w+.-]*:)/i.test(named)) return undefined;
  const problem = `"${named}" is no path: browsers do not look for packages, and the script does not run.`;
  return { severity: 'breaks', problem, fix: 'Bundle the code, or write the path of a file, as ./lib.js.' };
}

const hasImportMap = ({ documents }: LoadedCode): boolean =>
  [...documents.values()].some(({ text }) => text.includes('importmap'));
