import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { setTimeout as delay } from 'node:timers/promises';
import { ToolError } from '../../errors/errors.js';
import type { DragReaction } from '../injected/contract.js';
import { readDrag, watchDrag } from '../cdp/injectedFunctions.js';
import type { PageElement, Point } from './element.js';
import type { FrameDocument } from './frames.js';
import type { SessionPage } from './sessionPage.js';

/** One way to drag: the time that the button or the finger rests before it moves. */
interface DragManner {
  readonly by: 'mouse' | 'touch';
  readonly restMs: number;
}

/** The next one is tried when nothing on the page reacted. Sorters begin after some way, after a rest, or for a finger only. */
const manners: readonly DragManner[] = [
  { by: 'mouse', restMs: 300 },
  { by: 'mouse', restMs: 1_100 },
  { by: 'touch', restMs: 600 },
];
/** Sorters look at where the pointer is twenty times a second. */
const restOverTargetMs = 150;
/** The first moves, in pixels: each sorter has its own way before which it sees a click. */
const firstSteps = [2, 6, 12, 20];
const steps = 10;
const held = { button: 'left', buttons: 1 } as const;

const reactionSchema = z.object({
  changes: z.number(),
  isHandled: z.boolean(),
  isAccepted: z.boolean(),
  isDropped: z.boolean(),
}) satisfies z.ZodType<DragReaction>;

/**
 * Drags an element onto another one, scrolling between them. HTML drag and drop is intercepted and dispatched (CDP
 * Input.setInterceptDrags), since a headless browser has no desktop that would do it. Throws a ToolError when nothing on
 * the page reacted.
 */
export async function dragElement(
  page: SessionPage,
  from: PageElement,
  to: PageElement,
  signal: AbortSignal,
): Promise<void> {
  await to.waitUntilActionable('keyboard');
  for (const manner of manners) {
    const acting = await from.waitUntilActionable('pointer');
    signal.throwIfAborted();
    const drag = new Drag(page, acting, to, manner);
    const reaction = await drag.run(signal);
    if (drag.hasData && !reaction.isDropped) {
      throw new ToolError(
        `uid ${from.uid} can be dragged, but uid ${to.uid} does not take it: drop it on another one.`,
      );
    }
    if (drag.hasData || reaction.changes > 0 || reaction.isHandled) return;
  }
  throw new ToolError(
    `Nothing on the page reacted to dragging uid ${from.uid} onto uid ${to.uid}, neither by mouse nor by touch. ` +
      'Drag its handle, or the element around it that can be moved.',
  );
}

class Drag {
  readonly #page: SessionPage;
  readonly #from: PageElement;
  readonly #to: PageElement;
  readonly #manner: DragManner;
  readonly #documents: readonly FrameDocument[];
  #data: Protocol.Input.DragData | undefined;
  #isOver = false;

  constructor(page: SessionPage, from: PageElement, to: PageElement, manner: DragManner) {
    this.#page = page;
    this.#from = from;
    this.#to = to;
    this.#manner = manner;
    const documents = [from.address.document, to.address.document];
    this.#documents = documents.filter(({ frameId }, index) => index === 0 || frameId !== documents[0]?.frameId);
  }

  /** Whether the page started an HTML drag. */
  get hasData(): boolean {
    return this.#data !== undefined;
  }

  async run(signal: AbortSignal): Promise<DragReaction> {
    const sessions = [...new Set([this.#page.cdp, this.#from.address.document.cdp])];
    const onDrag = ({ data }: Protocol.Input.DragInterceptedEvent): void => void (this.#data = data);
    for (const cdp of sessions) cdp.on('Input.dragIntercepted', onDrag);
    try {
      await this.#intercept(sessions, true);
      await this.#move(signal);
      return await this.#reaction();
    } finally {
      for (const cdp of sessions) cdp.off('Input.dragIntercepted', onDrag);
      await this.#intercept(sessions, false);
    }
  }

  async #intercept(sessions: readonly CDPSession[], enabled: boolean): Promise<void> {
    await Promise.all(sessions.map((cdp) => cdp.send('Input.setInterceptDrags', { enabled }).catch(() => undefined)));
  }

  async #move(signal: AbortSignal): Promise<void> {
    const start = await this.#from.clickablePoint();
    await this.#press(start);
    let at = start;
    try {
      await delay(this.#manner.restMs, undefined, { signal });
      await Promise.all(this.#documents.map((document) => this.#page.callInIsolatedWorld(watchDrag, [], document)));
      const near = await this.#to.clickablePoint();
      for (const step of firstSteps) await this.#moveTo((at = between(start, near, step / distance(start, near))));
      await this.#to.scrollIntoView();
      const end = await this.#to.clickablePoint();
      const origin = at;
      for (let step = 1; step <= steps; step++) await this.#moveTo((at = between(origin, end, step / steps)));
      // What moves aside for it may need a further move to be noticed.
      for (const right of [1, 0]) await this.#moveTo((at = { x: end.x + right, y: end.y }));
      await delay(restOverTargetMs, undefined, { signal });
      if (!this.#data) return;
      await this.#dispatchDrag('dragOver', at);
      await this.#dispatchDrag('drop', at);
    } finally {
      await this.#release(at);
    }
  }

  async #press(at: Point): Promise<void> {
    const { cdp } = this.#page;
    if (this.#manner.by === 'touch') {
      await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [at] });
      return;
    }
    await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at });
    await cdp.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...at, ...held, clickCount: 1 });
  }

  async #moveTo(at: Point): Promise<void> {
    const { cdp } = this.#page;
    if (this.#data) return this.#dispatchDrag('dragOver', at);
    if (this.#manner.by === 'touch')
      await cdp.send('Input.dispatchTouchEvent', { type: 'touchMove', touchPoints: [at] });
    else await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at, ...held });
  }

  async #dispatchDrag(type: 'dragOver' | 'drop', at: Point): Promise<void> {
    const { cdp } = this.#page;
    const data = this.#data;
    if (!data) return;
    if (!this.#isOver) await cdp.send('Input.dispatchDragEvent', { type: 'dragEnter', ...at, data });
    // Each process has to be entered, and which one is at a point is not known.
    this.#isOver = this.#from.address.document.cdp === this.#to.address.document.cdp;
    await cdp.send('Input.dispatchDragEvent', { type, ...at, data });
  }

  async #release(at: Point): Promise<void> {
    const { cdp } = this.#page;
    if (this.#manner.by === 'touch') await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] });
    else await cdp.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at, button: 'left', clickCount: 1 });
  }

  /** A document that the drop replaced has reacted. */
  async #reaction(): Promise<DragReaction> {
    const replaced: DragReaction = { changes: 1, isHandled: true, isAccepted: true, isDropped: true };
    const reactions = await Promise.all(
      this.#documents.map(async (document) =>
        reactionSchema.parse(await this.#page.callInIsolatedWorld(readDrag, [], document).catch(() => replaced)),
      ),
    );
    return {
      changes: reactions.reduce((total, { changes }) => total + changes, 0),
      isHandled: reactions.some(({ isHandled }) => isHandled),
      isAccepted: reactions.some(({ isAccepted }) => isAccepted),
      isDropped: reactions.some(({ isDropped }) => isDropped),
    };
  }
}

const distance = (one: Point, other: Point): number => Math.max(1, Math.hypot(other.x - one.x, other.y - one.y));

const between = (from: Point, to: Point, part: number): Point => {
  const share = Math.min(part, 1);
  return { x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share };
};
