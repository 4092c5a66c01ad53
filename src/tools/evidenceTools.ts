import { z } from 'zod';
import { harParts, type RecordedRequest } from '../browser/collectors/har.js';
import { bodyBytes } from '../browser/collectors/responseBody.js';
import type { NetworkRequest } from '../browser/collectors/networkCollector.js';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import { findUrls } from '../browser/patterns/urlPattern.js';
import type { WebSocketFrame } from '../browser/collectors/webSocketFrameLog.js';
import { readStream } from '../browser/cdp/cdpSessions.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';
import { scriptOf } from './actionScript.js';
import { truncateAnswer } from './answers.js';
import { definePageTool, defineTool, type Tool } from './defineTool.js';
import { pdfOfPage } from './documentAccess.js';
import { visibleRequest } from './networkTools.js';
import { bytesText } from './pagination.js';

const savedOutput = z.object({ uri: z.string(), name: z.string(), bytes: z.int() });

const savePdfTool = definePageTool({
  name: 'save_pdf',
  title: 'Save as PDF',
  group: 'evidence',
  description:
    'Print a page to a PDF, a resource of the session; a PDF is kept as it is. Looks on screen: take_screenshot',
  input: z.strictObject({
    paper: z.enum(['A3', 'A4', 'A5', 'Letter', 'Legal']).default('A4').describe('Size'),
    landscape: z.boolean().default(false).describe('Wider than high'),
    background: z.boolean().default(true).describe('With background colours'),
    pages: z
      .string()
      .regex(/^[\d\s,-]*$/)
      .default('')
      .describe('Such as 1-3, 5. Default: all'),
    scale: z.number().min(0.1).max(2).default(1).describe('Size of the content'),
  }),
  output: savedOutput,
  annotations: { readOnlyHint: true },
  timeoutMs: 120_000,
  async handler(args, { page, browser, resources, signal }) {
    const name = `${fileNameOf(page).replace(/\.pdf$/i, '')}.pdf`;
    const shown = await pdfOfPage(browser, page, signal);
    const link = await resources.add({ name, mimeType: 'application/pdf', data: shown ?? pdfOf(page, args) });
    const { uri, bytes } = link;
    const done = shown === undefined ? 'Printed to' : 'Kept the PDF that the page is as';
    return { text: `${done} ${name}, ${bytesText(bytes)}.`, structured: { uri, name, bytes }, resources: [link] };
  },
});

/** Width and height in inches, as CDP takes them. */
const papers = {
  A3: [11.69, 16.54],
  A4: [8.27, 11.69],
  A5: [5.83, 8.27],
  Letter: [8.5, 11],
  Legal: [8.5, 14],
} as const;

interface PdfOptions {
  readonly paper: keyof typeof papers;
  readonly landscape: boolean;
  readonly background: boolean;
  /** Such as `1-3, 5`; empty for all. */
  readonly pages: string;
  readonly scale: number;
}

/** The page as PDF, in parts (CDP Page.printToPDF, IO.read). Rejects where the browser cannot print, and for pages it has not. */
async function* pdfOf(page: SessionPage, options: PdfOptions): AsyncGenerator<Uint8Array> {
  const [paperWidth, paperHeight] = papers[options.paper];
  const settings = {
    ...{ paperWidth, paperHeight, landscape: options.landscape, scale: options.scale },
    printBackground: options.background,
    pageRanges: options.pages,
    preferCSSPageSize: true,
    generateTaggedPDF: true,
    transferMode: 'ReturnAsStream' as const,
  };
  const { stream: handle } = await page.prompts.printing(() => page.cdp.send('Page.printToPDF', settings));
  if (handle === undefined) throw new Error('The browser answered without a PDF.');
  yield* readStream(page.cdp, handle);
}

const maxBodyBytes = 1024 ** 2;
const maxBodiesBytes = 32 * 1024 ** 2;

const exportHarTool = definePageTool({
  name: 'export_har',
  title: 'Export HAR',
  group: 'evidence',
  description:
    'Write the requests of a page to a HAR file, a resource of the session. To read them: list_network_requests',
  input: z.strictObject({
    url: z.string().optional().describe('Text in the URL, glob or /regex/'),
    bodies: z.boolean().default(true).describe('With response bodies, up to 1 MiB each'),
    includeSensitive: z.boolean().default(false).describe('With cookies and credentials'),
  }),
  output: savedOutput.extend({ requests: z.int(), withoutBody: z.int() }),
  annotations: { readOnlyHint: true },
  lock: false,
  timeoutMs: 120_000,
  async handler({ url, bodies, includeSensitive }, { browser, page, resources, signal }) {
    const { entries } = page.network.read();
    const urls = await findUrls(
      url,
      entries.map(({ value }) => value.url),
      signal,
    );
    const chosen = entries.filter(({ value }) => urls.has(value.url));
    const recorded = await withBodies(chosen, { browser, page, bodies, includeSensitive, signal });
    const data = harParts({ url: page.url(), title: await page.title() }, recorded);
    const name = `${fileNameOf(page)}.har`;
    const link = await resources.add({ name, mimeType: 'application/json', data });
    const withoutBody = recorded.filter(({ request, body }) => body === undefined && request.bodyBytes > 0).length;
    const left =
      bodies && withoutBody > 0 ? `, ${withoutBody} of them without their body, which is too big or gone` : '';
    return {
      text: `Wrote ${chosen.length} request(s) to ${name}, ${bytesText(link.bytes)}${left}.`,
      structured: { uri: link.uri, name, bytes: link.bytes, requests: chosen.length, withoutBody },
      resources: [link],
    };
  },
});

