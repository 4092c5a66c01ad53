import { asRead, type DragReaction } from './contract.js';
import { everyChange, isElement, isText, type AnyElement } from './elements.js';

/**
 * Resolves when the document, its open shadow roots and the frames in the same process have not changed for `quietMs`,
 * or after `limitMs`. Uses the page's own clock, so that an earlier timer of the page runs first.
 */
export function untilQuiet(quietMs: number, limitMs: number): Promise<void> {
  // Without scripts no timer runs, and nothing changes.
  if (matchMedia('(scripting: none)').matches) return Promise.resolve();
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
    let isDue = false;

    const check = (): void => {
      isDue = false;
      const found = firstShown(texts);
      if (found !== undefined) stop(found);
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

/** Whether the document shows a text now. */
export function showsText(text: string): boolean {
  return firstShown([text]) !== undefined;
}

function firstShown(texts: readonly string[]): string | undefined {
  const shown = shownText(document);
  const lower = shown.toLowerCase();
  return texts.find((text) => {
    const wanted = asRead(text);
    return shown.includes(wanted) || (lower.includes(wanted.toLowerCase()) && isInOtherCase(wanted));
  });
}

/** Ends the wait with this number; a later wait continues. */
export function stopWaiting(wait: number): void {
  if (window.textWait?.id === wait) window.textWait.stop();
}

const labelAttributes = ['aria-label', 'placeholder', 'alt', 'title'];
const labelledElements = '[aria-label],[placeholder],[alt],[title],input,textarea';

/** An empty document has no element, and one that is not HTML no `body`. */
type AnyDocument = ParentNode & {
  readonly body: { readonly innerText?: string } | null;
  readonly documentElement: Element | null;
};

/** The visible text of a document and its open shadow trees, with labels and the values of fields, except passwords. */
function shownText(shown: AnyDocument): string {
  const parts = [shown.body?.innerText ?? shown.documentElement?.textContent ?? ''];
  for (const root of openRoots(document)) {
    if (root !== document) for (const child of root.children as Iterable<AnyElement>) parts.push(child.innerText ?? '');
    for (const element of root.querySelectorAll<AnyElement>(labelledElements)) {
      for (const label of labelAttributes) parts.push(element.getAttribute(label) ?? '');
      if (element.type !== 'password') parts.push(element.value ?? '');
    }
  }
  return asRead(parts.join('\n'));
}

/** Whether a text that style sheets show in another case is written like this. */
function isInOtherCase(text: string): boolean {
  return openRoots(document).some((root) => {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const { currentNode: node } = walker;
      const parent = node.parentElement;
      if (!parent || !isText(node) || !asRead(node.data).includes(text.trim())) continue;
      if (getComputedStyle(parent).textTransform !== 'none' && parent.checkVisibility()) return true;
    }
    return false;
  });
}

/** Resolves when the current content has been drawn (two frames), or after `limitMs` in a tab that draws none. */
export function untilDrawn(limitMs: number): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => requestAnimationFrame(() => resolve()));
    setTimeout(resolve, limitMs);
  });
}

/** Whether the tab gets frames as one in front does; true also for a page that is too busy to tell. */
export function getsFrames(limitMs: number): Promise<boolean> {
  const asked = performance.now();
  return new Promise((resolve) => {
    // The first may come at once also behind another tab.
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(true)));
    setTimeout(() => resolve(performance.now() - asked > 2 * limitMs), limitMs);
  });
}

/**
 * Whether Chrome draws the document. It holds that back until there is a body, and while style sheets and scripts of the
 * head are awaited.
 */
export function isRendered(limitMs: number): Promise<boolean> {
  const { readyState, body }: { readyState: string; body: unknown } = document;
  if (readyState === 'complete' && body !== null) return Promise.resolve(true);
  return new Promise((resolve) => {
    requestAnimationFrame(() => resolve(true));
    setTimeout(() => resolve(false), limitMs);
  });
}

const dragEvents = ['pointermove', 'mousemove', 'touchmove', 'pointerup', 'mouseup', 'gotpointercapture'];
const dropMs = 60;

