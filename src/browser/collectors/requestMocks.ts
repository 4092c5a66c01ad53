import { setTimeout as delay } from 'node:timers/promises';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { unlessGone, type CdpHandlers } from '../cdp/cdpSessions.js';
import type { Credentials } from '../policy/credentials.js';
import { inSlices } from '../patterns/slices.js';
import { urlMatcher, fetchPattern } from '../patterns/urlPattern.js';

/** The effect of a rule: an answer (`status`, `headers`, `body`), an abort, or with only a delay, a slower request. */
export interface MockRule {
  /** A glob in which only `*` is special, or `/regex/`. */
  readonly url: string;
  readonly method?: string | undefined;
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
  readonly abort?: Protocol.Network.ErrorReason | undefined;
  readonly delayMs?: number | undefined;
  /** The rule applies at most this many times. */
  readonly times?: number | undefined;
}

export interface ActiveMock extends MockRule {
  readonly id: number;
  readonly hits: number;
}

interface MockEntry {
  readonly id: number;
  readonly rule: MockRule;
  readonly matches: (url: string) => boolean;
  hits: number;
}

type PausedRequest = Protocol.Fetch.RequestPausedEvent;

/**
 * Rules that answer, delay or abort requests of a page, its frames and workers, by the Fetch domain. Requests are
 * paused only while there are rules or credentials, and only those that match a pattern. Of several matching rules the newest applies.
 * Owned by the network collector, which disposes it; paused requests are continued then.
 */
export class NetworkMocks {
  readonly #sessions: () => readonly CDPSession[];
  readonly #onMocked: (cdpId: string, rule: number) => void;
  readonly #credentials: Credentials;
  readonly #stopWatching: () => void;
  readonly #disposed = new AbortController();
  #entries: readonly MockEntry[] = [];
  #lastId = 0;

  constructor(
    sessions: () => readonly CDPSession[],
    mark: (cdpId: string, rule: number) => void,
    credentials: Credentials,
  ) {
    this.#sessions = sessions;
    this.#onMocked = mark;
    this.#credentials = credentials;
    this.#stopWatching = credentials.watch(() => this.#updateSessions());
  }

  /** Resolves when the rule is in effect. Throws a ToolError for an invalid pattern. */
  async add(rule: MockRule): Promise<ActiveMock> {
    const entry: MockEntry = { id: ++this.#lastId, rule, matches: urlMatcher(rule.url), hits: 0 };
    this.#entries = [entry, ...this.#entries];
    await this.#updateSessions();
    return toActiveMock(entry);
  }

  /** Removes one rule, or all. Resolves with the number removed. */
  async remove(id?: number): Promise<number> {
    const before = this.#entries.length;
    this.#entries = id === undefined ? [] : this.#entries.filter((entry) => entry.id !== id);
    await this.#updateSessions();
    return before - this.#entries.length;
  }

  /** Bytes of all rules. */
  get bytes(): number {
    return this.#entries.reduce((sum, { rule }) => sum + bytesOf(rule), 0);
  }

  /** The rules, newest first. */
  list(): ActiveMock[] {
    return this.#entries.map(toActiveMock);
  }

  /** Enables interception on a session that opens while there are rules. */
  enable(session: CDPSession): Promise<unknown> {
    return this.#patterns.length === 0 ? Promise.resolve() : this.#enable(session);
  }

  handlers(session: CDPSession): CdpHandlers {
    return { 'Fetch.requestPaused': (event) => void this.#handle(session, event) };
  }

  dispose(): void {
    this.#disposed.abort();
    this.#stopWatching();
    this.#entries = [];
    void this.#updateSessions();
  }

  async #updateSessions(): Promise<void> {
    await Promise.all(
      this.#sessions().map((session) =>
        this.#patterns.length === 0 ? unlessGone(session.send('Fetch.disable')) : this.#enable(session),
      ),
    );
  }

  get #patterns(): readonly string[] {
    if (this.#disposed.signal.aborted) return [];
    const servers = this.#credentials.origins.map((origin) => `${origin}/*`);
    return [...this.#entries.map(({ rule }) => fetchPattern(rule.url)), ...servers];
  }

  #enable(session: CDPSession): Promise<unknown> {
    const patterns = this.#patterns.map((urlPattern) => ({ urlPattern }));
    // Workers have no Fetch domain; their requests are paused on the page's session.
    return unlessGone(session.send('Fetch.enable', { patterns }));
  }

