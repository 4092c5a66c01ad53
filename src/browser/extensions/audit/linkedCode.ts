import { posix } from 'node:path';
import { localPath } from '../extensionFiles.js';
import type { Context, LoadedCode } from './loadedCode.js';
import type { ScriptFacts, Use } from './scriptFacts.js';

/** A use whose path is followed through imports and names that scripts share. */
export interface LinkedUse extends Use {
  readonly script: ScriptFacts;
  readonly contexts: ReadonlySet<Context>;
  /** Within a function that is handed to `executeScript`, and so runs in a page. */
  readonly isInjected: boolean;
}

interface LinkedEdge {
  readonly to: string;
  readonly isLate: boolean;
  readonly isEvent: boolean;
}

const maxHops = 10;

/** The scripts of an extension as one program. */
export class LinkedCode {
  readonly uses: LinkedUse[] = [];
  readonly loaded: LoadedCode;
  /** Global names that the scripts of the service worker assign. */
  readonly definedInWorker = new Set<string>();
  #edges: ReadonlyMap<string, readonly LinkedEdge[]> | undefined;
  readonly #shared = new Map<string, string>();

  constructor(loaded: LoadedCode) {
    this.loaded = loaded;
    for (const { isModule, exports } of loaded.scripts.values()) {
      if (isModule) continue;
      for (const [name, { value }] of exports) if (value !== undefined) this.#shared.set(name, value);
    }
    for (const [path, script] of loaded.scripts) {
      const contexts = loaded.contextsOf(path);
      if (contexts.has('worker')) for (const name of script.defined) this.definedInWorker.add(name);
      for (const use of script.uses) {
        const linked = this.#follow(script, use.path);
        this.uses.push({ ...use, path: linked, script, contexts, isInjected: isInjected(script, use.within) });
      }
    }
  }

  #follow(script: ScriptFacts, path: string): string {
    let [from, now] = [script, path];
    for (let hop = 0; hop < maxHops; hop += 1) {
      const imported = parseImport(now);
      if (imported === undefined) {
        const [root = '', ...rest] = now.split('.');
        const shared = root === 'chrome' || from.isModule ? undefined : this.#shared.get(root);
        if (shared === undefined) return now;
        now = [shared, ...rest].join('.');
        continue;
      }
      const target = this.#moduleAt(from, imported.specifier);
      const [name = '', ...rest] = imported.name === '*' ? imported.rest : [imported.name, ...imported.rest];
      const value = target?.exports.get(name)?.value;
      if (target === undefined || value === undefined) return now;
      from = target;
      now = [value, ...rest].join('.');
    }
    return now;
  }

  #moduleAt(script: ScriptFacts, specifier: string): ScriptFacts | undefined {
    const base = specifier.startsWith('/') ? '' : posix.dirname(script.path);
    return this.loaded.scripts.get(localPath(posix.join(base, specifier)));
  }

  /**
   * The functions that the service worker certainly runs, as `path#index`: `now` before anything is waited for,
   * `starting` also after waits, `running` also in events.
   */
  reachedInWorker(): Readonly<Record<'now' | 'starting' | 'running', ReadonlySet<string>>> {
    return {
      now: this.#reach(({ isLate }) => !isLate),
      starting: this.#reach(({ isEvent }) => !isEvent),
      running: this.#reach(() => true),
    };
  }

  /** The functions that the service worker may run although these have not run before. */
  reachedWithout(keys: ReadonlySet<string>): ReadonlySet<string> {
    return this.#reach(({ to }) => !keys.has(to));
  }

  #reach(follows: (edge: LinkedEdge) => boolean): Set<string> {
    this.#edges ??= this.#edgesByFunction();
    const reached = new Set<string>();
    const open: string[] = [];
    for (const [path, contexts] of this.loaded.contexts) if (contexts.has('worker')) open.push(`${path}#0`);
    for (let key = open.pop(); key !== undefined; key = open.pop()) {
      if (reached.has(key)) continue;
      reached.add(key);
      for (const edge of this.#edges.get(key) ?? []) if (follows(edge)) open.push(edge.to);
    }
    return reached;
  }

  #edgesByFunction(): Map<string, LinkedEdge[]> {
    const edges = new Map<string, LinkedEdge[]>();
    for (const [path, script] of this.loaded.scripts) {
      for (const { from, to, isLate, isEvent } of script.edges) {
        const target = typeof to === 'number' ? `${path}#${to}` : this.#functionOf(script, to);
        if (target === undefined || isInjectedAt(this.loaded, target)) continue;
        const key = `${path}#${from}`;
        const known = edges.get(key);
        if (known === undefined) edges.set(key, [{ to: target, isLate, isEvent }]);
        else known.push({ to: target, isLate, isEvent });
      }
    }
    return edges;
  }

  #functionOf(script: ScriptFacts, path: string): string | undefined {
    const imported = parseImport(path);
    if (imported === undefined) return undefined;
    const target = this.#moduleAt(script, imported.specifier);
    const name = imported.name === '*' ? imported.rest[0] : imported.name;
    const found = target?.exports.get(name ?? '');
    if (target === undefined || found === undefined) return undefined;
    if (found.definition !== undefined) return `${target.path}#${found.definition}`;
    return found.value === undefined ? undefined : this.#functionOf(target, found.value);
  }
}

function isInjectedAt({ scripts }: LoadedCode, key: string): boolean {
  const split = key.lastIndexOf('#');
  const script = scripts.get(key.slice(0, split));
  return script !== undefined && isInjected(script, Number(key.slice(split + 1)));
}

function isInjected({ functions }: ScriptFacts, within: number): boolean {
  for (let index = within; index !== 0;) {
    const facts = functions[index];
    if (facts === undefined || facts.parent === index) return facts?.isInjected ?? false;
    if (facts.isInjected) return true;
    index = facts.parent;
  }
  return false;
}

/** `import:./api.js#tabs.query` in its parts. */
function parseImport(path: string): { specifier: string; name: string; rest: string[] } | undefined {
  if (!path.startsWith('import:')) return undefined;
  const split = path.lastIndexOf('#');
  const [name = '', ...rest] = path.slice(split + 1).split('.');
  return { specifier: path.slice('import:'.length, split), name, rest };
}
