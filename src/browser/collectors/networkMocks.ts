import { setTimeout as delay } from 'node:timers/promises';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { unlessGone, type Handlers } from '../protocol/sessions.js';
import { inSlices } from '../patterns/slices.js';
import { matcherOf, protocolPatternOf } from './urlPattern.js';

/** What a rule does: answer (`status`, `headers`, `body`), abort, or, with a delay alone, slow down. */
export interface MockRule {
  /** Glob, in which only `*` means anything, or `/regex/`. */
  readonly url: string;
  readonly method?: string | undefined;
  readonly status?: number | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | undefined;
  readonly abort?: Protocol.Network.ErrorReason | undefined;
  readonly delayMs?: number | undefined;
  /** After so many hits the rule stands aside. */
  readonly times?: number | undefined;
}

export interface ActiveMock extends MockRule {
  readonly id: number;
  readonly hits: number;
}

interface Entry {
  readonly id: number;
  readonly rule: MockRule;
  readonly matches: (url: string) => boolean;
  hits: number;
}

type Paused = Protocol.Fetch.RequestPausedEvent;

/**
 * Rules that answer, delay or abort requests of a page, its frames and workers, by the Fetch domain. Requests are held
 * only while there are rules, and only those that a rule's pattern names. Of several rules that match, the newest one
 * acts. Owned by the network collector, which disposes it; requests it holds then go on.
 */
export class NetworkMocks {
  readonly #sessions: () => readonly CDPSession[];
  readonly #mark: (cdpId: string, rule: number) => void;
  readonly #stop = new AbortController();
  #entries: readonly Entry[] = [];
  #lastId = 0;

  constructor(sessions: () => readonly CDPSession[], mark: (cdpId: string, rule: number) => void) {
    this.#sessions = sessions;
    this.#mark = mark;
  }

  /** Resolves when the rule is in force. Throws a ToolError on a pattern that is no regular expression. */
  async add(rule: MockRule): Promise<ActiveMock> {
    const entry: Entry = { id: ++this.#lastId, rule, matches: matcherOf(rule.url), hits: 0 };
    this.#entries = [entry, ...this.#entries];
    await this.#apply();
    return describe(entry);
  }

  /** Removes one rule, or all. Answers how many there were. */
  async remove(id?: number): Promise<number> {
    const before = this.#entries.length;
    this.#entries = id === undefined ? [] : this.#entries.filter((entry) => entry.id !== id);
    await this.#apply();
    return before - this.#entries.length;
  }

  /** Bytes of all rules. */
  get bytes(): number {
    return this.#entries.reduce((sum, { rule }) => sum + bytesOf(rule), 0);
  }

  /** The rules, newest first. */
  list(): ActiveMock[] {
    return this.#entries.map(describe);
  }

  /** What a session needs to hear when it joins while there are rules. */
  enable(session: CDPSession): Promise<unknown> {
    return this.#entries.length === 0 ? Promise.resolve() : this.#enable(session);
  }

  handlers(session: CDPSession): Handlers {
    return { 'Fetch.requestPaused': (event) => void this.#handle(session, event) };
  }

  dispose(): void {
    this.#stop.abort();
    this.#entries = [];
    void this.#apply();
  }

  async #apply(): Promise<void> {
    await Promise.all(
      this.#sessions().map((session) =>
        this.#entries.length === 0 ? unlessGone(session.send('Fetch.disable')) : this.#enable(session),
      ),
    );
  }

  #enable(session: CDPSession): Promise<unknown> {
    const patterns = this.#entries.map(({ rule }) => ({ urlPattern: protocolPatternOf(rule.url) }));
    // Workers have no Fetch domain; their requests are held on the page's session.
    return unlessGone(session.send('Fetch.enable', { patterns }));
  }

  /** A request whose answer fails goes on as without rules, rather than hang. */
  async #handle(session: CDPSession, paused: Paused): Promise<void> {
    try {
      await this.#answer(session, paused, await inSlices(this.#take(paused)));
    } catch {
      await goOn(session, paused);
    }
  }

  /** The newest rule that acts on a request, which counts as a hit except for a preflight that is not the rule's. */
  *#take(paused: Paused): Generator<undefined, Entry | undefined> {
    for (const entry of this.#entries) {
      if (mayAct(entry, paused) && entry.matches(paused.request.url)) {
        if (!isPreflightOf(entry, paused)) entry.hits++;
        return entry;
      }
      yield;
    }
    return undefined;
  }

  async #answer(session: CDPSession, paused: Paused, entry: Entry | undefined): Promise<void> {
    if (entry === undefined) return goOn(session, paused);
    if (isPreflightOf(entry, paused)) {
      return answersItself(entry.rule) ? fulfil(session, paused, preflightAnswer) : goOn(session, paused);
    }
    if (paused.networkId !== undefined) this.#mark(paused.networkId, entry.id);
    const { delayMs = 0 } = entry.rule;
    // A wait that dispose cuts short ends like one that is over.
    if (delayMs > 0) await delay(delayMs, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    return act(session, paused, entry.rule);
  }
}

/** Whether the browser asks first if it may send what the rule answers. */
function isPreflightOf({ rule }: Entry, paused: Paused): boolean {
  const isPreflight = headerOf(paused, 'access-control-request-method') !== undefined;
  return isPreflight && rule.method?.toUpperCase() !== 'OPTIONS';
}

/** About what it takes to keep a rule. */
export function bytesOf({ url, method = '', headers = {}, body = '' }: MockRule): number {
  const texts = [url, method, body, ...Object.entries(headers).flat()];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

function mayAct({ rule, hits }: Entry, paused: Paused): boolean {
  if (rule.times !== undefined && hits >= rule.times) return false;
  if (rule.method === undefined) return true;
  const method = headerOf(paused, 'access-control-request-method') ?? paused.request.method;
  return [method, paused.request.method].includes(rule.method.toUpperCase());
}

function answersItself(rule: MockRule): boolean {
  return rule.status !== undefined || rule.body !== undefined || rule.headers !== undefined;
}

/** Late answers are expected to fail: the page may have cancelled the request meanwhile. */
async function act(session: CDPSession, paused: Paused, rule: MockRule): Promise<void> {
  if (rule.abort !== undefined) {
    const { requestId } = paused;
    await unlessGone(session.send('Fetch.failRequest', { requestId, errorReason: rule.abort }));
  } else if (answersItself(rule)) await fulfil(session, paused, rule);
  else await goOn(session, paused);
}

async function goOn(session: CDPSession, { requestId }: Paused): Promise<void> {
  await unlessGone(session.send('Fetch.continueRequest', { requestId }));
}

const preflightAnswer: Pick<MockRule, 'status' | 'headers' | 'body'> = {
  status: 204,
  headers: { 'access-control-allow-methods': '*', 'access-control-max-age': '0' },
};

async function fulfil(
  session: CDPSession,
  paused: Paused,
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

/** A mock of another site's API answers as if that site let the page in; a rule's own headers come later and win. */
function corsHeaders(paused: Paused): Record<string, string> {
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

function headerOf({ request }: Paused, name: string): string | undefined {
  return Object.entries(request.headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

function describe({ id, rule, hits }: Entry): ActiveMock {
  return { ...rule, id, hits };
}
