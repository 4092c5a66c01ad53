import { setTimeout as pause } from 'node:timers/promises';
import type { OutgoingHttpHeaders } from 'node:http';
import { RawSse } from '../support/rawSse.js';
import {
  recordAnnouncement,
  randomNodeUrl,
  noteCall,
  echoOf,
  initialize,
  isLossNotice,
  progressIn,
  refusalReasonIn,
  reasonOf,
} from './chaosClient.js';
import { request, settlesWithin, type ClientOptions, type ClientSession } from './chaosClient.js';
import { now } from './history.js';

const accept = 'application/json, text/event-stream';
const retryMs = 50;
/** Refusals after which a client comes again. */
const transientRefusals = ['store_unreachable', 'not_ready', 'draining', 'queue_full', 'node_lost'];

/** Opens a session over Streamable HTTP; null if there is none to be had now. */
export async function openStreamable(options: ClientOptions): Promise<ClientSession | null> {
  const { patienceMs, user, history } = options;
  const { url } = randomNodeUrl(options, '/');
  const body = JSON.stringify(initialize);
  const stream = new RawSse(url, { path: `/mcp?userId=${user}`, body, headers: { accept } });
  const answered = stream.when(({ messages }) => messages.length > 0).catch(() => undefined);
  if (!(await settlesWithin(patienceMs, answered))) history.record({ type: 'silent', text: 'initialize' });
  const id = String(stream.headers['mcp-session-id'] ?? '');
  if (id !== '') recordAnnouncement(options, id, 'streamable-http');
  await stream.disconnect();
  if (id === '') return null;
  const session = new StreamableSession(options, id);
  // What was not answered cannot be asked for again: the session is given up.
  if (stream.messages.length > 0 && (await session.initialized())) return session;
  await session.leave();
  return null;
}

/** What is heard of one message, over however many streams. */
class MessageProgress {
  readonly text: string;
  readonly progress: number[] = [];
  lastEventId = '';
  hasLossNotice = false;
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
    const reply = await this.#sendWithRetry('POST', body);
    return reply?.status === 202;
  }

  async callNote(text: string, holdMs: number): Promise<{ readonly settled: Promise<void> }> {
    const { history, user, patienceMs } = this.#options;
    const { node, url } = randomNodeUrl(this.#options, '/');
    const following = new MessageProgress(text);
    history.record({ type: 'sent', session: this.id, user, text, to: node });
    const body = JSON.stringify(noteCall(text, holdMs));
    const stream = this.#stream(url, following, body);
    const begun = stream.when(({ events, status = 200 }) => events.length > 0 || status >= 300).catch(() => undefined);
    if (!(await settlesWithin(patienceMs, begun))) {
      history.record({ type: 'silent', text });
      await stream.disconnect();
    } else if (stream.events.length === 0) await this.#recordUnanswered(stream, text);
    else return { settled: this.#follow(stream, following) };
    return { settled: Promise.resolve() };
  }

  async leave(): Promise<void> {
    this.isOver = true;
    const reply = await this.#sendWithRetry('DELETE');
    const because = reply === undefined ? 'nobody answers' : `${reply.status} ${reasonOf(reply.json, '')}`;
    this.#options.history.record({ type: 'ended', session: this.id, because });
    if (reply === undefined) this.#options.history.record({ type: 'silent', text: `DELETE of ${this.id}` });
  }

  /** Comes again, at any node, until it is answered with more than that it should come again. */
  async #sendWithRetry(method: 'POST' | 'DELETE', body?: string) {
    const { patienceMs, user } = this.#options;
    const until = now() + patienceMs;
    while (now() < until) {
      const { url } = randomNodeUrl(this.#options, `/mcp?userId=${user}`);
      const headers = { ...this.#headers, ...(body !== undefined && { 'content-type': 'application/json' }) };
      const reply = await request(patienceMs, url, { method, headers, ...(body !== undefined && { body }) });
      if (typeof reply !== 'string' && !transientRefusals.includes(reasonOf(reply.json, ''))) return reply;
      await pause(retryMs);
    }
    return undefined;
  }

  #stream(url: string, following: MessageProgress, body?: string): RawSse {
    const headers = { ...this.#headers, ...(body === undefined && { 'last-event-id': following.lastEventId }) };
    const path = `/mcp?userId=${this.#options.user}`;
    const onEvent = ({ id, event, data }: { id: string; event: string; data: string }): void => {
      if (id !== '') {
        const isFirst = following.lastEventId === '';
        following.lastEventId = id;
        if (isFirst) this.#options.history.record({ type: 'acknowledged', text: following.text });
      }
      if (event === 'message') this.#onMessage(following, JSON.parse(data) as object);
    };
    return new RawSse(url, { path, headers, onEvent, ...(body !== undefined && { body }) });
  }

  /** No stream came: the reason why, or nothing. */
  async #recordUnanswered(stream: RawSse, text: string): Promise<void> {
    const { history, patienceMs } = this.#options;
    if (!(await settlesWithin(patienceMs, stream.whenClosed()))) await stream.disconnect();
    if (stream.status === undefined || stream.status === 200) {
      history.record({ type: 'broken', text });
      return;
    }
    const reason = reasonOf(parse(stream.text), String(stream.status));
    history.record({ type: 'refused', text, reason });
    if (reason === 'closed' || reason === 'unknown') this.#markOver(reason);
  }

  /** Until the answer is there, over as many streams as it takes. */
  async #follow(first: RawSse, following: MessageProgress): Promise<void> {
    const { history, patienceMs } = this.#options;
    const until = now() + patienceMs;
    let stream = first;
    for (;;) {
      const isClosed = await settlesWithin(Math.max(1, until - now()), stream.whenClosed());
      if (following.isSettled) break;
      const reason = stream.status === 200 ? '' : reasonOf(parse(stream.text), String(stream.status ?? ''));
      if (!isClosed || now() > until) {
        history.record({ type: 'silent', text: following.text });
        break;
      }
      if (following.lastEventId === '') {
        // It was never told where to go on.
        history.record({ type: 'broken', text: following.text });
        break;
      }
      if (reason !== '' && !transientRefusals.includes(reason)) {
        history.record({
          type: 'refused',
          text: following.text,
          reason: reason === '204' ? 'nothing is left' : reason,
        });
        if (reason === 'closed' || reason === 'unknown') this.#markOver(reason);
        break;
      }
      await pause(retryMs);
      stream = this.#stream(randomNodeUrl(this.#options, '/').url, following);
    }
    await stream.disconnect();
  }

  #markOver(reason: string): void {
    if (!this.isOver) this.#options.history.record({ type: 'ended', session: this.id, because: reason });
    this.isOver = true;
  }

  #onMessage(following: MessageProgress, message: object): void {
    const { history } = this.#options;
    const { text, progress } = following;
    const step = progressIn(message);
    const { id } = message as { id?: string };
    if (isLossNotice(message)) {
      following.hasLossNotice = true;
      return;
    }
    if ((step?.text ?? id) !== text) {
      history.record({ type: 'stray', session: this.id, what: JSON.stringify(message) });
      return;
    }
    if (step !== undefined) {
      progress.push(step.progress);
      return;
    }
    const echo = echoOf(message);
    if (echo !== undefined)
      history.record({ type: 'answered', text, echo, progress: following.hasLossNotice ? 'told' : progress });
    else history.record({ type: 'refused', text, reason: refusalReasonIn(message) });
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
