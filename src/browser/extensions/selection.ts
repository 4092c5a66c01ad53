import type { ContextKind } from './contexts.js';

/** A context as it was when it was selected. Whether it still runs, only the browser knows. */
export interface SelectedContext {
  readonly contextId: string;
  readonly extensionId: string;
  readonly kind: ContextKind;
  readonly url: string;
  /** The session's page that shows it, or that its content script runs in. */
  readonly pageId?: number;
}

/** The context that a session works on when none is named. Owned by its browser, and lost with it. */
export class ContextSelection {
  #selected: SelectedContext | undefined;

  get selected(): SelectedContext | undefined {
    return this.#selected;
  }

  select(context: SelectedContext): void {
    this.#selected = context;
  }
}
