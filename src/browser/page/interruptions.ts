import type { CDPSession, Protocol } from 'puppeteer-core';
import { noop } from '../../async.js';
import { ToolError } from '../../errors/errors.js';
import { shortenText } from '../../text.js';

/**
 * The reason why a page does not answer: a dialog or a pause, which a tool ends, or a crash, which the next load ends.
 */
export interface Interruption {
  readonly kind: 'dialog' | 'pause' | 'crash';
  /** Names the interruption, and the tool that ends it. */
  describe(): string;
}

/**
 * The interruptions of one page, which its dialogs, the debugger and its page set report. While there is one the page does not answer,
 * so the tools that meet it say so at once. Owned by its page.
 */
export class Interruptions {
  readonly #open: Interruption[] = [];
  readonly #watchers: ((interruption: Interruption) => void)[] = [];

  /** The newest. */
  get current(): Interruption | undefined {
    return this.#open.at(-1);
  }

  /** Reports an interruption. The returned function ends it; idempotent. */
  begin(interruption: Interruption): () => void {
    this.#open.push(interruption);
    this.#watchers.at(-1)?.(interruption);
    return () => {
      const index = this.#open.indexOf(interruption);
      if (index !== -1) this.#open.splice(index, 1);
    };
  }

  get isCrashed(): boolean {
    return this.current?.kind === 'crash';
  }

  /** Throws a ToolError while the page is interrupted. A crashed page can still load a document. */
  throwIfOpen(navigates: boolean): void {
    if (this.current && !(navigates && this.isCrashed)) throw new ToolError(this.current.describe());
  }

  /**
   * The result of `work`, or of `onInterruption` if the page is interrupted meanwhile. Of nested calls, the innermost gets
   * it. `work` continues when the interruption ends; its result is then discarded.
   */
  async runUntilInterrupted<T>(work: () => Promise<T>, onInterruption: (interruption: Interruption) => T): Promise<T> {
    let watcher = (_: Interruption): void => undefined;
    const interrupted = new Promise<T>((resolve, reject) => {
      watcher = (interruption) => {
        try {
          resolve(onInterruption(interruption));
        } catch (error) {
          reject(error);
        }
      };
    });
    this.#watchers.push(watcher);
    try {
      return await Promise.race([work(), interrupted]);
    } finally {
      this.#watchers.splice(this.#watchers.indexOf(watcher), 1);
    }
  }
}

/** The open dialog of a page. It blocks the page's main thread. */
export interface OpenDialog {
  readonly type: Protocol.Page.DialogType;
  readonly message: string;
  /** The default text of a prompt. */
  readonly defaultPrompt: string;
}

/** The message about an open dialog, with the tool that handles it. */
export function describeDialog(dialog: OpenDialog): string {
  const text = dialog.type === 'beforeunload' ? 'leave the page?' : JSON.stringify(shortenText(dialog.message, 500));
  return `A dialog is open (${dialog.type}: ${text}). Answer it with handle_dialog.`;
}

/**
 * The page's dialog (CDP Page.javascriptDialogOpening), left open until a tool handles it. Owned by its page; needs
 * `Page.enable` on the session.
 */
export class Dialogs {
  #open: OpenDialog | undefined;
  #end: () => void = noop;
  readonly #cdp: CDPSession;

  constructor(cdp: CDPSession, interruptions: Interruptions) {
    this.#cdp = cdp;
    cdp.on('Page.javascriptDialogOpening', (event) => {
      const dialog = { type: event.type, message: event.message, defaultPrompt: event.defaultPrompt ?? '' };
      this.#open = dialog;
      this.#end = interruptions.begin({ kind: 'dialog', describe: () => describeDialog(dialog) });
    });
    cdp.on('Page.javascriptDialogClosed', () => {
      this.#open = undefined;
      this.#end();
    });
  }

  get open(): OpenDialog | undefined {
    return this.#open;
  }

  /** `Page.handleJavaScriptDialog`. Throws a ToolError when none is open. */
  async answer(accept: boolean, promptText?: string): Promise<OpenDialog> {
    const dialog = this.#open;
    if (!dialog) throw new ToolError('No dialog is open on this page, so there is nothing to answer.');
    await this.#cdp.send('Page.handleJavaScriptDialog', {
      accept,
      promptText: promptText ?? dialog.defaultPrompt,
    });
    return dialog;
  }
}
