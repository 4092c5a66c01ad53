import { untilAborted } from '../../async.js';
import { stopWaiting, untilText } from '../cdp/injectedFunctions.js';
import type { FrameDocument } from './frames.js';
import type { SessionPage } from './sessionPage.js';

let waitCount = 0;

/**
 * Resolves to the first of `texts` that any frame of the page shows, across navigations; rejects with the signal's
 * reason. Each document watches itself and answers when its content changes.
 */
export async function waitForText(page: SessionPage, texts: readonly string[], signal: AbortSignal): Promise<string> {
  const wait = ++waitCount;
  let documents: readonly FrameDocument[] = [];
  const renewal = new DocumentChangeWatcher(page);
  try {
    for (;;) {
      signal.throwIfAborted();
      const renewed = renewal.nextChange();
      documents = await page.frames.documents();
      const found = await untilAborted(Promise.race([renewed, firstShown(page, documents, texts, wait)]), signal);
      if (found !== undefined) return found;
    }
  } finally {
    renewal.dispose();
    void Promise.allSettled(documents.map((document) => page.callInIsolatedWorld(stopWaiting, [wait], document)));
  }
}

/** Tells when the page has other documents than those that were asked. */
class DocumentChangeWatcher {
  readonly #page: SessionPage;
  #resolve = (): void => undefined;
  readonly #renew = (): void => this.#resolve();

  constructor(page: SessionPage) {
    this.#page = page;
    page.cdp.on('Page.frameNavigated', this.#renew);
    page.cdp.on('Page.frameAttached', this.#renew);
  }

  nextChange(): Promise<undefined> {
    return new Promise((resolve) => (this.#resolve = () => resolve(undefined)));
  }

  dispose(): void {
    this.#page.cdp.off('Page.frameNavigated', this.#renew);
    this.#page.cdp.off('Page.frameAttached', this.#renew);
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
      // A document that is left while it watches never answers; its successor is asked.
      void page.callInIsolatedWorld(untilText, [texts, wait], document).then(
        (found) => {
          if (typeof found === 'string') resolve(found);
        },
        () => undefined,
      );
    }
  });
}
