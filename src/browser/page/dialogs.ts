import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import { shortenText } from '../../text.js';

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
  readonly #watchers: ((dialog: OpenDialog) => void)[] = [];
  readonly #cdp: CDPSession;

  constructor(cdp: CDPSession) {
    this.#cdp = cdp;
    cdp.on('Page.javascriptDialogOpening', (event) => {
      this.#open = { type: event.type, message: event.message, defaultPrompt: event.defaultPrompt ?? '' };
      this.#watchers.at(-1)?.(this.#open);
    });
    cdp.on('Page.javascriptDialogClosed', () => (this.#open = undefined));
  }

  get open(): OpenDialog | undefined {
    return this.#open;
  }

  /** Throws a ToolError while a dialog blocks the page. */
  throwIfOpen(): void {
    if (this.#open) throw new ToolError(describeDialog(this.#open));
  }

  /**
   * The result of `work`, or of `onDialog` if a dialog opens meanwhile. Of nested calls, the innermost gets the dialog.
   * `work` continues when the dialog is answered; its result is then discarded.
   */
  async runUntilDialog<T>(work: () => Promise<T>, onDialog: (dialog: OpenDialog) => T): Promise<T> {
    let watcher = (_: OpenDialog): void => undefined;
    const opened = new Promise<T>((resolve, reject) => {
      watcher = (dialog) => {
        try {
          resolve(onDialog(dialog));
        } catch (error) {
          reject(error);
        }
      };
    });
    this.#watchers.push(watcher);
    try {
      return await Promise.race([work(), opened]);
    } finally {
      this.#watchers.splice(this.#watchers.indexOf(watcher), 1);
    }
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
