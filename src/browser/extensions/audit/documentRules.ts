import { placeAt, type Findings } from './findings.js';
import type { LoadedCode } from './loadedCode.js';

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
export function* importFindings(code: LoadedCode): Findings {
  for (const [path, { text, references }] of code.scripts) {
    const contexts = code.contextsOf(path);
    if (contexts.size === 0) continue;
    for (const { kind, path: named, offset, isGuarded } of references) {
      const at = placeAt(path, text, offset);
      const isImport = kind === 'import' || kind === 'dynamic import';
      const isRemote = /^(?:https?:)?\/\//i.test(named);
      if (kind === 'dynamic import' && contexts.has('worker') && !isGuarded) {
        const problem = 'import() is not allowed in a service worker: it always fails.';
        yield { severity: 'breaks', at, problem, fix: 'Import it at the top of the file: import … from "…".' };
      } else if ((isImport || kind === 'importScripts') && isRemote && !contexts.has('injected')) {
        const problem = `${named.slice(0, 200)} comes from elsewhere: Chrome does not load it, and the Web Store refuses the extension.`;
        yield { severity: 'refused', at, problem, fix: 'Put the file into the extension.' };
      } else if (kind === 'import' && !/^(?:\.{0,2}\/|[a-z][\w+.-]*:)/i.test(named) && !hasImportMap(code)) {
        const problem = `"${named}" is no path: browsers do not look for packages, and the script does not run.`;
        yield { severity: 'breaks', at, problem, fix: 'Bundle the code, or write the path of a file, as ./lib.js.' };
      }
    }
  }
}

const hasImportMap = ({ documents }: LoadedCode): boolean =>
  [...documents.values()].some(({ text }) => text.includes('importmap'));
