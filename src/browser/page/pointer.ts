import type { CDPSession, Protocol } from 'puppeteer-core';
import type { Point } from './element.js';

export type MouseButton = 'left' | 'right' | 'middle';

/** Bits of `buttons` in `Input.dispatchMouseEvent`. */
const buttonBits = { left: 1, right: 2, middle: 4 } as const;

/** Moves the mouse to a point of the page's viewport (`Input.dispatchMouseEvent`). */
export async function movePointer(cdp: CDPSession, to: Point): Promise<void> {
  await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...to });
}

/** Moves there and clicks, `count` times. */
export async function clickAt(cdp: CDPSession, at: Point, button: MouseButton, count: 1 | 2): Promise<void> {
  await movePointer(cdp, at);
  for (let clickCount = 1; clickCount <= count; clickCount++) {
    const common = { ...at, button, clickCount };
    const pressed = cdp.send('Input.dispatchMouseEvent', {
      type: 'mousePressed',
      buttons: buttonBits[button],
      ...common,
    });
    // Both are on their way at once: the browser keeps their order, and half the waiting is saved.
    await Promise.all([
      pressed,
      cdp.send('Input.dispatchMouseEvent', { type: 'mouseReleased', buttons: 0, ...common }),
    ]);
  }
}

/**
 * Presses at one point and lets go at another. What the page makes draggable is carried as the browser does it: the drag
 * is intercepted and dispatched (`Input.setInterceptDrags`), for a headless browser has no desktop to carry it over.
 */
export async function dragBetween(cdp: CDPSession, from: Point, to: Point): Promise<void> {
  await cdp.send('Input.setInterceptDrags', { enabled: true });
  try {
    const held = { button: 'left', buttons: buttonBits.left } as const;
    let data: Protocol.Input.DragData | undefined;
    cdp.once('Input.dragIntercepted', (event) => (data = event.data));
    await movePointer(cdp, from);
    await cdp.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...from, ...held, clickCount: 1 });
    // The first step leaves the threshold below which a browser takes it for a click.
    for (const part of [0.1, 0.5, 1]) {
      const x = from.x + (to.x - from.x) * part;
      const y = from.y + (to.y - from.y) * part;
      await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y, ...held });
    }
    if (data) await dispatchDrop(cdp, to, data);
    await cdp.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...to, button: 'left', clickCount: 1 });
  } finally {
    await cdp.send('Input.setInterceptDrags', { enabled: false });
  }
}

async function dispatchDrop(cdp: CDPSession, to: Point, data: Protocol.Input.DragData): Promise<void> {
  await cdp.send('Input.dispatchDragEvent', { type: 'dragEnter', ...to, data });
  await cdp.send('Input.dispatchDragEvent', { type: 'dragOver', ...to, data });
  await cdp.send('Input.dispatchDragEvent', { type: 'drop', ...to, data });
}
