import type { Clock } from '../clock.js';
import { parseEventId, type EventLog } from '../cluster/eventLog.js';
import { messageOf, Refusal } from '../errors.js';
import type { JSONRPCMessage, RequestId } from '../mcp/protocol.js';
import type { Ending } from '../session/channel.js';
import type { StreamEnd, StreamWriter } from './streamWriter.js';
import { ResumableStream, type Attaching, type StreamOptions } from './streamableHttpStream.js';
import type { SessionTransport } from './transport.js';

/** How long, and of how many requests, an answer that was sent can be had once more. */
const keepAnswersMs = 60_000;
const maxKeptAnswers = 64;

export interface StreamableHttpOptions {
  readonly clock: Clock;
  readonly eventLog: EventLog;
}

/** What is kept of a session's streams, beside their log, to go on with them at another node. */
export interface StoredStreams {
  readonly standalone: StoredStream;
  /** Those of POSTs, with the requests whose answers are not in the log yet. */
  readonly asked: readonly (StoredStream & { readonly answersOnly: boolean; readonly requests: RequestId[] })[];
}

interface StoredStream {
  readonly id: string;
  /** False: something that was sent is not in the log. */
  readonly isWhole: boolean;
}

/** A POST with requests in it. */
export interface Asking {
  readonly requests: readonly RequestId[];
  /** Hands the messages to the session. What it throws leaves nothing behind. */
  hand(): void;
  readonly primed: boolean;
}

/**
 * The server's end of Streamable HTTP (MCP 2025-03-26 to 2025-11-25, basic/transports) for one session: a stream for each
 * POST that asks something, which ends with its last answer, and one for all else, which the client reads with GET. Each
 * can be lost and resumed. Nothing is told before `announce`, and the routes write nothing before `ready` resolves: the
 * header with the session's id leaves with the answer to `initialize`.
 *
 * `onabsent` fires when a client that was listening with GET has no stream left, `onpresent` at its next request.
 */
export class StreamableHttpTransport implements SessionTransport {
  readonly kind = 'streamable-http';
  readonly resumable = true;
  /** Resolves when the session is announced, rejects with the reason why it never will be. */
  readonly ready: Promise<void>;
  readonly said: Promise<void>;
  sessionId?: string;
  onerror?: (error: Error) => void;
  onabsent?: (because: 'client-closed' | 'slow-client') => void;
  onpresent?: () => void;

  readonly #options: StreamableHttpOptions;
  #settle: { readonly resolve: () => void; readonly reject: (refusal: Refusal) => void } | undefined;
  #standalone: ResumableStream | undefined;
  readonly #streams = new Map<string, ResumableStream>();
  /** The stream of each request that is not answered yet. */
  readonly #asked = new Map<RequestId, ResumableStream>();
  /** Streams whose answers were sent, oldest first, with the time from which they may be forgotten. */
  readonly #answered = new Map<ResumableStream, number>();
  /** Runs when the oldest of them may be: one timer, however many there are. */
  #sweeping: unknown;
  readonly #sockets = new Set<StreamWriter>();
  #presence: 'here' | 'leaving' | 'absent' = 'here';
  #isClosed = false;
  #allSaid: () => void = () => undefined;

