import type { CDPSession, Page } from 'puppeteer-core';
import { syntaxError } from '../cdp/cdpSessions.js';
import type { KeptPart } from '../collectors/ringBuffer.js';
import { ToolError } from '../../errors/errors.js';

const maxScripts = 20;
const sourceName = 'init.js';
/** Chrome's own pages have APIs that no code of a client may use. On the line of its beginning: lines are counted. */
const stopInBrowserPages =
  "if (/^(chrome|chrome-untrusted|devtools):$/.test(location.protocol)) throw new Error('Init scripts do not run here.'); ";
const strictDirective = /^\s*(['"])use strict\1\s*(;|$)/;
/** A function alone would define nothing and do nothing. */
export const functionStart = /^\s*(?:async\b\s*)?(?:function\b|\([^()]*\)\s*=>|\w+\s*=>)/;

/**
 * Scripts that run before those of the page in every document that it loads, also in its frames (CDP
 * Page.addScriptToEvaluateOnNewDocument). Owned by the page; they end with it.
 */
export class InitScripts {
  readonly #page: Page;
  readonly #cdp: CDPSession;
  /** The identifiers of CDP, by ours. */
  readonly #identifiers = new Map<string, string>();
  readonly #sizes = new Map<string, number>();
  readonly #kept: KeptPart | undefined;
  #count = 0;

  constructor(page: Page, cdp: CDPSession, kept?: KeptPart) {
    this.#page = page;
    this.#cdp = cdp;
    this.#kept = kept;
    kept?.held.add(this);
  }

  /** Bytes of their sources, which puppeteer keeps for frames in other processes. */
  get bytes(): number {
    let sum = 0;
    for (const size of this.#sizes.values()) sum += size;
    return sum;
  }

  /** Those that are in effect. */
  ids(): string[] {
    return [...this.#identifiers.keys()];
  }

  /** Statements, or a function, which is called. Resolves with its id. Throws a ToolError with the place of a syntax error. */
  async add(script: string): Promise<string> {
    if (this.#identifiers.size >= maxScripts) {
      throw new ToolError(
        `This page has ${maxScripts} init scripts, the most there can be: ${this.#list()}. Remove one.`,
      );
    }
    const size = 2 * script.length;
    this.#kept?.checkRoom(size);
    const id = `init${this.#count + 1}`;
    this.#sizes.set(id, size);
    try {
      this.#identifiers.set(id, await this.#evaluateOnNewDocument(script, id));
      this.#count += 1;
      return id;
    } catch (error) {
      this.#sizes.delete(id);
      throw error;
    }
  }

  /** Resolves with the identifier of CDP. */
  async #evaluateOnNewDocument(script: string, id: string): Promise<string> {
    const called = `(${script}\n)()`;
    const isFunction = functionStart.test(script) && (await syntaxError(this.#cdp, called, sourceName)) === undefined;
    const failure = isFunction ? undefined : await syntaxError(this.#cdp, script, sourceName);
    if (failure !== undefined) throw new ToolError(`The script is no JavaScript: ${failure}. Nothing was added.`);
    const source = `${strictDirective.exec(script)?.[0] ?? ''}${stopInBrowserPages}${isFunction ? called : script}\n//# sourceURL=${id}.js\n`;
    const { identifier } = await this.#page.evaluateOnNewDocument(source);
    return identifier;
  }

  /** One, or `all`. Resolves with those that were removed. Throws a ToolError that lists those there are. */
  async remove(id: string): Promise<string[]> {
    const removed = id === 'all' ? this.ids() : [id];
    for (const each of removed) {
      const identifier = this.#identifiers.get(each);
      if (identifier === undefined) throw new ToolError(`There is no init script ${each}. There are: ${this.#list()}.`);
      await this.#page.removeScriptToEvaluateOnNewDocument(identifier);
      this.#identifiers.delete(each);
      this.#sizes.delete(each);
    }
    return removed;
  }

  #list(): string {
    return this.ids().join(', ') || 'none';
  }
}
