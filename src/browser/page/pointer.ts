import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { scrollNearest } from '../cdp/injectedFunctions.js';
import type { ScrollMove, ScrollResult } from '../injected/contract.js';
import { clickAt, movePointer, type MouseButton } from './deviceInput.js';
import { findElement, type Point } from './element.js';
import type { SessionPage } from './sessionPage.js';

const resultSchema = z
  .object({
    box: z.string(),
    moved: z.number(),
    position: z.number(),
    shown: z.number(),
    total: z.number(),
  })
  .nullable() satisfies z.ZodType<ScrollResult | null>;

/**
 * Scrolls the box around an element, or the document. Resolves with the new position. Throws a ToolError if nothing can
 * scroll that way.
 */
export async function scroll(page: SessionPage, uid: string | undefined, move: ScrollMove): Promise<ScrollResult> {
  const element = uid === undefined ? undefined : await findElement(page, uid);
  const answer = element
    ? await element.call(scrollNearest, move)
    : await page.callInIsolatedWorld(scrollNearest, [move]);
  const result = resultSchema.parse(answer);
  if (result) return result;
  const around = uid === undefined ? 'The page does not scroll' : `Nothing around uid ${uid} scrolls`;
  throw new ToolError(
    `${around} ${move.direction}: all of it is shown in that direction. For the list or frame in it, pass the uid of ` +
      'one of its elements; a map or canvas takes pointer with action wheel.',
  );
}

export async function scrollIntoView(page: SessionPage, uid: string): Promise<void> {
  const element = await findElement(page, uid);
  await element.scrollIntoView();
}

interface PointOptions {
  /** The points are real pixels of the page's last screenshot, not CSS pixels of its viewport. */
  readonly inScreenshot: boolean;
}

/**
 * Points in CSS pixels of the viewport. Scrolls to points of a picture that shows more than the viewport. Throws a
 * ToolError for a point outside, and without a picture.
 */
export async function pointsIn(
  page: SessionPage,
  points: readonly Point[],
  { inScreenshot }: PointOptions,
): Promise<readonly Point[]> {
  if (!inScreenshot) {
    const { width, height } = await viewportOf(page);
    for (const point of points) requireInside(point, { width, height }, 'the page shows');
    return points;
  }
  const area = page.lastScreenshot;
  if (area === undefined)
    throw new ToolError(
      'There is no screenshot to find these pixels in. Call take_screenshot first, without fullPage.',
    );
  const size = { width: Math.round(area.width * area.scale), height: Math.round(area.height * area.scale) };
  for (const point of points) requireInside(point, size, 'its last screenshot has');
  const inDocument = points.map(({ x, y }) => ({ x: area.x + x / area.scale, y: area.y + y / area.scale }));
  const offset = await offsetFor(page, inDocument);
  return inDocument.map(({ x, y }) => ({ x: x - offset.x, y: y - offset.y }));
}

function requireInside(
  { x, y }: Point,
  { width, height }: { readonly width: number; readonly height: number },
  of: string,
): void {
  if (x < width && y < height) return;
  throw new ToolError(`${x}, ${y} is outside: ${of} ${width} × ${height} pixels.`);
}

async function viewportOf(page: SessionPage) {
  const { cssVisualViewport } = await page.cdp.send('Page.getLayoutMetrics');
  const { pageX, pageY, clientWidth, clientHeight } = cssVisualViewport;
  return { x: pageX, y: pageY, width: Math.round(clientWidth), height: Math.round(clientHeight) };
}

/** Where the viewport begins in the document, once it shows the points. */
async function offsetFor(page: SessionPage, points: readonly Point[]): Promise<Point> {
  const shown = await viewportOf(page);
  const isShown = ({ x, y }: Point): boolean =>
    x >= shown.x && y >= shown.y && x < shown.x + shown.width && y < shown.y + shown.height;
  const [first] = points;
  if (first === undefined || points.every(isShown)) return shown;
  const [x, y] = [first.x - shown.width / 2, first.y - shown.height / 2];
  await page.cdp.send('Runtime.evaluate', {
    expression: `scrollTo({ left: ${x}, top: ${y}, behavior: 'instant' })`,
    contextId: await page.isolatedWorldOf(page.cdp, page.frames.mainId),
  });
  return viewportOf(page);
}

export type PointerAction =
  | { readonly action: 'click'; readonly button: MouseButton; readonly count: 1 | 2 }
  | { readonly action: 'move' }
  | { readonly action: 'drag' }
  | { readonly action: 'wheel'; readonly deltaX: number; readonly deltaY: number };

const dragSteps = 8;
const dragStepMs = 16;

/** Does it at the first point; a drag goes through the others and ends at the last one (CDP Input.dispatchMouseEvent). */
export async function usePointer(
  page: SessionPage,
  act: PointerAction,
  points: readonly Point[],
  signal: AbortSignal,
): Promise<void> {
  const [at, ...rest] = points;
  if (at === undefined) return;
  const { cdp } = page;
  if (act.action === 'click') return clickAt(cdp, at, act.button, act.count);
  await movePointer(cdp, at);
  if (act.action === 'wheel') {
    const { deltaX, deltaY } = act;
    await cdp.send('Input.dispatchMouseEvent', { type: 'mouseWheel', ...at, deltaX, deltaY });
  }
  if (act.action === 'drag') await dragThrough(page, at, rest, signal);
}

async function dragThrough(
  { cdp }: SessionPage,
  from: Point,
  points: readonly Point[],
  signal: AbortSignal,
): Promise<void> {
  const held = { button: 'left', buttons: 1 } as const;
  let at = from;
  await cdp.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...at, ...held, clickCount: 1 });
  try {
    for (const point of points) {
      const start = at;
      for (let step = 1; step <= dragSteps; step++) {
        const part = step / dragSteps;
        at = { x: start.x + (point.x - start.x) * part, y: start.y + (point.y - start.y) * part };
        await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...at, ...held });
        // As a hand moves: pages sample the pointer once a frame.
        await delay(dragStepMs, undefined, { signal });
      }
    }
  } finally {
    await cdp.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...at, button: 'left', clickCount: 1 });
  }
}
