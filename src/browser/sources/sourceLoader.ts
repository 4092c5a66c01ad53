import { createReadStream } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, CDPSession } from 'puppeteer-core';
import { messageOf } from '../../errors/errors.js';
import { withCdpScope, type CdpScope } from '../cdp/cdpScope.js';
import { listExtensions } from '../extensions/installedExtensions.js';
import type { AddressPolicy } from '../policy/addressPolicy.js';
import { SourceMapProblem } from './sourceNames.js';

/** The frame of the browser through which a file is loaded, with its cookies and its origin. */
export interface LoadingFrame {
  /** The page, or the frame of another process. */
  readonly targetId: string;
  readonly frameId: string;
}

export interface LoadedFrom {
  readonly browser: Browser;
  /** Decides what the session may load. */
  readonly addresses: AddressPolicy;
}

const chunkBytes = 1024 ** 2;

interface Loading {
  readonly frame: LoadingFrame | undefined;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * A script, a source map, an original file or a PDF: from a `data:` URL, from the folder of an extension, from a file
 * of the workspace, or from the network, through the page and past what pages may not see of other origins. Throws a
 * SourceMapProblem, also for more than `maxBytes`.
 */
export async function loadBytes(
  { browser, addresses }: LoadedFrom,
  url: string,
  { frame, maxBytes, signal }: Loading,
): Promise<Buffer> {
  if (url.startsWith('data:')) return bytesOfDataUrl(url, maxBytes);
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: '' };
  if (!['http:', 'https:', 'file:', 'chrome-extension:'].includes(protocol)) {
    throw new SourceMapProblem(`is at ${protocol || 'no'} address that can be loaded`);
  }
  const allowed = await addresses.resolve(url).catch((error: unknown) => {
    throw new SourceMapProblem(`is not loaded: ${messageOf(error)}`);
  });
  if (protocol === 'file:') return readFileBytes(fileURLToPath(allowed), maxBytes);
  return withCdpScope(browser, signal, async (scope) => {
    if (protocol === 'chrome-extension:')
      return readFileBytes(await fileOfExtension(scope, new URL(allowed)), maxBytes);
    if (frame === undefined) throw new SourceMapProblem('is not loaded: no page is open');
    return loadFromNetwork(scope, allowed, frame, maxBytes);
  });
}

function bytesOfDataUrl(url: string, maxBytes: number): Buffer {
  const comma = url.indexOf(',');
  if (comma === -1 || url.length > maxBytes * 2) throw tooBig(maxBytes);
  const content = url.slice(comma + 1);
  try {
    return /;base64$/i.test(url.slice(0, comma).trimEnd())
      ? Buffer.from(decodeURIComponent(content), 'base64')
      : Buffer.from(decodeURIComponent(content));
  } catch {
    throw new SourceMapProblem('is broken: its data: URL cannot be read');
  }
}

/** The file of an extension, also while its service worker sleeps. */
async function fileOfExtension(scope: CdpScope, { host, pathname }: URL): Promise<string> {
  const extension = (await listExtensions(scope)).find(({ id }) => id === host);
  if (extension === undefined) throw new SourceMapProblem(`is of the extension ${host}, which is not installed`);
  const folder = await realpath(extension.path).catch(() => extension.path);
  const path = await realpath(join(folder, decodeURIComponent(pathname))).catch(() => undefined);
  if (path === undefined) throw new SourceMapProblem(`is missing: the folder of the extension has no ${pathname}`);
  if (!path.startsWith(folder + sep)) throw new SourceMapProblem('is outside the folder of the extension');
  return path;
}

async function readFileBytes(path: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxBytes) throw tooBig(maxBytes);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof SourceMapProblem) throw error;
    throw new SourceMapProblem('cannot be read from the disk', { cause: error });
  }
  return Buffer.concat(chunks);
}

/** Ends with the scope, so that a server that never answers holds no connection of the page's. */
async function loadFromNetwork(
  scope: CdpScope,
  url: string,
  { targetId, frameId }: LoadingFrame,
  maxBytes: number,
): Promise<Buffer> {
  const session = await scope.attach(targetId);
  const { resource } = await scope.untilAborted(
    session.send('Network.loadNetworkResource', {
      frameId,
      url,
      options: { disableCache: false, includeCredentials: true },
    }),
  );
  if (!resource.success || resource.stream === undefined) {
    const { httpStatusCode: status, netErrorName } = resource;
    const isAnswered = status !== undefined && status >= 400;
    throw new SourceMapProblem(
      isAnswered ? `was answered ${status}` : `was not loaded (${netErrorName ?? 'no answer'})`,
    );
  }
  return readStream(scope, session, resource.stream, maxBytes);
}

async function readStream(scope: CdpScope, session: CDPSession, handle: string, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for (let isEnd = false; !isEnd;) {
    const {
      data,
      base64Encoded = false,
      eof,
    } = await scope.untilAborted(session.send('IO.read', { handle, size: chunkBytes }));
    const chunk = Buffer.from(data, base64Encoded ? 'base64' : 'utf8');
    bytes += chunk.length;
    if (bytes > maxBytes) throw tooBig(maxBytes);
    chunks.push(chunk);
    isEnd = eof;
  }
  return Buffer.concat(chunks);
}

const tooBig = (maxBytes: number): SourceMapProblem =>
  new SourceMapProblem(`is bigger than ${Math.round(maxBytes / 1024 ** 2)} MB`);