interface HarOptions {
  readonly browser: SessionBrowser;
  readonly page: SessionPage;
  readonly bodies: boolean;
  readonly includeSensitive: boolean;
  readonly signal: AbortSignal;
}

async function withBodies(
  entries: readonly RingBufferEntry<NetworkRequest>[],
  { browser, page, bodies, includeSensitive, signal }: HarOptions,
): Promise<RecordedRequest[]> {
  const frames = page.network.webSocketFrames.read().entries.map(({ value }) => value);
  let left = bodies ? maxBodiesBytes : 0;
  const recorded: RecordedRequest[] = [];
  for (const { id, value } of entries) {
    signal.throwIfAborted();
    const isWanted = value.bodyBytes > 0 && value.bodyBytes <= Math.min(maxBodyBytes, left);
    const isAllowed = isWanted && (await browser.addresses.allowsPart(value.url));
    // A body that cannot be read is left out.
    const body = isAllowed ? await page.network.responseBody(id).catch(() => undefined) : undefined;
    left -= body === undefined ? 0 : bodyBytes(body);
    recorded.push({
      request: visibleRequest(value, includeSensitive, browser.credentials),
      postData: await page.network.postData(id),
      body,
      messages: frames.filter((frame) => frame.request === id).flatMap(messageOf),
    });
  }
  return recorded;
}

function messageOf({ kind, direction, payload, at }: WebSocketFrame): RecordedRequest['messages'][number][] {
  if (direction === undefined || (kind !== 'text' && kind !== 'binary')) return [];
  const type = direction === 'sent' ? 'send' : 'receive';
  return [{ type, time: at / 1000, opcode: kind === 'text' ? 1 : 2, data: payload }];
}

const maxVideoHeight = 2160;

const startRecordingTool = definePageTool({
  name: 'start_recording',
  title: 'Start recording',
  group: 'evidence',
  description:
    'Record a page as a video until stop_recording, to show a person what happened. To judge looks: take_screenshot',
  input: z.strictObject({
    maxWidth: z.int().min(100).max(3840).default(1280).describe('CSS pixels'),
    frameRate: z.int().min(1).max(60).default(15).describe('Frames a second, at most'),
  }),
  output: z.object({ recording: z.boolean() }),
  annotations: { readOnlyHint: true },
  lock: false,
  async handler(limits, { page }) {
    await page.recording.start({ ...limits, maxHeight: maxVideoHeight });
    return { text: `Recording page ${page.id} until stop_recording.`, structured: { recording: true } };
  },
});

const stopRecordingTool = definePageTool({
  name: 'stop_recording',
  title: 'Stop recording',
  group: 'evidence',
  description: 'End the recording of a page. The video is a resource of the session (MP4)',
  input: z.strictObject({}),
  output: savedOutput.extend({ seconds: z.number() }),
  annotations: { readOnlyHint: true },
  lock: false,
  timeoutMs: 120_000,
  async handler(_args, { page, resources }) {
    const { seconds, video } = await page.recording.stop();
    const name = `${fileNameOf(page)}.mp4`;
    const link = await resources.add({ name, mimeType: 'video/mp4', data: video });
    return {
      text: `Recorded ${seconds.toFixed(1)} s to ${name}, ${bytesText(link.bytes)}.`,
      structured: { uri: link.uri, name, bytes: link.bytes, seconds },
      resources: [link],
    };
  },
});

/** The host and path of a page, as the name of a file. */
function fileNameOf(page: SessionPage): string {
  const { host, pathname } = URL.canParse(page.url()) ? new URL(page.url()) : { host: '', pathname: 'page' };
  const words = `${host}${pathname}`.split(/[^\w.]+/).filter((word) => word !== '');
  return words.join('-').slice(0, 80) || 'page';
}

const exportScriptTool = defineTool({
  name: 'export_script',
  title: 'Export script',
  group: 'evidence',
  needs: 'browser',
  description: 'Write what this session did in its pages as a script that does it again, a resource',
  input: z.strictObject({
    framework: z.enum(['puppeteer', 'playwright']).default('puppeteer').describe('Library of the script'),
  }),
  output: savedOutput.extend({ actions: z.int(), script: z.string() }),
  annotations: { readOnlyHint: true },
  async handler({ framework }, { browser, resources }) {
    const { actions, dropped } = browser.actions.read();
    if (actions.length === 0) throw new ToolError('Nothing was done in a page yet: navigate_page is the first action.');
    const { script, leftOut } = scriptOf(actions, framework);
    const name = `session.${framework}.mjs`;
    const link = await resources.add({ name, mimeType: 'text/javascript', data: script });
    const left = dropped > 0 ? ` The first ${dropped} are not kept.` : '';
    return {
      text: `Wrote ${actions.length} action(s) to ${name}.${left}${leftOut.length === 0 ? '' : ` It does not repeat: ${leftOut.join(', ')}.`}\n${truncateAnswer(script, 'the resource has all of it', 16 * 1024)}`,
      structured: { uri: link.uri, name, bytes: link.bytes, actions: actions.length, script },
      resources: [link],
    };
  },
});

export const evidenceTools: readonly Tool[] = [
  startRecordingTool,
  stopRecordingTool,
  exportHarTool,
  savePdfTool,
  exportScriptTool,
];
