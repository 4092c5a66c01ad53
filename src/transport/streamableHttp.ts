import type { Clock } from '../clock.js';
import { parseEventId, type EventLog } from '../cluster/eventLog.js';
import { messageOf, Refusal } from '../errors/errors.js';
import { shownId, type JSONRPCMessage, type RequestId } from '../mcp/protocol.js';
import { ResponseMemory, type SessionMemory } from '../mcp/responseMemory.js';
import type { CloseNotice } from '../session/channel.js';
import type { StreamEnd, StreamWriter } from './streamWriter.js';
import { ResumableStream, type StreamAttachOptions, type ResumableStreamOptions } from './resumableStream.js';
import type { SessionTransport } from './transport.js';

/** How long, and for how many streams of POSTs, sent responses can be replayed. */
const answeredStreamTtlMs = 60_000;
const maxAnsweredStreams = 64;

export interface StreamableHttpOptions {
  readonly clock: Clock;
  readonly eventLog: EventLog;
  /** Counts the answers that the client has not read. */
  readonly memory?: SessionMemory;
}

/** The part of a session's snapshot from which another node restores its streams; their events are in the log. */
export interface StoredStreams {
  readonly standalone: StoredStream;
  /** The streams of POSTs, with the requests whose responses are not in the log yet. */
  readonly asked: readonly (StoredStream & { readonly answersOnly: boolean; readonly requests: RequestId[] })[];
}

interface StoredStream {
  readonly id: string;
  /** False: a sent message is not in the log. */
  readonly isWhole: boolean;
}

/** A POST that contains requests. */
export interface PostedRequests {
  readonly requests: readonly RequestId[];
  /** Passes the messages to the session. If it throws, no request is registered. */
  dispatch(): void;
  readonly sendPrimingEvent: boolean;
}

/**
 * The server's end of Streamable HTTP (MCP 2025-03-26 to 2025-11-25, basic/transports) for one session: a stream for each
 * POST with requests, which ends with its last response, and the standalone stream for everything else, which the client
 * reads with GET. Every stream can be resumed. The routes write nothing before `ready` resolves; the session id leaves in a
 * header with the response to `initialize`. Owned by its session.
 *
 * ```
 *  POST initialize ─▶ ready ─▶ answerInitialize: Mcp-Session-Id, response
 *  POST requests ───▶ a stream: messages of the requests, responses ─▶ finished ─▶ kept for a minute ─▶ discarded
 *  GET ─────────────▶ the standalone stream: everything else
 *  GET with Last-Event-ID ─▶ resume: the rest of either
 *  the last stream of a listening client closes ─▶ onabsent; its next request ─▶ onpresent
 * ```
 */
export class StreamableHttpTransport implements SessionTransport {
  readonly kind = 'streamable-http';
  readonly resumable = true;
  readonly memory: SessionMemory;
  /** Resolves when the session is announced. Rejects with the Refusal if its set-up fails. */
  readonly ready: Promise<void>;
  readonly flushed: Promise<void>;
  sessionId?: string;
  onerror?: (error: Error) => void;
  onabsent?: (because: 'client-closed' | 'slow-client') => void;
  onpresent?: () => void;
  /** The client closed the connection of a request. It comes back for the response only if it has an event id. */
  onrequestlost?: (request: RequestId, canResume: boolean) => void;
  onrequestresumed?: (request: RequestId) => void;

  readonly #options: StreamableHttpOptions;
  #readyResolvers: { readonly resolve: () => void; readonly reject: (refusal: Refusal) => void } | undefined;
  #standalone: ResumableStream | undefined;
  readonly #streams = new Map<string, ResumableStream>();
  /** The stream of each request without a response. */
  readonly #pendingRequests = new Map<RequestId, ResumableStream>();
  /** Streams whose responses were all sent, oldest first, with the time of their discarding. */
  readonly #answeredStreams = new Map<ResumableStream, number>();
  /** One timer for all answered streams; fires when the oldest is due. */
  #sweepTimer: unknown;
  readonly #writers = new Set<StreamWriter>();
  #presence: 'present' | 'leaving' | 'absent' = 'present';
  #isClosed = false;
  #resolveFlushed: () => void = () => undefined;

