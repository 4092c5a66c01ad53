import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';

/** A dialog of the page's, open now. While it is, the page's own thread stands still. */
export interface OpenDialog {
  readonly type: Protocol.Page.DialogType;
  readonly message: string;
  /** What a prompt proposes. */
  readonly defaultPrompt: string;
}

/** What a model reads about an open dialog, with what to do about it. */
export function describeDialog(dialog: OpenDialog): string {
  const text = dialog.type === 'beforeunload' ? 'leave the page?' : JSON.stringify(dialog.message.slice(0, 500));
  return `A dialog is open (${dialog.type}: ${text}). Answer it with handle_dialog.`;
}

/**
 * The page's dialog (`Page.javascriptDialogOpening`), left open until somebody answers it. Owned by its page; needs
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

  /** Refuses what cannot work while the page's thread stands still. */
  throwIfOpen(): void {
    if (this.#open) throw new ToolError(describeDialog(this.#open));
  }

  /**
   * `work`, or what `onDialog` makes of a dialog that opens meanwhile. Of nested calls the innermost one decides. What
   * `work` still does goes on once the dialog is answered; its outcome is then nobody's.
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
