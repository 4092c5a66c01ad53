import { z } from 'zod';
import type { WebSocketFrame } from '../browser/collectors/networkCollector.js';
import { findUrls } from '../browser/patterns/urlPattern.js';
import { definePageTool } from './defineTool.js';
import { bytesText, listingInput, listingOutput, pageOf, oneLine, timeText } from './pagination.js';
import { cutText } from '../text.js';

export const listWebSocketFramesTool = definePageTool({
  name: 'list_websocket_frames',
  title: 'List WebSocket frames',
  group: 'network',
  description: 'WebSocket frames and EventSource messages of a page. HTTP requests: list_network_requests',
  input: z.object({
    url: z.string().optional().describe('Text in the URL, glob or /regex/'),
    direction: z.enum(['sent', 'received']).optional().describe('Default: both'),
    text: z.string().optional().describe('Text in the payload'),
    payloadChars: z.int().min(1).max(4_000).default(200).describe('Characters of a payload'),
    ...listingInput,
  }),
  output: z.object({
    frames: z.array(
      z.object({
        id: z.int(),
        requestId: z.int().optional(),
        url: z.string(),
        direction: z.enum(['sent', 'received']).optional(),
        kind: z.string(),
        payload: z.string(),
        bytes: z.int(),
        at: z.string(),
      }),
    ),
    ...listingOutput,
  }),
  annotations: { readOnlyHint: true },
  lock: false,
  handler: async (args, { page, signal }) => {
    const reading = page.network.webSocketFrames.read(args.since);
    const urls = await findUrls(
      args.url,
      reading.entries.map(({ value }) => value.url),
      signal,
    );
    const listing = pageOf(
      reading,
      (frame) =>
        urls.has(frame.url) &&
        (args.direction === undefined || frame.direction === args.direction) &&
        (args.text === undefined || frame.payload.includes(args.text)),
      args,
    );
    const lines = listing.entries.map(({ id, value }) => frameLine(id, value, args.payloadChars));
    if (lines.length === 0) lines.push(args.since === undefined ? 'No frames.' : 'Nothing new since then.');
    return {
      text: [...lines, '', listing.footer].join('\n'),
      structured: {
        frames: listing.entries.map(({ id, value }) => structuredFrame(id, value, args.payloadChars)),
        ...listing.fields,
      },
    };
  },
});

function frameLine(id: number, frame: WebSocketFrame, chars: number): string {
  const { direction, kind, request } = frame;
  const connection = request === undefined ? oneLine(frame.url, 200) : `#${request} ${oneLine(frame.url, 200)}`;
  return [
    `${id} ${timeText(frame.at)}`,
    ...(direction === undefined ? [] : [direction]),
    kind,
    ...(direction === undefined ? [] : [bytesText(frame.bytes)]),
    ...(frame.payload === '' ? [] : [oneLine(frame.payload, chars)]),
    `(${connection})`,
  ].join(' ');
}

function structuredFrame(id: number, frame: WebSocketFrame, chars: number) {
  const { request, url, direction, kind, bytes } = frame;
  return {
    ...{ id, url, kind, bytes },
    payload: cutText(frame.payload, chars),
    at: new Date(frame.at).toISOString(),
    ...(request === undefined ? {} : { requestId: request }),
    ...(direction === undefined ? {} : { direction }),
  };
}
