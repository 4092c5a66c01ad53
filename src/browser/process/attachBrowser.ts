import { tmpdir } from 'node:os';
import type { ReadableStream } from 'node:stream/web';
import type { Browser } from 'puppeteer-core';
import { timeLimit } from '../../clock.js';
import { Refusal } from '../../errors/errors.js';
import { noop, untilAborted } from '../../async.js';
import { type BrowserConnection, createResourceLedger, type ResourceLedger } from './browserConnection.js';
import { findRunningChrome, type RunningChrome } from './executable.js';
import { SocketTransport } from './socketTransport.js';
import { cutText } from '../../text.js';

/** Chrome's response has a few hundred bytes. */
const maxVersionBytes = 64 * 1024;
const maxProductLength = 200;

export interface AttachBrowserOptions {
  /** `http(s)://host:port`, whose /json/version names the socket, or the `ws(s)://` socket itself. */
  readonly url: string;
  readonly signal: AbortSignal;
  readonly ledger: ResourceLedger;
  /** How long the browser may take to answer. Default five seconds. */
  readonly timeoutMs?: number;
  /**
   * Checks an address before anything is sent to it, and resolves with the address to use. Default: the same address.
   */
  readonly resolve?: (url: string) => Promise<string>;
  /** Sent with the request for the address and with the upgrade. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/**
 * Connects to a browser that is running already. Closing the connection leaves that browser and its tabs running. All
 * targets are visible, extension pages and service workers too. Throws `browser_unreachable` with cause and fix, or the
 * signal's reason.
 */
export async function attachBrowser(options: AttachBrowserOptions): Promise<BrowserConnection> {
  const { url, ledger, timeoutMs = 5_000, resolve = unresolved, headers = {} } = options;
  const deadline = timeLimit(timeoutMs);
  const signal = AbortSignal.any([options.signal, deadline]);
  try {
    const address = await untilAborted(resolve(url), signal);
    // The response may contain any address.
    const browserWSEndpoint = url.startsWith('http')
      ? await untilAborted(resolve(await fetchWebSocketUrl(address, signal, headers)), signal)
      : address;
    return await connectTo(browserWSEndpoint, ledger, signal, headers);
  } catch (error) {
    options.signal.throwIfAborted();
    if (error instanceof Refusal) throw error;
    throw browserUnreachable(url, deadline.aborted ? `no answer in ${timeoutMs} ms` : rootCauseOf(error), error);
  }
}

const unresolved = (url: string): Promise<string> => Promise.resolve(url);

/** How long the user may take to allow Chrome to be debugged. */
export const consentTimeoutMs = 120_000;

/**
 * Connects to a running Chrome whose user allowed it. Chrome asks the user for each connection, so no connection is
 * retried. Throws `browser_unreachable` with what the user has to do, or the signal's reason.
 */
export async function attachToRunningChrome(
  chrome: RunningChrome,
  { signal, ledger }: Pick<AttachBrowserOptions, 'signal' | 'ledger'>,
): Promise<BrowserConnection> {
  const url = await findRunningChrome(chrome);
  const deadline = timeLimit(consentTimeoutMs);
  try {
    return await connectTo(url, ledger, AbortSignal.any([signal, deadline]), {});
  } catch (error) {
    signal.throwIfAborted();
    const { host } = new URL(url);
    const cause = deadline.aborted ? `nobody allowed it in ${consentTimeoutMs / 1000} s` : rootCauseOf(error);
    const detail = /ECONNREFUSED/.test(cause)
      ? `Chrome is not running any more: nothing answers at ${host}. Start it, and switch remote debugging on in chrome://inspect/#remote-debugging.`
      : `Chrome at ${host} refused: ${cause}. Allow the connection in its window, and call again.`;
    throw new Refusal('browser_unreachable', { detail }, { cause: error });
  }
}

/** Connects once and resolves with the product, `Chrome/156.0.…`. Throws as {@link attachBrowser} does. */
export async function probeBrowser(options: Omit<AttachBrowserOptions, 'ledger'>): Promise<string> {
  const connection = await attachBrowser({ ...options, ledger: createResourceLedger() });
  await connection.close();
  return connection.product;
}

type RequestHeaders = Readonly<Record<string, string>>;

/** The headers of `--browser-header`, which the schema has checked. */
export function headersOf(lines: readonly string[] = []): RequestHeaders {
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
}

/** Fetched here and not by puppeteer, which cannot cancel the request. */
async function fetchWebSocketUrl(url: string, signal: AbortSignal, headers: RequestHeaders): Promise<string> {
  const response = await fetch(new URL('/json/version', url), { signal, redirect: 'error', headers });
  const text = await untilAborted(readText(response, signal), signal);
  const version: unknown = response.ok ? JSON.parse(text) : undefined;
  if (typeof version === 'object' && version !== null && 'webSocketDebuggerUrl' in version) {
    return String(version.webSocketDebuggerUrl);
  }
  throw new Error(`${url}/json/version answered ${response.status}, without webSocketDebuggerUrl`);
}

/** The body, of at most {@link maxVersionBytes}. Stops reading in every case. */
async function readText({ body }: Response, signal: AbortSignal): Promise<string> {
  if (body === null) return '';
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop cancels the stream.
  for await (const chunk of body as ReadableStream<Uint8Array>) {
    signal.throwIfAborted();
    length += chunk.length;
    if (length > maxVersionBytes) throw new Error(`/json/version answered with more than ${maxVersionBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Terminates the socket when it throws. */
async function connectTo(
  url: string,
  ledger: ResourceLedger,
  signal: AbortSignal,
  headers: RequestHeaders,
): Promise<BrowserConnection> {
  const transport = new SocketTransport(url, { headers });
  const dropped = new Promise<never>((_resolve, reject) => {
    transport.ondrop = (cause) => reject(new Error(cause));
  });
  dropped.catch(noop);
  const untilAnswered = <T>(response: Promise<T>): Promise<T> =>
    untilAborted(Promise.race([dropped, response]), signal);
  try {
    await untilAnswered(transport.opened);
    const browser = await untilAnswered(transport.connect());
    const disconnected = new Promise<void>((resolve) => browser.once('disconnected', () => resolve()));
    const product = cutText(await untilAnswered(browser.version()), maxProductLength);
    ledger.connections.opened += 1;
    return connectionOf({ browser, transport, product, disconnected, ledger });
  } catch (error) {
    transport.terminate();
    throw error;
  }
}

interface Attached {
  readonly browser: Browser;
  readonly transport: SocketTransport;
  readonly product: string;
  readonly disconnected: Promise<void>;
  readonly ledger: ResourceLedger;
}

function connectionOf({ browser, transport, product, disconnected, ledger }: Attached): BrowserConnection {
  let isOpen = true;
  const close = async (): Promise<void> => {
    if (!isOpen) return;
    isOpen = false;
    await browser.disconnect();
    ledger.connections.closed += 1;
  };
  const ping = async (): Promise<void> => {
    await browser.version();
  };
  const endCause = () => transport.droppedBecause;
  return { browser, mode: 'attach', product, temporaryFolder: tmpdir(), disconnected, endCause, ping, close };
}

/** The innermost cause is the most specific: `connect ECONNREFUSED 127.0.0.1:9222`. */
function rootCauseOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  if ('errors' in error && Array.isArray(error.errors) && error.errors.length > 0) return rootCauseOf(error.errors[0]);
  if ('cause' in error && error.cause !== undefined) return rootCauseOf(error.cause);
  return 'message' in error ? String(error.message) : 'the connection failed';
}

function browserUnreachable(url: string, cause: string, error: unknown): Refusal {
  const port = new URL(url).port || '9222';
  const detail =
    `No browser answers at ${url}: ${cause}. Start Chrome with --remote-debugging-port=${port} and a ` +
    `--user-data-dir of its own, or correct its address.`;
  return new Refusal('browser_unreachable', { detail }, { cause: error });
}
