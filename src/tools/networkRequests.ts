import { z } from 'zod';
import type { NetworkRequest } from '../browser/collectors/networkCollector.js';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import { findUrls } from '../browser/collectors/urlPattern.js';
import { definePageTool } from './defineTool.js';
import { bytesText, listingInput, listingOutput, pageOf, oneLine } from './pagination.js';

const urlChars = 300;

const statusPattern = /^(\d{3}|[1-5]xx|pending|failed|error)$/;

export const requestRow = {
  id: z.int(),
  method: z.string(),
  url: z.string(),
  type: z.string(),
  state: z.enum(['pending', 'finished', 'failed']),
  status: z.int().optional(),
  error: z.string().optional(),
  bytes: z.int(),
  durationMs: z.number().optional(),
  source: z.enum(['page', 'iframe', 'worker']),
  cache: z.enum(['memory', 'disk', 'prefetch', 'service-worker']).optional(),
  redirectedFrom: z.int().optional(),
  redirectedTo: z.int().optional(),
  mockedBy: z.int().optional(),
};

export const listNetworkRequestsTool = definePageTool({
  name: 'list_network_requests',
  group: 'network',
  description: 'Requests of page, frames and workers; also before navigating',
  input: z.object({
    types: z.array(z.string()).optional().describe('document, fetch, xhr, script…'),
    url: z.string().optional().describe('Text, glob or /regex/'),
    method: z.string().optional(),
    status: z
      .string()
      .refine((status) => statusPattern.test(status), 'a status such as 404 or 4xx, or failed, pending, error')
      .optional()
      .describe('404, 4xx, failed, pending, error'),
    ...listingInput,
  }),
  output: z.object({ requests: z.array(z.object(requestRow)), ...listingOutput }),
  annotations: { readOnlyHint: true },
  lock: false,
  handler: async (args, { page, signal }) => {
    const reading = page.network.read(args.since);
    const urls = await findUrls(
      args.url,
      reading.entries.map(({ value }) => value.url),
      signal,
    );
    const listing = pageOf(
      reading,
      (request) =>
        urls.has(request.url) &&
        (args.types === undefined || args.types.includes(request.type)) &&
        (args.method === undefined || args.method.toUpperCase() === request.method) &&
        (args.status === undefined || hasStatus(request, args.status)),
      args,
    );
    const lines = listing.entries.map(({ id, value }) => requestLine(id, value));
    if (lines.length === 0) lines.push(args.since === undefined ? 'No such requests.' : 'Nothing new since then.');
    return {
      text: [...lines, '', listing.footer].join('\n'),
      structured: { requests: listing.entries.map(structuredRequest), ...listing.fields },
    };
  },
});

function hasStatus({ state, status = 0 }: NetworkRequest, wanted: string): boolean {
  if (wanted === 'pending' || wanted === 'failed') return state === wanted;
  if (wanted === 'error') return state === 'failed' || status >= 400;
  return wanted.endsWith('xx') ? Math.floor(status / 100) === Number(wanted[0]) : status === Number(wanted);
}

/** `#5 GET 404 fetch 1.2 kB 35 ms http://…`, and what is special about it. */
export function requestLine(id: number, request: NetworkRequest): string {
  const { failure, redirectedFrom, redirectedTo, mockedBy } = request;
  const notes = [
    ...(failure === undefined ? [] : [failureText(failure)]),
    ...(cacheOf(request) === undefined ? [] : [`from ${cacheOf(request)}`]),
    ...(redirectedFrom === undefined ? [] : [`redirected from #${redirectedFrom}`]),
    ...(redirectedTo === undefined ? [] : [`redirects to #${redirectedTo}`]),
    ...(mockedBy === undefined ? [] : [`mocked by rule ${mockedBy}`]),
    ...(request.source === 'page' ? [] : [request.source]),
  ];
  return [
    `#${id} ${request.method}`,
    request.state === 'failed' ? 'failed' : (request.status ?? 'pending'),
    request.type,
    bytesText(request.transferBytes),
    ...(request.durationMs === undefined ? [] : [`${Math.round(request.durationMs)} ms`]),
    oneLine(request.url, urlChars),
    ...notes.map((note) => `[${note}]`),
  ].join(' ');
}

export function failureText({
  error,
  canceled,
  blockedReason,
  corsError,
}: NonNullable<NetworkRequest['failure']>): string {
  return [
    error,
    ...(canceled ? ['cancelled'] : []),
    ...(blockedReason === undefined ? [] : [`blocked: ${blockedReason}`]),
    ...(corsError === undefined ? [] : [`CORS: ${corsError}`]),
  ].join(', ');
}

function cacheOf({ cache, fromServiceWorker }: NetworkRequest): z.infer<typeof requestRow.cache> {
  return fromServiceWorker ? 'service-worker' : cache;
}

export function structuredRequest({
  id,
  value: request,
}: RingBufferEntry<NetworkRequest>): z.input<z.ZodObject<typeof requestRow>> {
  const { method, type, state, source, status, durationMs, redirectedFrom, redirectedTo, mockedBy } = request;
  const cache = cacheOf(request);
  return {
    ...{ id, method, type, state, source, url: oneLine(request.url, urlChars), bytes: request.transferBytes },
    ...(status === undefined ? {} : { status }),
    ...(request.failure === undefined ? {} : { error: failureText(request.failure) }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(cache === undefined ? {} : { cache }),
    ...(redirectedFrom === undefined ? {} : { redirectedFrom }),
    ...(redirectedTo === undefined ? {} : { redirectedTo }),
    ...(mockedBy === undefined ? {} : { mockedBy }),
  };
}
