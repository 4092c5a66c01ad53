import { setTimeout as pause } from 'node:timers/promises';
import type { OutgoingHttpHeaders } from 'node:http';
import { RawSse } from '../support/rawSse.js';
import { announce, anyUrl, call, echoOf, initialize, isLossNotice, progressIn, reasonIn, reasonOf } from './client.js';
import { request, within, type ClientOptions, type ClientSession } from './client.js';
import { now } from './history.js';

const accept = 'application/json, text/event-stream';
const retryMs = 50;
/** Refusals after which a client comes again. */
const passing = ['store_unreachable', 'not_ready', 'draining', 'queue_full', 'node_lost'];

/** Opens a session over Streamable HTTP; null if there is none to be had now. */
export async function openStreamable(options: ClientOptions): Promise<ClientSession | null> {
  const { patienceMs, user, history } = options;
  const { url } = anyUrl(options, '/');
  const body = JSON.stringify(initialize);
  const stream = new RawSse(url, { path: `/mcp?userId=${user}`, body, headers: { accept } });
  const answered = stream.when(({ messages }) => messages.length > 0).catch(() => undefined);
  if (!(await within(patienceMs, answered))) history.add({ is: 'silent', text: 'initialize' });
  const id = String(stream.headers['mcp-session-id'] ?? '');
  if (id !== '') announce(options, id, 'streamable-http');
  await stream.hangUp();
  if (id === '') return null;
  const session = new StreamableSession(options, id);
  // What was not answered cannot be asked for again: the session is given up.
  if (stream.messages.length > 0 && (await session.initialized())) return session;
  await session.leave();
  return null;
}

/** What is heard of one message, over however many streams. */
class Following {
  readonly text: string;
  readonly progress: number[] = [];
  lastEventId = '';
  wasToldOfLoss = false;
  isSettled = false;

  constructor(text: string) {
    this.text = text;
  }
}

/** A client over Streamable HTTP: every request at any node; a stream that breaks is gone on with at any other. */
class StreamableSession implements ClientSession {
  readonly id: string;
  readonly #options: ClientOptions;
  isOver = false;

  constructor(options: ClientOptions, id: string) {
    this.#options = options;
    this.id = id;
  }

