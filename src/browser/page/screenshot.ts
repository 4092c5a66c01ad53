import type { Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import { shortenText } from '../../text.js';
import { drawMarks, isRendered, isSeen } from '../cdp/injectedFunctions.js';
import type { PictureMark } from '../injected/contract.js';
import { findElement, releaseElements, type PageElement } from './element.js';
import type { SessionPage } from './sessionPage.js';

export interface ScreenshotOptions {
  readonly format: 'png' | 'jpeg' | 'webp';
  /** 0 to 100; not for png. */
  readonly quality?: number | undefined;
  /** Only this element. */
  readonly uid?: string | undefined;
  /** The whole document, not only the viewport. */
  readonly fullPage: boolean;
  /** Uids to draw at the elements that are seen. */
  readonly marked?: readonly string[];
  /** Where to begin in a long document or element, in CSS pixels from its top. */
  readonly from?: number | undefined;
  /** A larger picture is scaled down: bytes before base64, and real pixels of the longer side. */
  readonly limits: { readonly bytes: number; readonly pixels: number };
}

export interface Picture {
  /** Base64. */
  readonly data: string;
  /** Real pixels. */
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  /** What it shows of the area, in CSS pixels from its top. */
  readonly from: number;
  readonly to: number;
}

export interface Screenshot {
  readonly mimeType: string;
  /** One, or the parts of a long area in their order. */
  readonly pictures: readonly [Picture, ...Picture[]];
  /** The page or element, in CSS pixels. */
  readonly area: { readonly width: number; readonly height: number };
  readonly isScaled: boolean;
  /** How many uids are drawn. */
  readonly marks: number;
}

/** Pictures that are taken until one is small enough; each is much smaller than the one before. */
const maxTries = 6;
/** Beyond it the boxes hide the page. */
const maxMarks = 300;

/** Models see at most this many pixels of the longer side of a picture: larger pictures are scaled down for them. */
const seenPixels = 2_000;
/** Pictures in one answer: together no more bytes than one may have. */
const maxPictures = 5;
/** Shown twice, in CSS pixels, so that no line of text is cut in both pictures. */
const overlap = 40;
/** For the first picture of a document that is still being loaded. */
const renderMs = 2_000;
/** Addresses that an error names. */
const maxNamed = 3;
const maxNameLength = 120;

/**
 * CDP Page.captureScreenshot, after bringing the page to the front. Scales down what is larger than the limits, and divides
 * what would be too small to read then. Throws a ToolError if nothing is small enough.
 */
export async function takeScreenshot(page: SessionPage, options: ScreenshotOptions): Promise<Screenshot> {
  const { limits, fullPage, uid } = options;
  const clip = await clipOf(page, options);
  const rest = restOf(clip, options.from);
  // A background tab may never paint the frame that the screenshot waits for.
  await page.cdp.send('Page.bringToFront');
  await requireRendered(page);
  // A clip is captured without the emulated factor.
  const factor = page.emulation.applied.viewport?.deviceScaleFactor ?? 1;
  const partHeight = Math.min(limits.pixels, seenPixels);
  const isDivided = (fullPage || uid !== undefined) && rest.height > 2 * partHeight;
  const largest = isDivided ? 1 : factor;
  const parts = isDivided ? partsOf(rest, partHeight) : [rest];
  const pictures: Picture[] = [];
  let [scale, bytesLeft, marks] = [largest, limits.bytes, 0];
  for (const part of parts.slice(0, maxPictures)) {
    const taken = await captureWithin(
      page,
      options,
      { ...part, scale },
      { ...limits, bytes: bytesLeft, isFirst: pictures.length === 0 },
    );
    if (taken === null) break;
    const { data, bytes, width, height } = taken;
    ({ scale } = taken);
    marks += taken.marks;
    bytesLeft -= bytes;
    const top = Math.round(part.y - clip.y);
    const to = top + Math.round(part.height);
    pictures.push({ width, height, from: top, to, data, bytes });
  }
  const [first, ...others] = pictures;
  if (first === undefined) throw tooLarge(limits.bytes);
  page.lastScreenshot = isDivided && scale !== 1 ? undefined : { ...(isDivided ? clip : rest), scale };
  return {
    mimeType: `image/${options.format}`,
    pictures: [first, ...others],
    area: { width: clip.width, height: clip.height },
    isScaled: scale < factor,
    marks,
  };
}

/** Throws a ToolError if Chrome draws nothing of the page: a picture would wait for it without an end. */
async function requireRendered(page: SessionPage): Promise<void> {
  if ((await page.callInIsolatedWorld(isRendered, [renderMs])) === true) return;
  const { entries } = page.network.read();
  const awaited = entries
    .map(({ value }) => value)
    .filter(({ state, type }) => state === 'pending' && /^(stylesheet|script)$/.test(type));
  const names = awaited.slice(0, maxNamed).map(({ url }) => shortenText(url, maxNameLength));
  throw new ToolError(
    awaited.length === 0
      ? 'Chrome draws nothing of this page: its document ends before its body, since its server sends no more or loading ' +
          'was stopped. take_snapshot reads what has arrived; navigate_page with reload loads it again.'
      : `Chrome draws nothing of this page yet: it waits for ${names.join(', ')}. take_snapshot reads what has arrived; ` +
          'mock_network with abort for that address, then navigate_page with reload, show the page without it.',
  );
}

function restOf(clip: Clip, from = 0): Clip {
  if (from > 0 && from >= clip.height)
    throw new ToolError(`from ${from} is beyond the end: it is ${Math.round(clip.height)} pixels high.`);
  return { ...clip, y: clip.y + from, height: clip.height - from };
}

/** Parts of the same height, from the top to the bottom. */
function partsOf(area: Clip, maxHeight: number): Clip[] {
  const count = Math.ceil((area.height - overlap) / (maxHeight - overlap));
  const step = Math.ceil((area.height - overlap) / count);
  return Array.from({ length: count }, (_, index) => {
    const top = index * step;
    return { ...area, y: area.y + top, height: Math.min(step + overlap, area.height - top) };
  });
}

type Clip = Omit<Protocol.Page.Viewport, 'scale'>;

interface Room {
  readonly bytes: number;
  readonly pixels: number;
  /** Scaled down until it fits; a further one waits for the next call. */
  readonly isFirst: boolean;
}

interface Capture extends Pick<Picture, 'data' | 'bytes' | 'width' | 'height'> {
  readonly scale: number;
  readonly marks: number;
}

/** Null: there is no room for it. */
async function captureWithin(
  page: SessionPage,
  options: ScreenshotOptions,
  clip: Protocol.Page.Viewport,
  room: Room,
): Promise<Capture | null> {
  const boxes = await boxesIn(page, clip, options.marked ?? []);
  let scale = Math.min(clip.scale, room.pixels / Math.max(clip.width, clip.height));
  for (let tries = 0; tries < (room.isFirst ? maxTries : 1); tries++) {
    const plain = await capture(page, options, { ...clip, scale });
    const data = boxes.length === 0 ? plain : await withMarks(page, plain, boxes, { ...options, scale });
    const bytes = Buffer.byteLength(data, 'base64');
    const size = imageSize(data) ?? { width: clip.width * scale, height: clip.height * scale };
    const excess = Math.max(Math.max(size.width, size.height) / room.pixels, Math.sqrt(bytes / room.bytes));
    if (excess <= 1) return { ...size, data, bytes, scale, marks: boxes.length };
    // A smaller picture compresses worse: a margin saves a further try.
    scale /= bytes > room.bytes ? excess * 1.1 : excess;
  }
  return null;
}

const tooLarge = (bytes: number): ToolError =>
  new ToolError(
    `The picture does not fit ${bytes} bytes, the most that this client takes. ` +
      'Use format jpeg with quality 60, a uid, or omit fullPage.',
  );

/** Base64. */
async function capture(
  page: SessionPage,
  { format, quality, fullPage, uid }: ScreenshotOptions,
  clip: Protocol.Page.Viewport,
): Promise<string> {
  const { data } = await page.cdp.send('Page.captureScreenshot', {
    format,
    ...(quality !== undefined && format !== 'png' && { quality }),
    clip,
    captureBeyondViewport: fullPage || uid !== undefined,
    optimizeForSpeed: true,
  });
  return data;
}

/** The boxes of those elements that are seen within an area of the document, in CSS pixels from its corner. */
async function boxesIn(
  page: SessionPage,
  clip: Protocol.Page.Viewport,
  uids: readonly string[],
): Promise<PictureMark[]> {
  if (uids.length === 0) return [];
  const { cssVisualViewport: at } = await page.cdp.send('Page.getLayoutMetrics');
  const markOf = async (label: string): Promise<PictureMark[]> => {
    const element = await findElement(page, label);
    const box = (await element.call(isSeen)) === true ? await boundsOf(page, element) : undefined;
    if (box === undefined) return [];
    const mark = { ...box, label, x: box.x + at.pageX - clip.x, y: box.y + at.pageY - clip.y };
    const { x, y, width, height } = mark;
    return x < clip.width && y < clip.height && x + width > 0 && y + height > 0 ? [mark] : [];
  };
  // One that has gone meanwhile is not drawn.
  const found = await Promise.all(uids.map((uid) => markOf(uid).catch(() => [])));
  await releaseElements(page);
  return found.flat().slice(0, maxMarks);
}

async function withMarks(
  page: SessionPage,
  picture: string,
  boxes: readonly PictureMark[],
  { format, quality, scale }: ScreenshotOptions & { readonly scale: number },
): Promise<string> {
  const marks = boxes.map(({ label, x, y, width, height }) => ({
    label,
    ...{ x: x * scale, y: y * scale, width: width * scale, height: height * scale },
  }));
  const share = quality === undefined || format === 'png' ? null : quality / 100;
  const drawn = await page.callInIsolatedWorld(drawMarks, [picture, `image/${format}`, share, marks]);
  return z.string().parse(drawn);
}

/** The captured area, in CSS pixels of the document. */
async function clipOf(page: SessionPage, { uid, fullPage }: ScreenshotOptions): Promise<Clip> {
  const box = uid === undefined ? undefined : await boxOf(page, uid);
  const { cssContentSize, cssVisualViewport } = await page.cdp.send('Page.getLayoutMetrics');
  const { pageX, pageY, clientWidth, clientHeight } = cssVisualViewport;
  if (box) return { ...box, x: box.x + pageX, y: box.y + pageY };
  if (fullPage) return { x: 0, y: 0, width: cssContentSize.width, height: cssContentSize.height };
  return { x: pageX, y: pageY, width: clientWidth, height: clientHeight };
}

/** The element's box in CSS pixels of the viewport, after scrolling it into view. */
async function boxOf(page: SessionPage, uid: string): Promise<Clip> {
  try {
    return await scrolledBoxOf(page, uid);
  } finally {
    await releaseElements(page);
  }
}

async function scrolledBoxOf(page: SessionPage, uid: string): Promise<Clip> {
  const element = await findElement(page, uid);
  await element.waitUntilActionable('keyboard');
  const bounds = await boundsOf(page, element);
  if (bounds !== undefined) return bounds;
  throw new ToolError(`uid ${uid} has no box, so there is nothing to capture. Use the uid of its parent.`);
}

/** Of all its boxes, in CSS pixels of the viewport. Undefined if it has none. */
async function boundsOf(page: SessionPage, { address }: PageElement): Promise<Clip | undefined> {
  const { backendNodeId, document } = address;
  const { quads } = await document.cdp.send('DOM.getContentQuads', { backendNodeId });
  const points = quads.flat();
  const xs = points.filter((_, index) => index % 2 === 0);
  const ys = points.filter((_, index) => index % 2 === 1);
  if (xs.length === 0) return undefined;
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  const origin = await page.frames.originOf(document.cdp);
  return {
    x: origin.x + left,
    y: origin.y + top,
    width: Math.max(1, Math.max(...xs) - left),
    height: Math.max(1, Math.max(...ys) - top),
  };
}

interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** Base64 of an image that holds its header. To decode all of it would hold the event loop. */
const headerLength = 64 * 1024;

/** The real pixels of a PNG, JPEG or WebP image in base64, from its header; undefined for any other. */
function imageSize(data: string): ImageSize | undefined {
  const image = Buffer.from(data.slice(0, headerLength), 'base64');
  if (image.length < 30) return undefined;
  if (image.readUInt32BE(0) === 0x89504e47) return { width: image.readUInt32BE(16), height: image.readUInt32BE(20) };
  if (image.readUInt16BE(0) === 0xffd8) return jpegSize(image);
  if (image.toString('latin1', 0, 4) === 'RIFF' && image.toString('latin1', 8, 12) === 'WEBP') return webpSize(image);
  return undefined;
}

/** JPEG is a list of segments; the frame header (SOF) has the size. */
function jpegSize(image: Buffer): ImageSize | undefined {
  for (let at = 2; at + 9 < image.length;) {
    const marker = image.readUInt16BE(at);
    const isFrame = marker >= 0xffc0 && marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker);
    if (isFrame) return { width: image.readUInt16BE(at + 7), height: image.readUInt16BE(at + 5) };
    at += 2 + image.readUInt16BE(at + 2);
  }
  return undefined;
}

/** Lossy, lossless and extended WebP keep it in different places. */
function webpSize(image: Buffer): ImageSize | undefined {
  const kind = image.toString('latin1', 12, 16);
  if (kind === 'VP8 ') return { width: image.readUInt16LE(26) & 0x3fff, height: image.readUInt16LE(28) & 0x3fff };
  if (kind === 'VP8X') return { width: image.readUIntLE(24, 3) + 1, height: image.readUIntLE(27, 3) + 1 };
  if (kind !== 'VP8L') return undefined;
  const bits = image.readUInt32LE(21);
  return { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
}
