import { RawSse } from '../support/rawSse.js';
import { announce, anyUrl, call, echoOf, initialize, progressIn, reasonIn, reasonOf } from './client.js';
import { request, within, type ClientOptions, type ClientSession } from './client.js';

interface Waiting {
  readonly progress: number[];
  settle(): void;
}

/** Opens a session over SSE; null if there is none to be had now. */
export async function openSse(options: ClientOptions): Promise<ClientSession | null> {
  const { url } = anyUrl(options, '/');
  const session = new SseSession(options, url);
  return (await session.open()) ? session : null;
}

/** A client over HTTP+SSE: one stream, at one node; it posts to any. */
class SseSession implements ClientSession {
  readonly #options: ClientOptions;
  readonly #stream: RawSse;
  readonly #waiting = new Map<string, Waiting>();
  #hasLeft = false;
  id = '';

  constructor(options: ClientOptions, url: string) {
    this.#options = options;
    this.#stream = new RawSse(url, {
      path: `/sse?userId=${options.user}`,
      atEndpoint: (stream) => {
        this.id = stream.sessionId;
        announce(options, this.id, 'sse');
      },
      atEvent: ({ event, data }) => event === 'message' && this.#take(JSON.parse(data) as object),
    });
    void this.#stream.whenClosed().then(() => this.#ended('the stream ended'));
  }

  get isOver(): boolean {
    return this.#hasLeft || this.#stream.isClosed;
  }

  /** Whether it was announced and has initialised. */
  async open(): Promise<boolean> {
    const { patienceMs, history } = this.#options;
    const announced = this.#stream.whenAnnounced().catch(() => undefined);
    if (!(await within(patienceMs, announced))) history.add({ is: 'silent', text: 'GET /sse' });
    if (this.id === '') await this.#stream.hangUp();
    if (this.isOver) return false;
    const { id: text } = initialize;
    const settled = this.#expect(text);
    const reply = await this.#post(initialize);
    if (typeof reply === 'string' || reply.status !== 202 || !(await within(patienceMs, settled))) {
      await this.leave();
      return false;
    }
    await this.#post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return !this.isOver;
  }

  async say(text: string, holdMs: number): Promise<{ readonly settled: Promise<void> }> {
    const { history, user, patienceMs } = this.#options;
    const settled = this.#expect(text);
    const reply = await this.#post(call(text, holdMs), (to) =>
      history.add({ is: 'sent', session: this.id, user, text, to }),
    );
    if (reply === 'broken' || reply === 'silent') history.add({ is: reply, text });
    else if (reply.status === 202) {
      history.add({ is: 'acknowledged', text });
      return { settled: this.#settledInTime(text, settled) };
    } else {
      const reason = reasonOf(reply.json, String(reply.status));
      history.add({ is: 'refused', text, reason });
      if (reason === 'closed' || reason === 'unknown') await this.leave();
    }
    // Whether it comes to be answered all the same, nobody can say.
    void within(patienceMs, settled).then(() => this.#waiting.delete(text));
    return { settled: Promise.resolve() };
  }

  async leave(): Promise<void> {
    this.#hasLeft = true;
    await this.#stream.hangUp();
  }

  async #settledInTime(text: string, settled: Promise<void>): Promise<void> {
    const { history, patienceMs } = this.#options;
    if (!(await within(patienceMs, settled))) history.add({ is: 'silent', text });
    this.#waiting.delete(text);
  }

  #expect(text: string): Promise<void> {
    return new Promise((settle) => void this.#waiting.set(text, { progress: [], settle }));
  }

  #post(message: object, begin?: (to: number) => void) {
    const { node, url } = anyUrl(this.#options, `/message?sessionId=${this.id}&userId=${this.#options.user}`);
    begin?.(node);
    const headers = { 'content-type': 'application/json' };
    return request(this.#options.patienceMs, url, { method: 'POST', headers, body: JSON.stringify(message) });
  }

  #take(message: object): void {
    const { history } = this.#options;
    const step = progressIn(message);
    const { id } = message as { id?: string };
    const text = step?.text ?? id ?? '';
    const waiting = this.#waiting.get(text);
    if (waiting === undefined) {
      const isNotice = 'method' in message && step === undefined;
      if (!isNotice) history.add({ is: 'stray', session: this.id, what: JSON.stringify(message) });
      return;
    }
    if (step !== undefined) {
      waiting.progress.push(step.progress);
      return;
    }
    const echo = echoOf(message);
    if (echo !== undefined) history.add({ is: 'answered', text, echo, progress: waiting.progress });
    else if (text !== initialize.id) history.add({ is: 'refused', text, reason: reasonIn(message) });
    waiting.settle();
  }

  #ended(because: string): void {
    if (this.id !== '') this.#options.history.add({ is: 'ended', session: this.id, because });
    for (const { settle } of this.#waiting.values()) settle();
  }
}