  constructor(options: StreamableHttpOptions) {
    this.#options = options;
    this.said = new Promise((resolve) => (this.#allSaid = resolve));
    this.ready = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
  }

  announce(sessionId: string): void {
    if (this.#isClosed || this.sessionId !== undefined) return;
    this.sessionId = sessionId;
    this.#standalone = this.#newStream(sessionId);
    this.#settle?.resolve();
  }

  stored(): StoredStreams {
    const asked = [...this.#streams.values()].filter((stream) => stream !== this.#standalone);
    const requestsOf = (stream: ResumableStream) => [
      ...[...this.#asked].filter(([, of]) => of === stream).map(([id]) => id),
      ...stream.unlogged,
    ];
    return {
      standalone: { id: this.#standalone?.id ?? '', isWhole: this.#standalone?.isWhole ?? true },
      asked: asked.map((stream) => {
        const { id, isWhole, answersOnly } = stream;
        return { id, isWhole, answersOnly, requests: requestsOf(stream) };
      }),
    };
  }

  /**
   * Goes on with the streams of a session that was announced at another node; its client is absent. Called instead of
   * `announce`. Answers the requests that will never be answered.
   */
  restore(sessionId: string, { standalone, asked }: StoredStreams): RequestId[] {
    this.sessionId = sessionId;
    this.#presence = 'absent';
    this.#standalone = this.#newStream(sessionId, { streamId: standalone.id, isWhole: standalone.isWhole });
    for (const { id: streamId, requests, ...kept } of asked) {
      const stream = this.#newStream(sessionId, { streamId, ...kept });
      for (const request of requests) this.#asked.set(request, stream);
      if (requests.length === 0) this.#retire(stream);
    }
    this.#settle?.resolve();
    return [...this.#asked.keys()];
  }

  deliver(message: JSONRPCMessage, relatedTo?: RequestId): void {
    if (this.#isClosed || this.#standalone === undefined) return;
    const stream = relatedTo === undefined ? undefined : this.#asked.get(relatedTo);
    const isAnswer = !('method' in message);
    // An answer belongs to its request's stream and to no other (basic/transports, listening for messages).
    if (stream === undefined && isAnswer) return;
    // Who wants one JSON answer hears of everything else where it listens, if it does.
    const carrier = stream === undefined || (stream.answersOnly && !isAnswer) ? this.#standalone : stream;
    carrier.send(message);
    if (isAnswer && relatedTo !== undefined) this.unanswered(relatedTo);
  }

  unanswered(request: RequestId): void {
    const stream = this.#asked.get(request);
    this.#asked.delete(request);
    if (stream !== undefined && ![...this.#asked.values()].includes(stream)) this.#retire(stream);
  }

  end({ refusal }: Ending): void {
    this.#settle?.reject(refusal);
    void this.close();
  }

  /** Ends every stream after what was sent on it; then its log is dropped. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#sweeping);
    await Promise.all([...this.#streams.values()].map((stream) => stream.finish()));
    if (this.sessionId !== undefined) await this.#options.eventLog.forget(this.sessionId).catch(this.#failed);
    this.#allSaid();
  }

  /** The client made a request: it is there. */
  contact(): void {
    const wasAbsent = this.#presence === 'absent';
    this.#presence = 'here';
    if (wasAbsent) this.onpresent?.();
  }

  /** Answers the `initialize` that opened the session. Until it is answered nobody can come back: then `onabsent` fires. */
  async open(writer: StreamWriter, asking: Asking): Promise<void> {
    const head = { 'mcp-session-id': this.sessionId ?? '' };
    await this.#ask(writer, asking, { head, isVital: true });
  }

  /** Hands requests over and answers them on `writer`. Rejects with a Refusal, and then nothing was written. */
  async ask(writer: StreamWriter, asking: Asking): Promise<void> {
    await this.#ask(writer, asking, { head: {}, isVital: false });
  }

  /** Makes `writer` the stream for what belongs to no request. */
  async listen(writer: StreamWriter, primed: boolean): Promise<void> {
    if (this.#standalone === undefined) throw new Refusal('not_ready');
    await this.#attach(this.#standalone, writer, { primed, isVital: true });
  }

  /**
   * Goes on with the stream of an event that the client has. `over`: every answer on it was sent, the client has them all.
   * Rejects with `unknown_event`, also for an id of another session, or `gap`.
   */
  async resume(writer: StreamWriter, lastEventId: string, primed: boolean): Promise<'attached' | 'over'> {
    const stream = this.#streams.get(parseEventId(lastEventId)?.streamId ?? '');
    if (stream === undefined) throw new Refusal('unknown_event');
    return this.#attach(stream, writer, { primed, lastEventId, isVital: stream === this.#standalone });
  }

  /**
   * Ends the socket of a request that is not answered yet: the client comes back for the answer after `retryMs` (2025-11-25,
   * polling). Does nothing for a request that is answered.
   */
  suspend(request: RequestId, retryMs: number): void {
    // A call may want it while it is being handed over, which is just before its socket is attached.
    queueMicrotask(() => this.#asked.get(request)?.suspend(retryMs));
  }

  async #ask(
    writer: StreamWriter,
    { requests, hand, primed }: Asking,
    { head, isVital }: { head: Record<string, string>; isVital: boolean },
  ): Promise<void> {
    const taken = requests.find((id) => this.#asked.has(id));
    if (taken !== undefined) throw new Refusal('invalid_message', { detail: `The id ${taken} is still in flight.` });
    const stream = this.#newStream(this.sessionId ?? '', { answersOnly: writer.answersOnly });
    for (const id of requests) this.#asked.set(id, stream);
    this.contact();
    try {
      hand();
    } catch (error) {
      for (const id of requests) this.#asked.delete(id);
      this.#streams.delete(stream.id);
      throw error;
    }
    await this.#attach(stream, writer, { head, primed, isVital });
  }

  async #attach(
    stream: ResumableStream,
    writer: StreamWriter,
    { isVital, ...attaching }: Attaching & { readonly isVital: boolean },
  ): Promise<'attached' | 'over'> {
    this.contact();
    this.#sockets.add(writer);
    writer.onerror = this.#failed;
    const left = (because: StreamEnd): void => {
      this.#sockets.delete(writer);
      if (isVital && because !== 'ended') this.#presence = 'leaving';
      if (this.#presence !== 'leaving' || this.#sockets.size > 0) return;
      this.#presence = 'absent';
      this.onabsent?.(because === 'slow-client' ? because : 'client-closed');
    };
    writer.onclose = left;
    if (writer.state === 'closed') left('client-closed');
    const outcome = await stream.attach(writer, attaching).catch((error: unknown) => {
      this.#letGo(writer);
      throw error;
    });
    if (outcome === 'over') this.#letGo(writer);
    return outcome;
  }

  #letGo(writer: StreamWriter): void {
    writer.onclose = undefined;
    this.#sockets.delete(writer);
  }

  #newStream(sessionId: string, given: Partial<StreamOptions> = {}): ResumableStream {
    const options = { answersOnly: false, ...given, onerror: this.#failed };
    const stream = new ResumableStream(sessionId, this.#options.eventLog, options);
    this.#streams.set(stream.id, stream);
    return stream;
  }

  #retire(stream: ResumableStream): void {
    void stream.finish();
    const { clock } = this.#options;
    this.#answered.set(stream, clock.now() + keepAnswersMs);
    const [oldest = stream] = this.#answered.keys();
    if (this.#answered.size > maxKeptAnswers) this.#forget(oldest);
    this.#sweeping ??= clock.setTimeout(this.#sweep, keepAnswersMs);
  }

  readonly #sweep = (): void => {
    const { clock } = this.#options;
    const now = clock.now();
    this.#sweeping = undefined;
    for (const [stream, until] of this.#answered) {
      if (until > now) {
        this.#sweeping = clock.setTimeout(this.#sweep, until - now);
        return;
      }
      this.#forget(stream);
    }
  };

  #forget(stream: ResumableStream): void {
    this.#answered.delete(stream);
    this.#streams.delete(stream.id);
    stream.forget();
  }

  readonly #failed = (error: unknown): void => {
    this.onerror?.(new Error(messageOf(error), { cause: error }));
  };
}
