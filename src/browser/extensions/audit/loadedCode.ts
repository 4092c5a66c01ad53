import { readFileSync, statSync } from 'node:fs';
import { join, posix } from 'node:path';
import { localPath, type ExtensionFiles } from '../extensionFiles.js';
import { objectAt, objectsIn, stringsIn, type ManifestJson } from '../manifest.js';
import { documentFacts, styleLinks, type DocumentFacts, type DocumentLink } from './documentFacts.js';
import type { Reference } from './fileReferences.js';
import { placeAt } from './findings.js';
import type { ScriptFacts } from './scriptFacts.js';
import { factsOf } from './scriptReader.js';

/** Where a script runs. */
export type Context =
  'worker' | 'page' | 'content script' | 'main world' | 'injected' | 'sandbox' | 'offscreen' | 'web worker';

/** A file that something loads and that is not there. */
export interface MissingFile {
  readonly at: string;
  readonly path: string;
  readonly how: string;
  readonly context: Context;
  readonly isFatal: boolean;
}

/** Files that are missing; more are not told. */
const maxMissing = 300;
const mebibyte = 1024 ** 2;
/** Of one script or document; a syntax tree takes some fifty times that. */
const maxFileBytes = 8 * mebibyte;
const maxTotalBytes = 48 * mebibyte;

/** Reads and parses, each once, what the manifest loads and what that loads in turn. */
export class LoadedCode {
  readonly scripts = new Map<string, ScriptFacts>();
  readonly documents = new Map<string, DocumentFacts>();
  readonly contexts = new Map<string, Set<Context>>();
  readonly missing: MissingFile[] = [];
  /** Files that were not looked at, and why. */
  readonly skipped: { readonly path: string; readonly why: string }[] = [];
  readonly files: ExtensionFiles;
  readonly manifest: ManifestJson;
  readonly #isLate: () => boolean;
  #bytes = 0;
  readonly #styles = new Set<string>();
  /** Of the documents that name a script. */
  readonly #pageFolders = new Map<string, Set<string>>();
  readonly #queue: (() => void)[] = [];

  constructor(files: ExtensionFiles, manifest: ManifestJson, isLate: () => boolean) {
    this.files = files;
    this.manifest = manifest;
    this.#isLate = isLate;
  }

  load(): void {
    this.#roots();
    this.#drain();
    // What code mentions by name may be loaded by it in a way that is not seen here.
    const mentioned = this.#mentionedDocuments();
    for (const path of this.files.paths)
      if (mentioned.has(posix.basename(path)) && !this.contexts.has(path)) this.#document(path, 'page');
    this.#drain();
    for (const path of this.files.paths) {
      if (/\.m?js$/i.test(path) && !path.split('/').includes('node_modules')) this.#script(path, undefined, false);
    }
  }

  /** Whether a file exists; a manifest may name anything, as `../../etc/passwd`. */
  has(path: string): boolean {
    return this.files.paths.has(localPath(path));
  }

  read(path: string): string | undefined {
    const local = localPath(path);
    if (!this.files.paths.has(local)) return undefined;
    try {
      const whole = join(this.files.folder, local);
      const { size } = statSync(whole);
      const why =
        size > maxFileBytes
          ? `it has more than ${maxFileBytes / mebibyte} MB`
          : this.#bytes + size > maxTotalBytes
            ? `only ${maxTotalBytes / mebibyte} MB of an extension are read`
            : this.#isLate()
              ? 'there was no time left'
              : undefined;
      if (why !== undefined) {
        this.skipped.push({ path: local, why });
        return undefined;
      }
      this.#bytes += size;
      return readFileSync(whole, 'utf8').replace(/^\uFEFF/, '');
    } catch {
      return undefined;
    }
  }

  contextsOf(path: string): ReadonlySet<Context> {
    return this.contexts.get(path) ?? new Set();
  }

