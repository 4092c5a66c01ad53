import type { CDPSession, Protocol } from 'puppeteer-core';
import { noop } from '../../async.js';
import { ToolError } from '../../errors/errors.js';
import { shortenText } from '../../text.js';
import type { Interruptions } from './interruptions.js';

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
