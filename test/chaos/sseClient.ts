import { RawSse } from '../support/rawSse.js';
import {
  recordAnnouncement,
  randomNodeUrl,
  noteCall,
  echoOf,
  initialize,
  progressIn,
  refusalReasonIn,
  reasonOf,
} from './chaosClient.js';
import { request, settlesWithin, type ClientOptions, type ClientSession } from './chaosClient.js';

interface PendingMessage {
  readonly progress: number[];
  settle(): void;
}

/** Opens a session over SSE; null if there is none to be had now. */
export async function openSse(options: ClientOptions): Promise<ClientSession | null> {
  const { url } = randomNodeUrl(options, '/');
  const session = new SseSession(options, url);
  return (await session.open()) ? session : null;
}

/** A client over HTTP+SSE: one stream, at one node; it posts to any. */
class SseSession implements ClientSession {
  readonly #options: ClientOptions;
  readonly #stream: RawSse;
  readonly #waiting = new Map<string, PendingMessage>();
  #hasLeft = false;
  id = '';

  constructor(options: ClientOptions, url: string) {
    this.#options = options;
    this.#stream = new RawSse(url, {
      path: `/sse?userId=${options.user}`,
      onEndpoint: (stream) => {
        this.id = stream.sessionId;
        recordAnnouncement(options, this.id, 'sse');
      },
      onEvent: ({ event, data }) => event === 'message' && this.#onMessage(JSON.parse(data) as object),
    });
    void this.#stream.whenClosed().then(() => this.#onStreamEnd('the stream ended'));
  }

  get isOver(): boolean {
    return this.#hasLeft || this.#stream.isClosed;
  }

  /** Whether it was announced and has initialised. */
  async open(): Promise<boolean> {
    const { patienceMs, history } = this.#options;
    const announced = this.#stream.whenAnnounced().catch(() => undefined);
    if (!(await settlesWithin(patienceMs, announced))) history.record({ type: 'silent', text: 'GET /sse' });
    if (this.id === '') await this.#stream.disconnect();
    if (this.isOver) return false;
    const { id: text } = initialize;
    const settled = this.#expect(text);
    const reply = await this.#post(initialize);
    if (typeof reply === 'string' || reply.status !== 202 || !(await settlesWithin(patienceMs, settled))) {
      await this.leave();
      return false;
    }
    await this.#post({ jsonrpc: '2.0', method: 'notifications/initialized' });
    return !this.isOver;
  }

  async callNote(text: string, holdMs: number): Promise<{ readonly settled: Promise<void> }> {
    const { history, user, patienceMs } = this.#options;
    const settled = this.#expect(text);
    const reply = await this.#post(noteCall(text, holdMs), (to) =>
      history.record({ type: 'sent', session: this.id, user, text, to }),
    );
    if (reply === 'broken' || reply === 'silent') history.record({ type: reply, text });
    else if (reply.status === 202) {
      history.record({ type: 'acknowledged', text });
      return { settled: this.#settledInTime(text, settled) };
    } else {
      const reason = reasonOf(reply.json, String(reply.status));
      history.record({ type: 'refused', text, reason });
      if (reason === 'closed' || reason === 'unknown') await this.leave();
    }
    // Whether it comes to be answered all the same, nobody can say.
    void settlesWithin(patienceMs, settled).then(() => this.#waiting.delete(text));
    return { settled: Promise.resolve() };
  }

  async leave(): Promise<void> {
    this.#hasLeft = true;
    await this.#stream.disconnect();
  }

  async #settledInTime(text: string, settled: Promise<void>): Promise<void> {
    const { history, patienceMs } = this.#options;
    if (!(await settlesWithin(patienceMs, settled))) history.record({ type: 'silent', text });
    this.#waiting.delete(text);
  }

  #expect(text: string): Promise<void> {
    return new Promise((settle) => void this.#waiting.set(text, { progress: [], settle }));
  }

  #post(message: object, begin?: (to: number) => void) {
    const { node, url } = randomNodeUrl(this.#options, `/message?sessionId=${this.id}&userId=${this.#options.user}`);
    begin?.(node);
    const headers = { 'content-type': 'application/json' };
    return request(this.#options.patienceMs, url, { method: 'POST', headers, body: JSON.stringify(message) });
  }

  #onMessage(message: object): void {
    const { history } = this.#options;
    const step = progressIn(message);
    const { id } = message as { id?: string };
    const text = step?.text ?? id ?? '';
    const waiting = this.#waiting.get(text);
    if (waiting === undefined) {
      const isNotice = 'method' in message && step === undefined;
      if (!isNotice) history.record({ type: 'stray', session: this.id, what: JSON.stringify(message) });
      return;
    }
    if (step !== undefined) {
      waiting.progress.push(step.progress);
      return;
    }
    const echo = echoOf(message);
    if (echo !== undefined) history.record({ type: 'answered', text, echo, progress: waiting.progress });
    else if (text !== initialize.id) history.record({ type: 'refused', text, reason: refusalReasonIn(message) });
    waiting.settle();
  }

  #onStreamEnd(because: string): void {
    if (this.id !== '') this.#options.history.record({ type: 'ended', session: this.id, because });
    for (const { settle } of this.#waiting.values()) settle();
  }
}
