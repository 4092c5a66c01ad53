import type { AnyElement } from './elements.js';

const everyChange = { subtree: true, childList: true, attributes: true, characterData: true };

/**
 * Resolves when nothing of the document, its open shadow roots and the frames in the same process changed for
 * `quietMs`, or after `limitMs`. Uses the page's own clock, so that a timer of the page that is due earlier comes first.
 */
export function untilQuiet(quietMs: number, limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    const limit = setTimeout(finish, limitMs);
    const roots = new Set<Node>();
    const observer = new MutationObserver(restart);
    let timer: ReturnType<typeof setTimeout> | undefined;

    function restart(): void {
      clearTimeout(timer);
      timer = setTimeout(check, quietMs);
    }
    function watch(root: Document | ShadowRoot): void {
      if (!roots.has(root)) {
        roots.add(root);
        observer.observe(root, everyChange);
      }
      for (const element of root.querySelectorAll<AnyElement>('*')) {
        const inner = element.shadowRoot ?? element.contentDocument;
        if (inner) watch(inner);
      }
    }
    // No mutation record announces a new shadow root or the new document of a frame.
    function check(): void {
      const known = roots.size;
      watch(document);
      if (roots.size === known) finish();
      else restart();
    }
    function finish(): void {
      clearTimeout(limit);
      clearTimeout(timer);
      observer.disconnect();
      resolve();
    }

    watch(document);
    restart();
  });
}

interface TextWait {
  readonly id: number;
  readonly stop: () => void;
}

declare global {
  interface Window {
    /** The wait of the latest `untilText` in this world. */
    textWait?: TextWait;
  }
}

const checkDelayMs = 10;
const checkIntervalMs = 500;

/**
 * Resolves to the first of `texts` that the document shows, or to undefined when `stopWaiting` or the next wait ends it.
 * Checks after mutations, and twice a second for changes without one (style sheets, values).
 */
export function untilText(texts: readonly string[], wait: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    window.textWait?.stop();
    const wanted = texts.map((text) => ({ text, collapsed: collapse(text) }));
    let isDue = false;

    const check = (): void => {
      isDue = false;
      const shown = shownText(document);
      const found = wanted.find(({ collapsed }) => shown.includes(collapsed));
      if (found !== undefined) stop(found.text);
    };
    const observer = new MutationObserver(() => {
      if (isDue) return;
      isDue = true;
      setTimeout(check, checkDelayMs);
    });
    const interval = setInterval(check, checkIntervalMs);
    function stop(found?: string): void {
      observer.disconnect();
      clearInterval(interval);
      resolve(found);
    }

    window.textWait = { id: wait, stop: () => stop() };
    observer.observe(document, everyChange);
    check();
  });
}

/** Ends the wait with this number, and no later one. */
export function stopWaiting(wait: number): void {
  if (window.textWait?.id === wait) window.textWait.stop();
}

const collapse = (text: string): string => text.replace(/\s+/g, ' ');

const labelAttributes = ['aria-label', 'placeholder', 'alt', 'title'];
const labelledElements = '[aria-label],[placeholder],[alt],[title],input,textarea';

/** An empty document has no element, and one that is not HTML no `body`. */
type AnyDocument = ParentNode & {
  readonly body: { readonly innerText?: string } | null;
  readonly documentElement: Element | null;
};

/** The visible text of a document with labels and the values of fields, except passwords. */
function shownText(root: AnyDocument): string {
  const parts = [root.body?.innerText ?? root.documentElement?.textContent ?? ''];
  for (const element of root.querySelectorAll<AnyElement>(labelledElements)) {
    for (const label of labelAttributes) parts.push(element.getAttribute(label) ?? '');
    if (element.type !== 'password') parts.push(element.value ?? '');
  }
  return collapse(parts.join('\n'));
}

/** Resolves when the current content has been drawn (two frames), or after `limitMs` in a tab that draws none. */
export function untilDrawn(limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
    setTimeout(resolve, limitMs);
  });
}