  constructor(options: StreamableHttpOptions) {
    this.#options = options;
    this.memory = options.memory ?? new ResponseMemory().open('');
    this.flushed = new Promise((resolve) => (this.#resolveFlushed = resolve));
    this.ready = new Promise((resolve, reject) => (this.#readyResolvers = { resolve, reject }));
  }

  announce(sessionId: string): void {
    if (this.#isClosed || this.sessionId !== undefined) return;
    this.sessionId = sessionId;
    this.#standalone = this.#newStream(sessionId);
    this.#resolveReady();
  }

  #resolveReady(): void {
    this.#readyResolvers?.resolve();
    this.#readyResolvers = undefined;
  }

  snapshot(): StoredStreams {
    const postStreams = [...this.#streams.values()].filter((stream) => stream !== this.#standalone);
    const requestsOf = (stream: ResumableStream) => [...this.#requestsOf(stream), ...stream.unlogged];
    return {
      standalone: { id: this.#standalone?.id ?? '', isWhole: this.#standalone?.isWhole ?? true },
      asked: postStreams.map((stream) => {
        const { id, isWhole, answersOnly } = stream;
        return { id, isWhole, answersOnly, requests: requestsOf(stream) };
      }),
    };
  }

  /**
   * Restores the streams of a session that another node announced; its client is absent. Called instead of `announce`.
   * Returns the requests without a logged response: the node that executed them is gone.
   */
  restore(sessionId: string, { standalone, asked: postStreams }: StoredStreams): RequestId[] {
    this.sessionId = sessionId;
    this.#presence = 'absent';
    this.#standalone = this.#newStream(sessionId, { streamId: standalone.id, isWhole: standalone.isWhole });
    for (const { id: streamId, requests, ...streamOptions } of postStreams) {
      const stream = this.#newStream(sessionId, { streamId, ...streamOptions });
      for (const request of requests) this.#pendingRequests.set(request, stream);
      if (requests.length === 0) this.#retireStream(stream);
    }
    this.#resolveReady();
    return [...this.#pendingRequests.keys()];
  }

  deliver(message: JSONRPCMessage, relatedTo?: RequestId): void {
    if (this.#isClosed || this.#standalone === undefined) return;
    const stream = relatedTo === undefined ? undefined : this.#pendingRequests.get(relatedTo);
    const isAnswer = !('method' in message);
    // A response belongs to the stream of its request and to no other (basic/transports, listening for messages).
    if (stream === undefined && isAnswer) return;
    // A JSON response carries nothing but responses: everything else goes to the standalone stream.
    const carrier = stream === undefined || (stream.answersOnly && !isAnswer) ? this.#standalone : stream;
    carrier.send(message);
    if (isAnswer && relatedTo !== undefined) this.requestCancelled(relatedTo);
  }

  requestCancelled(request: RequestId): void {
    const stream = this.#pendingRequests.get(request);
    this.#pendingRequests.delete(request);
    if (stream !== undefined && !this.#hasRequests(stream)) this.#retireStream(stream);
  }

  end(notice: CloseNotice): void {
    this.#readyResolvers?.reject(notice.refusal);
    void this.close();
  }

  /** Ends every stream after its last message, then discards the log of the session. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#options.clock.clearTimeout(this.#sweepTimer);
    await Promise.all([...this.#streams.values()].map((stream) => stream.finish()));
    if (this.sessionId !== undefined) await this.#options.eventLog.discard(this.sessionId).catch(this.#reportError);
    this.#resolveFlushed();
  }

  /** Called for each request of the client. */
  markPresent(): void {
    const wasAbsent = this.#presence === 'absent';
    this.#presence = 'present';
    if (wasAbsent) this.onpresent?.();
  }

  /**
   * Answers the `initialize` that opened the session. The client learns the session id from this response: if the
   * connection closes before it, `onabsent` fires.
   */
  async answerInitialize(writer: StreamWriter, posted: PostedRequests): Promise<void> {
    const headers = { 'mcp-session-id': this.sessionId ?? '' };
    await this.#startRequests(writer, posted, { headers, isVital: true });
  }

  /** Dispatches the requests and answers them on `writer`. Rejects with a Refusal before anything is written. */
  async answerRequests(writer: StreamWriter, posted: PostedRequests): Promise<void> {
    await this.#startRequests(writer, posted, { headers: {}, isVital: false });
  }

  /** Attaches `writer` to the standalone stream. */
  async attachStandalone(writer: StreamWriter, sendPrimingEvent: boolean): Promise<void> {
    if (this.#standalone === undefined) throw new Refusal('not_ready');
    this.memory.checkRoom();
    await this.#attach(this.#standalone, writer, { sendPrimingEvent, isVital: true });
  }

  /**
   * Resumes the stream of an event that the client has. `finished`: the client has every event of the stream. Rejects with
   * `unknown_event`, also for an event of another session, or `gap`.
   */
  async resume(writer: StreamWriter, lastEventId: string, sendPrimingEvent: boolean): Promise<'attached' | 'finished'> {
    this.memory.checkRoom();
    const stream = this.#streams.get(parseEventId(lastEventId)?.streamId ?? '');
    if (stream === undefined) throw new Refusal('unknown_event');
    for (const request of this.#requestsOf(stream)) this.onrequestresumed?.(request);
    return this.#attach(stream, writer, { sendPrimingEvent, lastEventId, isVital: stream === this.#standalone });
  }

  /**
   * Ends the connection of a pending request: the client resumes after `retryMs` (MCP 2025-11-25, polling). Does nothing
   * for an answered request.
   */
  suspend(request: RequestId, retryMs: number): void {
    // A tool may call this before its writer is attached.
    queueMicrotask(() => this.#pendingRequests.get(request)?.suspend(retryMs));
  }

  async #startRequests(
    writer: StreamWriter,
    { requests, dispatch, sendPrimingEvent }: PostedRequests,
    { headers, isVital }: { headers: Record<string, string>; isVital: boolean },
  ): Promise<void> {
    const duplicate = requests.find((id) => this.#pendingRequests.has(id));
    if (duplicate !== undefined)
      throw new Refusal('invalid_message', { detail: `The id ${shownId(duplicate)} is still in flight.` });
    const stream = this.#newStream(this.sessionId ?? '', { answersOnly: writer.answersOnly });
    for (const id of requests) this.#pendingRequests.set(id, stream);
    this.markPresent();
    try {
      dispatch();
    } catch (error) {
      for (const id of requests) this.#pendingRequests.delete(id);
      this.#streams.delete(stream.id);
      throw error;
    }
    await this.#attach(stream, writer, { headers, sendPrimingEvent, isVital });
  }

  async #attach(
    stream: ResumableStream,
    writer: StreamWriter,
    { isVital, ...attachOptions }: StreamAttachOptions & { readonly isVital: boolean },
  ): Promise<'attached' | 'finished'> {
    this.markPresent();
    this.#writers.add(writer);
    writer.onerror = this.#reportError;
    const onClosed = (because: StreamEnd): void => {
      this.#writers.delete(writer);
      if (because === 'client-closed')
        for (const request of this.#requestsOf(stream)) this.onrequestlost?.(request, stream.isResumable);
      if (isVital && because !== 'ended') this.#presence = 'leaving';
      if (this.#presence !== 'leaving' || this.#writers.size > 0) return;
      this.#presence = 'absent';
      this.onabsent?.(because === 'slow-client' ? because : 'client-closed');
    };
    writer.onclose = onClosed;
    if (writer.state === 'closed') onClosed('client-closed');
    const outcome = await stream.attach(writer, attachOptions).catch((error: unknown) => {
      this.#detachWriter(writer);
      throw error;
    });
    if (outcome === 'finished') this.#detachWriter(writer);
    return outcome;
  }

  #hasRequests(stream: ResumableStream): boolean {
    for (const requestStream of this.#pendingRequests.values()) if (requestStream === stream) return true;
    return false;
  }

  #requestsOf(stream: ResumableStream): RequestId[] {
    return [...this.#pendingRequests].filter(([, requestStream]) => requestStream === stream).map(([id]) => id);
  }

  #detachWriter(writer: StreamWriter): void {
    writer.onclose = undefined;
    this.#writers.delete(writer);
  }

  #newStream(sessionId: string, overrides: Partial<ResumableStreamOptions> = {}): ResumableStream {
    const { memory } = this;
    const options = { answersOnly: false, memory, ...overrides, onerror: this.#reportError };
    const stream = new ResumableStream(sessionId, this.#options.eventLog, options);
    this.#streams.set(stream.id, stream);
    return stream;
  }

  #retireStream(stream: ResumableStream): void {
    void stream.finish();
    const { clock } = this.#options;
    this.#answeredStreams.set(stream, clock.now() + answeredStreamTtlMs);
    const [oldest = stream] = this.#answeredStreams.keys();
    if (this.#answeredStreams.size > maxAnsweredStreams) this.#discardStream(oldest);
    this.#sweepTimer ??= clock.setTimeout(this.#sweep, answeredStreamTtlMs);
  }

  readonly #sweep = (): void => {
    const { clock } = this.#options;
    const now = clock.now();
    this.#sweepTimer = undefined;
    for (const [stream, until] of this.#answeredStreams) {
      if (until > now) {
        this.#sweepTimer = clock.setTimeout(this.#sweep, until - now);
        return;
      }
      this.#discardStream(stream);
    }
  };

  #discardStream(stream: ResumableStream): void {
    this.#answeredStreams.delete(stream);
    this.#streams.delete(stream.id);
    stream.discard();
  }

  readonly #reportError = (error: unknown): void => {
    this.onerror?.(new Error(messageOf(error), { cause: error }));
  };
}