  /** A request whose mock fails is continued, so that it does not hang. */
  async #handle(session: CDPSession, paused: PausedRequest): Promise<void> {
    try {
      await this.#handlePaused(session, paused, await inSlices(this.#take(paused)));
    } catch {
      await this.#continue(session, paused);
    }
  }

  /** The newest rule that applies to a request. Counts as a hit, except for a preflight that the rule does not name. */
  *#take(paused: PausedRequest): Generator<undefined, MockEntry | undefined> {
    for (const entry of this.#entries) {
      if (appliesTo(entry, paused) && entry.matches(paused.request.url)) {
        if (!isPreflightOf(entry, paused)) entry.hits++;
        return entry;
      }
      yield;
    }
    return undefined;
  }

  async #handlePaused(session: CDPSession, paused: PausedRequest, entry: MockEntry | undefined): Promise<void> {
    if (entry === undefined) return this.#continue(session, paused);
    if (isPreflightOf(entry, paused)) {
      return hasResponse(entry.rule)
        ? fulfillRequest(session, paused, preflightResponse)
        : this.#continue(session, paused);
    }
    if (paused.networkId !== undefined) this.#onMocked(paused.networkId, entry.id);
    const { delayMs = 0 } = entry.rule;
    // A delay that disposal cuts short ends normally.
    if (delayMs > 0) await delay(delayMs, undefined, { signal: this.#disposed.signal }).catch(() => undefined);
    return this.#apply(session, paused, entry.rule);
  }

  /** Never rejects: the page may have cancelled the request meanwhile. */
  async #apply(session: CDPSession, paused: PausedRequest, rule: MockRule): Promise<void> {
    if (rule.abort !== undefined) {
      const { requestId } = paused;
      await unlessGone(session.send('Fetch.failRequest', { requestId, errorReason: rule.abort }));
    } else if (hasResponse(rule)) await fulfillRequest(session, paused, rule);
    else await this.#continue(session, paused);
  }

  /** With the credentials for its server, unless the page sends its own. */
  async #continue(session: CDPSession, paused: PausedRequest): Promise<void> {
    const { requestId, request } = paused;
    const authorization = this.#credentials.headerFor(request.url);
    const isPreflight = headerOf(paused, 'access-control-request-method') !== undefined;
    const isPlain = authorization === undefined || isPreflight || headerOf(paused, 'authorization') !== undefined;
    const headers = Object.entries(request.headers).map(([name, value]) => ({ name, value }));
    await unlessGone(
      session.send('Fetch.continueRequest', {
        requestId,
        ...(isPlain ? {} : { headers: [...headers, { name: 'Authorization', value: authorization }] }),
      }),
    );
  }
}

/** Whether it is the CORS preflight of a request that the rule answers. */
function isPreflightOf({ rule }: MockEntry, paused: PausedRequest): boolean {
  const isPreflight = headerOf(paused, 'access-control-request-method') !== undefined;
  return isPreflight && rule.method?.toUpperCase() !== 'OPTIONS';
}

/** Approximate bytes of a rule. */
export function bytesOf({ url, method = '', headers = {}, body = '' }: MockRule): number {
  const texts = [url, method, body, ...Object.entries(headers).flat()];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

function appliesTo({ rule, hits }: MockEntry, paused: PausedRequest): boolean {
  if (rule.times !== undefined && hits >= rule.times) return false;
  if (rule.method === undefined) return true;
  const method = headerOf(paused, 'access-control-request-method') ?? paused.request.method;
  return [method, paused.request.method].includes(rule.method.toUpperCase());
}

function hasResponse(rule: MockRule): boolean {
  return rule.status !== undefined || rule.body !== undefined || rule.headers !== undefined;
}

const preflightResponse: Pick<MockRule, 'status' | 'headers' | 'body'> = {
  status: 204,
  headers: { 'access-control-allow-methods': '*', 'access-control-max-age': '0' },
};

async function fulfillRequest(
  session: CDPSession,
  paused: PausedRequest,
  { status = 200, headers = {}, body = '' }: Pick<MockRule, 'status' | 'headers' | 'body'>,
): Promise<void> {
  const answer = new Headers({ 'content-type': contentTypeOf(body), ...corsHeaders(paused), ...headers });
  await unlessGone(
    session.send('Fetch.fulfillRequest', {
      requestId: paused.requestId,
      responseCode: status,
      responseHeaders: [...answer].map(([name, value]) => ({ name, value })),
      body: Buffer.from(body).toString('base64'),
    }),
  );
}

/** CORS headers that allow the page to read a mock of another origin; headers of the rule override them. */
function corsHeaders(paused: PausedRequest): Record<string, string> {
  const origin = headerOf(paused, 'origin');
  if (origin === undefined) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': headerOf(paused, 'access-control-request-method') ?? paused.request.method,
    'access-control-allow-headers': headerOf(paused, 'access-control-request-headers') ?? '',
  };
}

function contentTypeOf(body: string): string {
  return /^\s*[[{]/.test(body) ? 'application/json' : 'text/plain; charset=utf-8';
}

function headerOf({ request }: PausedRequest, name: string): string | undefined {
  return Object.entries(request.headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

function toActiveMock({ id, rule, hits }: MockEntry): ActiveMock {
  return { ...rule, id, hits };
}
