import { timeLimit } from '../../clock.js';
import { messageOf, ToolError } from '../../errors/errors.js';

const maxDownloadBytes = 64 * 1024 * 1024;
const maxRedirects = 5;
const downloadTimeoutMs = 30_000;

/**
 * Fetches an archive. Only `http:` and `https:`, also after each redirect: nothing of the server's disk or of other
 * protocols can be reached. Any host may be named, since the session's own browser reaches the same hosts for the same
 * client, and shows what they answer; here the answer is never shown, only unpacked. No cookies or credentials are sent.
 * At most 64 MB within 30 s. Throws a ToolError that says what the server answered.
 */
export async function download(address: string, signal: AbortSignal): Promise<Buffer> {
  const limit = timeLimit(downloadTimeoutMs);
  try {
    const response = await fetchFollowingRedirects(address, AbortSignal.any([signal, limit]));
    if (!response.ok) throw new ToolError(`${address} answered ${response.status} ${response.statusText}.`);
    return await readBounded(response, address);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ToolError) throw error;
    const reason = limit.aborted ? `not all of it came within ${downloadTimeoutMs / 1000} s` : fetchFailureReason(error);
    throw new ToolError(`${address} could not be fetched: ${reason}.`, { cause: error });
  }
}

/** Redirects are followed here: `fetch` would not ask before it goes on. */
async function fetchFollowingRedirects(address: string, signal: AbortSignal): Promise<Response> {
  let url = parseWebUrl(address);
  for (let hops = 0; hops <= maxRedirects; hops += 1) {
    const response = await fetch(url, { redirect: 'manual', credentials: 'omit', signal });
    const location = response.headers.get('location');
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    url = parseWebUrl(new URL(location, url).href);
  }
  throw new ToolError(`${address} redirects more than ${maxRedirects} times.`);
}

function parseWebUrl(address: string): URL {
  if (!URL.canParse(address)) throw new ToolError(`${JSON.stringify(address)} is no URL. Write it in full.`);
  const url = new URL(address);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ToolError(`Archives are fetched over http and https only, not ${url.protocol}`);
  }
  if (url.username !== '' || url.password !== '') throw new ToolError('Leave name and password out of the URL.');
  return url;
}

async function readBounded(response: Response, address: string): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  // The types of `fetch` leave open what a body yields.
  const body = response.body as AsyncIterable<Uint8Array> | null;
  for await (const chunk of body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > maxDownloadBytes) throw new ToolError(`${address} has more than ${maxDownloadBytes / 1024 / 1024} MB.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** `fetch failed` says less than what is behind it. */
function fetchFailureReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return messageOf(cause);
}