  get #headers(): OutgoingHttpHeaders {
    return { accept, 'mcp-session-id': this.id, 'mcp-protocol-version': '2025-11-25' };
  }

  async initialized(): Promise<boolean> {
    const body = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' });
    const reply = await this.#insist('POST', body);
    return reply?.status === 202;
  }

  async say(text: string, holdMs: number): Promise<{ readonly settled: Promise<void> }> {
    const { history, user, patienceMs } = this.#options;
    const { node, url } = anyUrl(this.#options, '/');
    const following = new Following(text);
    history.add({ is: 'sent', session: this.id, user, text, to: node });
    const body = JSON.stringify(call(text, holdMs));
    const stream = this.#stream(url, following, body);
    const begun = stream.when(({ events, status = 200 }) => events.length > 0 || status >= 300).catch(() => undefined);
    if (!(await within(patienceMs, begun))) {
      history.add({ is: 'silent', text });
      await stream.hangUp();
    } else if (stream.events.length === 0) await this.#unheard(stream, text);
    else return { settled: this.#follow(stream, following) };
    return { settled: Promise.resolve() };
  }

  async leave(): Promise<void> {
    this.isOver = true;
    const reply = await this.#insist('DELETE');
    const because = reply === undefined ? 'nobody answers' : `${reply.status} ${reasonOf(reply.json, '')}`;
    this.#options.history.add({ is: 'ended', session: this.id, because });
    if (reply === undefined) this.#options.history.add({ is: 'silent', text: `DELETE of ${this.id}` });
  }

  /** Comes again, at any node, until it is answered with more than that it should come again. */
  async #insist(method: 'POST' | 'DELETE', body?: string) {
    const { patienceMs, user } = this.#options;
    const until = now() + patienceMs;
    while (now() < until) {
      const { url } = anyUrl(this.#options, `/mcp?userId=${user}`);
      const headers = { ...this.#headers, ...(body !== undefined && { 'content-type': 'application/json' }) };
      const reply = await request(patienceMs, url, { method, headers, ...(body !== undefined && { body }) });
      if (typeof reply !== 'string' && !passing.includes(reasonOf(reply.json, ''))) return reply;
      await pause(retryMs);
    }
    return undefined;
  }

  #stream(url: string, following: Following, body?: string): RawSse {
    const headers = { ...this.#headers, ...(body === undefined && { 'last-event-id': following.lastEventId }) };
    const path = `/mcp?userId=${this.#options.user}`;
    const atEvent = ({ id, event, data }: { id: string; event: string; data: string }): void => {
      if (id !== '') {
        const isFirst = following.lastEventId === '';
        following.lastEventId = id;
        if (isFirst) this.#options.history.add({ is: 'acknowledged', text: following.text });
      }
      if (event === 'message') this.#take(following, JSON.parse(data) as object);
    };
    return new RawSse(url, { path, headers, atEvent, ...(body !== undefined && { body }) });
  }

  /** No stream came: the reason why, or nothing. */
  async #unheard(stream: RawSse, text: string): Promise<void> {
    const { history, patienceMs } = this.#options;
    if (!(await within(patienceMs, stream.whenClosed()))) await stream.hangUp();
    if (stream.status === undefined || stream.status === 200) {
      history.add({ is: 'broken', text });
      return;
    }
    const reason = reasonOf(parse(stream.text), String(stream.status));
    history.add({ is: 'refused', text, reason });
    if (reason === 'closed' || reason === 'unknown') this.#gone(reason);
  }

  /** Until the answer is there, over as many streams as it takes. */
  async #follow(first: RawSse, following: Following): Promise<void> {
    const { history, patienceMs } = this.#options;
    const until = now() + patienceMs;
    let stream = first;
    for (;;) {
      const isClosed = await within(Math.max(1, until - now()), stream.whenClosed());
      if (following.isSettled) break;
      const reason = stream.status === 200 ? '' : reasonOf(parse(stream.text), String(stream.status ?? ''));
      if (!isClosed || now() > until) {
        history.add({ is: 'silent', text: following.text });
        break;
      }
      if (following.lastEventId === '') {
        // It was never told where to go on.
        history.add({ is: 'broken', text: following.text });
        break;
      }
      if (reason !== '' && !passing.includes(reason)) {
        history.add({ is: 'refused', text: following.text, reason: reason === '204' ? 'nothing is left' : reason });
        if (reason === 'closed' || reason === 'unknown') this.#gone(reason);
        break;
      }
      await pause(retryMs);
      stream = this.#stream(anyUrl(this.#options, '/').url, following);
    }
    await stream.hangUp();
  }

  #gone(reason: string): void {
    if (!this.isOver) this.#options.history.add({ is: 'ended', session: this.id, because: reason });
    this.isOver = true;
  }

  #take(following: Following, message: object): void {
    const { history } = this.#options;
    const { text, progress } = following;
    const step = progressIn(message);
    const { id } = message as { id?: string };
    if (isLossNotice(message)) {
      following.wasToldOfLoss = true;
      return;
    }
    if ((step?.text ?? id) !== text) {
      history.add({ is: 'stray', session: this.id, what: JSON.stringify(message) });
      return;
    }
    if (step !== undefined) {
      progress.push(step.progress);
      return;
    }
    const echo = echoOf(message);
    if (echo !== undefined)
      history.add({ is: 'answered', text, echo, progress: following.wasToldOfLoss ? 'told' : progress });
    else history.add({ is: 'refused', text, reason: reasonIn(message) });
    following.isSettled = true;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
