import { untilAborted } from '../../async.js';
import { stopWaiting, untilText } from '../cdp/injectedFunctions.js';
import type { FrameDocument } from './frames.js';
import type { SessionPage } from './sessionPage.js';

let waitCount = 0;

/**
 * Resolves with the first of `texts` that any frame of the page shows, across navigations. Rejects with the signal's
 * reason. An injected observer in each document reports its changes.
 */
export async function waitForText(page: SessionPage, texts: readonly string[], signal: AbortSignal): Promise<string> {
  const wait = ++waitCount;
  let documents: readonly FrameDocument[] = [];
  const changes = new DocumentChangeWatcher(page);
  try {
    for (;;) {
      signal.throwIfAborted();
      const changed = changes.nextChange();
      documents = await page.frames.documents();
      const found = await untilAborted(Promise.race([changed, firstShown(page, documents, texts, wait)]), signal);
      if (found !== undefined) return found;
    }
  } finally {
    changes.dispose();
    void Promise.allSettled(documents.map((document) => page.callInIsolatedWorld(stopWaiting, [wait], document)));
  }
}

/** Reports when a document of the page was added or replaced. */
class DocumentChangeWatcher {
  readonly #page: SessionPage;
  #resolve = (): void => undefined;
  readonly #onChange = (): void => this.#resolve();

  constructor(page: SessionPage) {
    this.#page = page;
    page.cdp.on('Page.frameNavigated', this.#onChange);
    page.cdp.on('Page.frameAttached', this.#onChange);
  }

  nextChange(): Promise<undefined> {
    return new Promise((resolve) => (this.#resolve = () => resolve(undefined)));
  }

  dispose(): void {
    this.#page.cdp.off('Page.frameNavigated', this.#onChange);
    this.#page.cdp.off('Page.frameAttached', this.#onChange);
  }
}

function firstShown(
  page: SessionPage,
  documents: readonly FrameDocument[],
  texts: readonly string[],
  wait: number,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    for (const document of documents) {
      // A document that is replaced meanwhile never answers; its successor is searched in the next round.
      void page.callInIsolatedWorld(untilText, [texts, wait], document).then(
        (found) => {
          if (typeof found === 'string') resolve(found);
        },
        () => undefined,
      );
    }
  });
}