  #roots(): void {
    const { manifest } = this;
    const background = objectAt(manifest, 'background');
    const worker = background['service_worker'];
    if (typeof worker === 'string') this.#script(localPath(worker), 'worker', background['type'] === 'module');
    for (const script of objectsIn(manifest['content_scripts'])) {
      const context = script['world'] === 'MAIN' ? 'main world' : 'content script';
      for (const path of stringsIn(script['js'])) this.#script(localPath(path), context, false);
    }
    for (const path of stringsIn(objectAt(manifest, 'sandbox')['pages'])) this.#document(localPath(path), 'sandbox');
    for (const path of stringsIn(background['scripts'])) this.#script(localPath(path), 'page', false);
    for (const page of pagesOf(manifest)) if (typeof page === 'string') this.#document(localPath(page), 'page');
  }

  #drain(): void {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) next();
  }

  /** Adds a context to a file. False if it was known. */
  #reaches(path: string, context: Context | undefined): boolean {
    if (context === undefined) return !this.contexts.has(path);
    const known = this.contexts.get(path) ?? new Set();
    if (known.has(context)) return false;
    this.contexts.set(path, known.add(context));
    return true;
  }

  #script(path: string, context: Context | undefined, isModule: boolean): void {
    if (!this.#reaches(path, context)) return;
    let facts = this.scripts.get(path);
    if (facts === undefined) {
      const text = this.read(path);
      if (text === undefined) return;
      facts = factsOf(path, text, isModule || /\.mjs$/i.test(path));
      // What is not loaded may be either.
      if (facts.problem !== undefined && context === undefined) {
        const other = factsOf(path, text, true);
        if (other.problem === undefined) facts = other;
      }
      this.scripts.set(path, facts);
    }
    if (context === undefined) return;
    const loaded = facts;
    this.#queue.push(() => this.#follow(loaded, context));
  }

  #follow(facts: ScriptFacts, context: Context): void {
    for (const reference of facts.references) {
      const local = this.#target(reference, facts.path, context);
      if (local === undefined) continue;
      if (this.has(local)) this.#load(local, reference.kind, context);
      else if (this.missing.length < maxMissing) this.#miss(local, reference, { facts, context });
    }
  }

  /** The file that is meant, if that can be told. */
  #target({ kind, path, from }: Reference, script: string, context: Context): string | undefined {
    // Code that starts itself as a worker means the page that it is in before.
    if (path === '' || isAddress(path) || (kind === 'worker' && context === 'web worker')) return undefined;
    // A bare name is no path; the document rules say so.
    if ((kind === 'import' || kind === 'dynamic import') && !/^\.{0,2}\//.test(path)) return undefined;
    const base = path.startsWith('/') || from === 'folder' ? '' : this.#baseOf(from, script, context);
    if (base === undefined) return undefined;
    const local = localPath(posix.join(base, path.split(/[?#]/, 1)[0] ?? ''));
    return local === '' || local.endsWith('/') || local.includes('_favicon') ? undefined : local;
  }

  #miss(local: string, reference: Reference, { facts, context }: { facts: ScriptFacts; context: Context }): void {
    const { kind, isGuarded, within, offset } = reference;
    const isImport = kind === 'import' || kind === 'dynamic import';
    if (isGuarded || (!isImport && !/\.\w+$/.test(local))) return;
    const isFatal = kind === 'import' || (kind === 'importScripts' && within === 0);
    const at = placeAt(facts.path, facts.text, offset);
    this.missing.push({ at, path: local, how: howLoaded[kind], context, isFatal });
  }

  #baseOf(from: 'folder' | 'self' | 'context', path: string, context: Context): string | undefined {
    if (from === 'self') return posix.dirname(path);
    const worker = objectAt(this.manifest, 'background')['service_worker'];
    if (context === 'worker' && typeof worker === 'string') return posix.dirname(localPath(worker));
    if (context === 'web worker') return posix.dirname(path);
    const [only, ...others] = this.#pageFolders.get(path) ?? [];
    return others.length === 0 ? only : undefined;
  }

  #load(path: string, kind: keyof typeof howLoaded, context: Context): void {
    if (kind === 'import' || kind === 'dynamic import') {
      if (!/\.(json|css|wasm)$/i.test(path)) this.#script(path, context, true);
    } else if (kind === 'importScripts') this.#script(path, context, false);
    else if (kind === 'injected script') this.#script(path, 'injected', false);
    else if (kind === 'worker') this.#script(path, 'web worker', false);
    else if (/\.html?$/i.test(path)) this.#document(path, kind === 'offscreen document' ? 'offscreen' : 'page');
  }

  #document(path: string, context: Context): void {
    const isSandbox = stringsIn(objectAt(this.manifest, 'sandbox')['pages']).some((page) => localPath(page) === path);
    const where = isSandbox ? 'sandbox' : context;
    if (!this.#reaches(path, where)) return;
    let facts = this.documents.get(path);
    if (facts === undefined) {
      const text = this.read(path);
      if (text === undefined) return;
      facts = documentFacts(path, text);
      this.documents.set(path, facts);
      this.#inline(facts, where);
    }
    const { links } = facts;
    this.#queue.push(() => {
      for (const link of links) this.#followLink(path, link, where);
    });
  }

  /** Sandboxed pages run what stands in them. */
  #inline({ path, text: whole, inlineScripts }: DocumentFacts, context: Context): void {
    if (context !== 'sandbox') return;
    for (const { text, offset, isModule } of inlineScripts) {
      const name = `${path}#${offset}`;
      this.contexts.set(name, new Set([context]));
      // Below as many lines as stand before it, so that its places are those of the document.
      const above = whole.slice(0, offset).replace(/[^\n]+/g, '');
      this.scripts.set(name, factsOf(path, above + text, isModule));
    }
  }

  #followLink(page: string, { kind, path, isModule, offset }: DocumentLink, context: Context): void {
    if (isAddress(path) || isTemplate(path)) return;
    const local = localPath(posix.join(path.startsWith('/') ? '' : posix.dirname(page), decode(path)));
    if (local === '' || local.startsWith('_favicon')) return;
    const isDocument = /\.html?$/i.test(local);
    if (kind === 'page' && !isDocument) return;
    if (this.has(local)) this.#loadLink(page, local, { kind, isModule }, context);
    if (this.has(local) || this.missing.length >= maxMissing) return;
    const { text = '' } = this.documents.get(page) ?? {};
    const at = placeAt(page, text, offset);
    this.missing.push({ at, path: local, how: howLinked[kind], context, isFatal: false });
  }

  #loadLink(
    page: string,
    local: string,
    { kind, isModule }: Pick<DocumentLink, 'kind' | 'isModule'>,
    context: Context,
  ): void {
    if (kind === 'script') {
      this.#pageFolders.set(local, (this.#pageFolders.get(local) ?? new Set()).add(posix.dirname(page)));
      this.#script(local, context, isModule);
    } else if (kind === 'style') this.#style(local, context);
    else if (kind === 'page') this.#document(local, 'page');
  }

  #style(path: string, context: Context): void {
    if (this.#styles.has(path)) return;
    this.#styles.add(path);
    const text = this.read(path);
    if (text === undefined) return;
    for (const { path: named, offset, isImport } of styleLinks(text)) {
      if (named === '' || named.startsWith('#') || isAddress(named)) continue;
      const local = localPath(posix.join(named.startsWith('/') ? '' : posix.dirname(path), decode(named)));
      if (local.startsWith('_favicon')) continue;
      if (this.has(local) && isImport) this.#style(local, context);
      if (this.has(local) || !isImport) continue;
      this.missing.push({
        at: placeAt(path, text, offset),
        path: local,
        how: 'as a style sheet',
        context,
        isFatal: false,
      });
    }
  }

  /** Names of documents in the texts of the code that runs. */
  #mentionedDocuments(): Set<string> {
    const names = new Set<string>();
    for (const [script, { strings }] of this.scripts) {
      if (!this.contexts.has(script)) continue;
      for (const text of strings) if (text.includes('.htm')) names.add(posix.basename(text.split(/[?#]/, 1)[0] ?? ''));
    }
    return names;
  }
}

/** The documents that a manifest names, but for sandboxed ones. */
export function pagesOf(manifest: ManifestJson): unknown[] {
  return [
    objectAt(manifest, 'action')['default_popup'],
    manifest['options_page'],
    objectAt(manifest, 'options_ui')['page'],
    objectAt(manifest, 'side_panel')['default_path'],
    manifest['devtools_page'],
    objectAt(manifest, 'background')['page'],
    ...Object.values(objectAt(manifest, 'chrome_url_overrides')),
  ];
}

/** What code fills in later, or a place in the document itself. */
const isTemplate = (path: string): boolean => /^[#?]|[{}<%$]/.test(path);

const isAddress = (path: string): boolean => /^[a-z][\w+.-]*:|^\/\//i.test(path);

const howLinked = {
  script: 'as a script',
  style: 'as a style sheet',
  image: 'as an image',
  page: 'as a page',
} as const;

const decode = (path: string): string => {
  const [bare = ''] = path.split(/[?#]/, 1);
  try {
    return decodeURIComponent(bare);
  } catch {
    return bare;
  }
};

const howLoaded = {
  import: 'with import',
  'dynamic import': 'with import()',
  importScripts: 'with importScripts',
  'injected script': 'as a script for pages',
  'injected style': 'as a style sheet for pages',
  page: 'as a page',
  'offscreen document': 'as an offscreen document',
  image: 'as an image',
  worker: 'as a worker',
  resource: 'by its address',
  'remote script': 'as a script from elsewhere',
} as const;
