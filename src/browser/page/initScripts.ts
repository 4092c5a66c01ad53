import type { CDPSession, Page } from 'puppeteer-core';
import { syntaxError } from '../cdp/cdpSessions.js';
import { ToolError } from '../../errors/errors.js';

const maxScripts = 20;
const sourceName = 'init.js';
/** A function alone would define nothing and do nothing. */
const functionStart = /^\s*(?:async\b\s*)?(?:function\b|\([^()]*\)\s*=>|\w+\s*=>)/;

/**
 * Scripts that run before those of the page in every document that it loads, also in its frames (CDP
 * Page.addScriptToEvaluateOnNewDocument). Owned by the page; they end with it.
 */
export class InitScripts {
  readonly #page: Page;
  readonly #cdp: CDPSession;
  /** The identifiers of CDP, by ours. */
  readonly #identifiers = new Map<string, string>();
  #count = 0;

  constructor(page: Page, cdp: CDPSession) {
    this.#page = page;
    this.#cdp = cdp;
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
    const called = `(${script}\n)()`;
    const isFunction = functionStart.test(script) && (await syntaxError(this.#cdp, called, sourceName)) === undefined;
    const failure = isFunction ? undefined : await syntaxError(this.#cdp, script, sourceName);
    if (failure !== undefined) throw new ToolError(`The script is no JavaScript: ${failure}. Nothing was added.`);
    const id = `init${++this.#count}`;
    const source = `${isFunction ? called : script}\n//# sourceURL=${id}.js\n`;
    const { identifier } = await this.#page.evaluateOnNewDocument(source);
    this.#identifiers.set(id, identifier);
    return id;
  }

  /** One, or `all`. Resolves with those that were removed. Throws a ToolError that lists those there are. */
  async remove(id: string): Promise<string[]> {
    const removed = id === 'all' ? this.ids() : [id];
    for (const each of removed) {
      const identifier = this.#identifiers.get(each);
      if (identifier === undefined) throw new ToolError(`There is no init script ${each}. There are: ${this.#list()}.`);
      await this.#page.removeScriptToEvaluateOnNewDocument(identifier);
      this.#identifiers.delete(each);
    }
    return removed;
  }

  #list(): string {
    return this.ids().join(', ') || 'none';
  }
}
