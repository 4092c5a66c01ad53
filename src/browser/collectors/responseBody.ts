import type { CDPSession } from 'puppeteer-core';
import { unlessGone } from '../cdp/cdpSessions.js';
import { decodedText, inSlices } from '../patterns/slices.js';
import { isBodiless, type NetworkRequest } from './requestRecord.js';

export type ResponseBody = (
  { readonly isText: true; readonly content: string } | { readonly isText: false; readonly content: Buffer }
) & {
  /** More of the body may come, or was lost. */
  readonly isPartial?: boolean;
};

/** As UTF-8, if it is text. */
export const bodyBytes = ({ content }: ResponseBody): number => Buffer.byteLength(content);

/**
 * What has arrived of a response that goes on (CDP Network.streamResourceContent), or undefined where no session knows.
 * Not on a session with durable messages, which has nothing of it.
 */
export async function readArrived(
  request: NetworkRequest,
  sessions: Iterable<CDPSession>,
): Promise<ResponseBody | undefined> {
  for (const session of sessions) {
    const answer = await unlessGone(session.send('Network.streamResourceContent', { requestId: request.cdpId }));
    if (answer === undefined) continue;
    return { ...(await decodeBody(request, Buffer.from(answer.bufferedData, 'base64'))), isPartial: true };
  }
  return undefined;
}

/** The body of a response that has ended (CDP Network.getResponseBody), or undefined if the browser has none. */
export async function readBody(request: NetworkRequest, session: CDPSession): Promise<ResponseBody | undefined> {
  if (isBodiless(request)) return undefined;
  const answer = await unlessGone(session.send('Network.getResponseBody', { requestId: request.cdpId }));
  if (answer === undefined) return undefined;
  if (!answer.base64Encoded) return { content: answer.body, isText: true };
  return decodeBody(request, Buffer.from(answer.body, 'base64'));
}

const textTypes = /^text\/|[/+](json|xml|javascript|ecmascript|x-ndjson|x-www-form-urlencoded)$/;

/** Decodes a body as text if its type says so, in the character set of the type. */
async function decodeBody({ mimeType, responseHeaders }: NetworkRequest, bytes: Buffer): Promise<ResponseBody> {
  const charset = /charset="?([^\s;"]+)/i.exec(responseHeaders['content-type'] ?? '')?.[1];
  if (charset === undefined && !textTypes.test(mimeType)) return { content: bytes, isText: false };
  try {
    const content = await inSlices(decodedText(new TextDecoder(charset ?? 'utf-8'), bytes));
    return { content, isText: true };
  } catch {
    // A character set without a decoder.
    return { content: bytes, isText: false };
  }
}

/** Explains to people why there is no body. */
export function missingBody(request: NetworkRequest): string {
  if (isBodiless(request)) return `None: ${request.method} answered ${request.status} has no body.`;
  if (request.state === 'failed') return 'None: the request failed.';
  if (request.state === 'left') return 'Its page was left before it had arrived.';
  if (request.isUnread) return 'Empty, or the page did not read it.';
  if (request.fromServiceWorker) return 'A service worker made this answer; the browser does not keep its body.';
  return 'The browser does not keep this body (any more): it was too big, of a download, or older than what it keeps.';
}