/** Watches the effects of a drag in the document. Called when the pointer is down. */
export function watchDrag(): void {
  window.dragWatch?.();
  let changes = 0;
  let isHandled = false;
  let isAccepted = false;
  let isDropped = false;
  const observer = new MutationObserver((records) => {
    // A sorter that gives up takes this one back.
    changes += records.filter(({ attributeName }) => attributeName !== 'draggable').length;
  });
  for (const root of openRoots(document)) observer.observe(root, everyChange);
  const onMove = (event: Event): void => {
    if (isCaptured(event) || isCanvas(event)) isHandled = true;
    // Known after the page's own listeners.
    setTimeout(() => (isHandled ||= event.defaultPrevented));
  };
  const onDrop = (): void => {
    isDropped = true;
  };
  const onOver = (event: Event): void => {
    setTimeout(() => (isAccepted = event.defaultPrevented));
  };
  const onInput = (): void => {
    changes++;
  };
  const listeners = new Map<string, (event: Event) => void>([
    ...dragEvents.map((type) => [type, onMove] as const),
    ['dragover', onOver],
    ['drop', onDrop],
    ['input', onInput],
  ]);
  for (const [type, listener] of listeners) addEventListener(type, listener, { capture: true, passive: true });
  window.dragWatch = () => {
    observer.disconnect();
    for (const [type, listener] of listeners) removeEventListener(type, listener, { capture: true });
    delete window.dragWatch;
    return { changes, isHandled, isAccepted, isDropped };
  };
}

/** By the page: a finger is captured by the browser itself. */
const isCaptured = (event: Event): boolean =>
  event.type === 'gotpointercapture' && event instanceof PointerEvent && event.pointerType !== 'touch';

/** Drawing on a canvas does not count as a change. */
const isCanvas = ({ target }: Event): boolean =>
  target instanceof Node && isElement(target) && target.localName === 'canvas';

function openRoots(root: Document | ShadowRoot): (Document | ShadowRoot)[] {
  const inner = [...root.querySelectorAll('*')].flatMap(({ shadowRoot }) => (shadowRoot ? openRoots(shadowRoot) : []));
  return [root, ...inner];
}

/** Resolves to what happened since `watchDrag`, a moment after the drop. */
export async function readDrag(): Promise<DragReaction> {
  await new Promise((resolve) => setTimeout(resolve, dropMs));
  const reaction = window.dragWatch?.() ?? { changes: 0, isHandled: false, isAccepted: false, isDropped: false };
  // What was selected by the way would itself be dragged the next time.
  if (reaction.changes === 0 && !reaction.isHandled) document.getSelection()?.removeAllRanges();
  return reaction;
}

interface DroppedFiles {
  /** Resolves when the page requests files. */
  readonly asked: Promise<void>;
  readonly stop: () => void;
}

type DroppedItem = DataTransferItem & { getAsFileSystemHandle?: () => Promise<object | null> };

/**
 * Called on a node, in the world of its page. Until `stop`, the page's requests for files are answered with handles of what
 * is dropped next, which the page does not see.
 */
export function takeDroppedFiles(this: Node): DroppedFiles {
  const page: unknown = this.ownerDocument?.defaultView;
  let tell = (): void => undefined;
  const asked = new Promise<void>((resolve) => (tell = resolve));
  let answer = (_: readonly object[]): void => undefined;
  const handles = new Promise<readonly object[]>((resolve) => (answer = resolve));
  const onDrag = (event: DragEvent): void => {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (event.type !== 'drop') return;
    const items: DroppedItem[] = [...(event.dataTransfer?.items ?? [])];
    const reading = items.map(async (item) => (await item.getAsFileSystemHandle?.()) ?? []);
    void Promise.all(reading).then((found) => answer(found.flat()));
  };
  const pickers = new Map<string, (found: readonly object[]) => unknown>([
    ['showOpenFilePicker', (found) => found],
    ['showDirectoryPicker', ([folder]) => folder],
  ]);
  const dragEvents = ['dragenter', 'dragover', 'drop'] as const;
  const undo: (() => void)[] = [];
  const stop = (): void => undo.splice(0).forEach((restore) => restore());
  if (!(page instanceof Window)) return { asked, stop };
  for (const [name, valueOf] of pickers) {
    const original = Object.getOwnPropertyDescriptor(page, name);
    if (original === undefined) continue;
    const ask = async (): Promise<unknown> => {
      for (const type of dragEvents) {
        page.addEventListener(type, onDrag, true);
        undo.push(() => page.removeEventListener(type, onDrag, true));
      }
      tell();
      return valueOf(await handles);
    };
    Object.defineProperty(page, name, { ...original, value: ask });
    undo.push(() => Object.defineProperty(page, name, original));
  }
  return { asked, stop };
}
