import { untilAborted } from '../../async.js';
import { setTimeout as delay } from 'node:timers/promises';
import { showsText, stopWaiting, untilText } from '../cdp/injectedFunctions.js';
import { asRead } from '../injected/contract.js';
import { readClosedText } from './clickable.js';
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
  const finished = new AbortController();
  const closed = firstInClosedTrees(page, texts, AbortSignal.any([signal, finished.signal]));
  try {
    for (;;) {
      signal.throwIfAborted();
      const changed = changes.nextChange();
      documents = await page.frames.documents();
      const found = await untilAborted(
        Promise.race([changed, closed, firstShown(page, documents, texts, wait)]),
        signal,
      );
      if (found !== undefined) return found;
    }
  } finally {
    finished.abort();
    changes.dispose();
    void Promise.allSettled(documents.map((document) => page.callInIsolatedWorld(stopWaiting, [wait], document)));
  }
}

const closedTreeIntervalMs = 1_000;

/** Looks from time to time, since no observer sees these trees; less often where a look takes long. Never rejects. */
async function firstInClosedTrees(
  page: SessionPage,
  texts: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (;;) {
    const started = performance.now();
    const reading = page.frames.sessions().map((cdp) => readClosedText(cdp).catch(() => ''));
    const shown = asRead((await Promise.all(reading)).join('\n'));
    const found = shown === '' ? undefined : texts.find((text) => shown.includes(asRead(text)));
    if (found !== undefined) return found;
    const tookMs = performance.now() - started;
    const isOver = await delay(Math.max(closedTreeIntervalMs, tookMs * 10), false, { signal }).catch(() => true);
    if (isOver) return undefined;
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

const pollMs = 100;

/** Resolves when no frame of the page shows the text. Rejects with the signal's reason. */
export async function waitForTextGone(page: SessionPage, text: string, signal: AbortSignal): Promise<void> {
  await pollUntil(signal, async () => {
    const documents = await page.frames.documents();
    // A document that is replaced meanwhile does not answer: its successor is asked in the next round.
    const shown = documents.map((document) => page.callInIsolatedWorld(showsText, [text], document).catch(() => true));
    const closed = page.frames.sessions().map((cdp) => readClosedText(cdp).catch(() => ''));
    const isShown = (await Promise.all(shown)).some((is) => is === true);
    return isShown || asRead((await Promise.all(closed)).join('\n')).includes(asRead(text)) ? undefined : true;
  });
}

/** Calls `look` from time to time until it finds something. */
export async function pollUntil<T>(
  signal: AbortSignal,
  look: () => Promise<T | undefined> | T | undefined,
  intervalMs = pollMs,
): Promise<T> {
  for (;;) {
    const found = await untilAborted(Promise.resolve(look()), signal);
    if (found !== undefined) return found;
    await delay(intervalMs, undefined, { signal });
  }
}
