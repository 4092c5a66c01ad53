import type { DragReaction } from './contract.js';
import { isElement, type AnyElement } from './elements.js';

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
    /** Of the latest `watchDrag` in this world; the end of it. */
    dragWatch?: () => DragReaction;
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

const dragEvents = ['pointermove', 'mousemove', 'touchmove', 'pointerup', 'mouseup', 'gotpointercapture'];
const dropMs = 60;

/** Watches what a drag does in the document: begins when the pointer is down. */
export function watchDrag(): void {
  window.dragWatch?.();
  let changes = 0;
  let isHandled = false;
  let isDropped = false;
  const observer = new MutationObserver((records) => {
    // A sorter that gives up takes this one back.
    changes += records.filter(({ attributeName }) => attributeName !== 'draggable').length;
  });
  for (const root of openRoots(document)) observer.observe(root, everyChange);
  const onMove = (event: Event): void => {
    if (event.type === 'gotpointercapture' || isCanvas(event)) isHandled = true;
    // Known after the page's own listeners.
    setTimeout(() => (isHandled ||= event.defaultPrevented));
  };
  const onDrop = (): void => {
    isDropped = true;
  };
  const onInput = (): void => {
    changes++;
  };
  const listeners = new Map<string, (event: Event) => void>([
    ...dragEvents.map((type) => [type, onMove] as const),
    ['drop', onDrop],
    ['input', onInput],
  ]);
  for (const [type, listener] of listeners) addEventListener(type, listener, { capture: true, passive: true });
  window.dragWatch = () => {
    observer.disconnect();
    for (const [type, listener] of listeners) removeEventListener(type, listener, { capture: true });
    delete window.dragWatch;
    return { changes, isHandled, isDropped };
  };
}

/** What is drawn on it is nobody's change. */
const isCanvas = ({ target }: Event): boolean =>
  target instanceof Node && isElement(target) && target.localName === 'canvas';

function openRoots(root: Document | ShadowRoot): (Document | ShadowRoot)[] {
  const inner = [...root.querySelectorAll('*')].flatMap(({ shadowRoot }) => (shadowRoot ? openRoots(shadowRoot) : []));
  return [root, ...inner];
}

/** Resolves to what happened since `watchDrag`, a moment after the drop. */
export async function readDrag(): Promise<DragReaction> {
  await new Promise((resolve) => setTimeout(resolve, dropMs));
  const reaction = window.dragWatch?.() ?? { changes: 0, isHandled: false, isDropped: false };
  // What was selected by the way would itself be dragged the next time.
  if (reaction.changes === 0 && !reaction.isHandled) document.getSelection()?.removeAllRanges();
  return reaction;
}
