import type { Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import { findElement, releaseElements } from './element.js';
import type { SessionPage } from './sessionPage.js';

export interface ScreenshotOptions {
  readonly format: 'png' | 'jpeg' | 'webp';
  /** 0 to 100; not for png. */
  readonly quality?: number | undefined;
  /** Only this element. */
  readonly uid?: string | undefined;
  /** The whole document, not only the viewport. */
  readonly fullPage: boolean;
}

export interface Screenshot {
  /** Base64. */
  readonly data: string;
  readonly mimeType: string;
  /** In CSS pixels. */
  readonly width: number;
  readonly height: number;
}

/** Limit on the base64 text of an image in one message. */
const maxImageBytes = 4 * 1024 ** 2;
/** The largest side that a renderer can paint. */
const maxSidePixels = 16_384;

/** CDP Page.captureScreenshot, after bringing the page to the front. Throws a ToolError when the image is too large. */
export async function takeScreenshot(page: SessionPage, options: ScreenshotOptions): Promise<Screenshot> {
  const { format, quality } = options;
  const clip = await clipOf(page, options);
  if (clip.height > maxSidePixels || clip.width > maxSidePixels) {
    throw new ToolError(
      `${clip.width} × ${clip.height} pixels are too many: an image has at most ${maxSidePixels} per side. ` +
        'Omit fullPage, or pass the uid of an element.',
    );
  }
  // A background tab may never paint the frame that the screenshot waits for.
  await page.cdp.send('Page.bringToFront');
  const { data } = await page.cdp.send('Page.captureScreenshot', {
    format,
    ...(quality !== undefined && format !== 'png' && { quality }),
    clip,
    captureBeyondViewport: options.fullPage || options.uid !== undefined,
    optimizeForSpeed: true,
  });
  if (data.length > maxImageBytes) {
    const megabytes = (data.length / 1024 ** 2).toFixed(1);
    throw new ToolError(
      `The image has ${megabytes} MB, more than 4 MB. Use format jpeg with quality 60, a uid, or omit fullPage.`,
    );
  }
  return { data, mimeType: `image/${format}`, width: clip.width, height: clip.height };
}

/** The captured area, in CSS pixels of the document. */
async function clipOf(page: SessionPage, { uid, fullPage }: ScreenshotOptions): Promise<Protocol.Page.Viewport> {
  const box = uid === undefined ? undefined : await boxOf(page, uid).finally(() => releaseElements(page));
  const { cssContentSize, cssVisualViewport } = await page.cdp.send('Page.getLayoutMetrics');
  const { pageX, pageY, clientWidth, clientHeight } = cssVisualViewport;
  if (box) return { ...box, x: box.x + pageX, y: box.y + pageY, scale: 1 };
  if (fullPage) return { x: 0, y: 0, width: cssContentSize.width, height: cssContentSize.height, scale: 1 };
  return { x: pageX, y: pageY, width: clientWidth, height: clientHeight, scale: 1 };
}

/** The element's box in CSS pixels of the viewport, after scrolling it into view. */
async function boxOf(page: SessionPage, uid: string): Promise<Omit<Protocol.Page.Viewport, 'scale'>> {
  const element = await findElement(page, uid);
  await element.waitUntilActionable('keyboard');
  const { backendNodeId, document } = element.address;
  const { quads } = await document.cdp.send('DOM.getContentQuads', { backendNodeId });
  const points = quads.flat();
  const xs = points.filter((_, index) => index % 2 === 0);
  const ys = points.filter((_, index) => index % 2 === 1);
  if (xs.length === 0)
    throw new ToolError(`uid ${uid} has no box, so there is nothing to capture. Use the uid of its parent.`);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const origin = await page.frames.originOf(document.cdp);
  return {
    x: origin.x + left,
    y: origin.y + top,
    width: Math.max(1, Math.max(...xs) - left),
    height: Math.max(1, Math.max(...ys) - top),
  };
}
