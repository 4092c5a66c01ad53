import type { IncomingMessage, ServerResponse } from 'node:http';
import type { SettledRequest } from '../../machines/events.js';
import { Refusal } from '../errors/errors.js';
import { readEnvelope } from '../mcp/envelope.js';
import { isObject, parseMessage, type JSONRPCMessage, type JSONRPCRequest } from '../mcp/protocol.js';
import { chunkOf, textOf } from '../mcp/messageText.js';
import { StatelessRequest } from '../mcp/stateless.js';
import { isServed, listenMethod, statelessCapabilities, statelessListing } from '../mcp/statelessMethods.js';
import type { ObservationHandler } from '../telemetry/observer.js';
import { toPrincipal } from '../tenancy/auth.js';
import { principalKey, type Caller } from '../tenancy/principal.js';
import type { OpenResponses } from './openResponses.js';
import { checkParameterHeaders, checkStandardHeaders, repeatedHeadersOf } from './repeatedHeaders.js';
import { SseWriter } from './sseWriter.js';
import { statelessOptions, type StatelessDeps } from './statelessOptions.js';
import { responseSink, type Subscriptions } from './subscriptions.js';
import { cutAtExpiry } from './tokenExpiry.js';
import { resolveChoices, type TransportDeps } from './transport.js';

/** Requests of one user that may be in flight at once (S10). */
const maxInFlight = 256;
/** A stream begins with the first message about its request, or after this time: quick answers are plain JSON. */
const streamAfterMs = 2_000;

export interface StatelessHttpDeps extends TransportDeps, StatelessDeps {
  readonly openResponses: OpenResponses;
  readonly subscriptions: Subscriptions;
  readonly observe: ObservationHandler;
}

interface PostedBody {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: unknown;
  /** Media types that the client accepts, by preference. */
  readonly accepted: readonly string[];
}

/**
 * Answers one POST of a revision without sessions (2026-07-28, basic/transports): a request by one JSON answer or an event
 * stream with messages about it, a notification by 202. What a client closes is cancelled. Throws a Refusal before anything
 * is written.
 *
 * ```
 *   envelope ─▶ standard headers ─▶ method ─▶ headers of arguments ─▶ run ─▶ answer
 *   -32602, -32020, -32022         -32601     -32020                        -32021, or in the answer
 * ```
 */
export function createStatelessHttp(deps: StatelessHttpDeps) {
  const inFlight = new Map<string, number>();
  const count = (user: string, change: 1 | -1): void => {
    const requests = (inFlight.get(user) ?? 0) + change;
    if (requests > maxInFlight) throw new Refusal('queue_full', { limit: `${maxInFlight} requests in flight` });
    if (requests === 0) inFlight.delete(user);
    else inFlight.set(user, requests);
  };
  return async (caller: Caller, posted: PostedBody): Promise<void> => {
    const { request, response, body } = posted;
    const message = parseMessage(body);
    if (!('method' in message)) throw new Refusal('invalid_message');
    const envelope = readEnvelope(message, repeatedHeadersOf(request));
    if (!('id' in message)) {
      response.writeHead(202).end();
      return;
    }
    checkStandardHeaders(request, message);
    const user = principalKey(toPrincipal(caller));
    const stream = new AnswerStream(deps, posted);
    const { client } = envelope;
    const settled = (done: SettledRequest): void =>
      deps.observe({
        ...{ kind: 'request', at: deps.clock.now(), request: done, user: toPrincipal(caller), client },
        transport: 'streamable-http',
      });
    const options = statelessOptions(deps, {
      settled,
      ...{ caller, envelope, sessionId: null, write: (notice) => stream.write(notice) },
      choices: await resolveChoices(deps, toPrincipal(caller), request),
      admitOpening: () => deps.admit(request, 'connection'),
    });
    options.memory.checkRoom();
    const run = new StatelessRequest(message, envelope, options);
    checkCall(run, message, request);
    if (message.method === listenMethod) {
      deps.openResponses.track(caller, response);
      cutAtExpiry(caller, response, deps.clock);
      const { takesTasks } = envelope;
      const sink = responseSink(response, deps.clock);
      await deps.subscriptions.listen({ message, sink, user, capabilities: statelessCapabilities(run), takesTasks });
      return;
    }
    await run.readInput();
    deps.openResponses.track(caller, response);
    count(user, 1);
    try {
      await stream.answer(run);
    } finally {
      count(user, -1);
    }
  };
}

/** Throws `unknown_method`, or `header_mismatch` for an argument that a header has to repeat. */
function checkCall(run: StatelessRequest, { method, params }: JSONRPCRequest, request: IncomingMessage): void {
  if (!isServed(run, method)) throw new Refusal('unknown_method', { detail: `Method not found: ${method}` });
  if (method !== 'tools/call') return;
  const listing = statelessListing(run, params?.['name']);
  if (listing !== undefined) checkParameterHeaders(request, listing.inputSchema, params?.['arguments']);
}

/** The status of an answer that is an error of the protocol itself; every other one is in a 200. */
function statusOf(message: JSONRPCMessage): number {
  if (!('error' in message)) return 200;
  const { code, data } = message.error;
  return code === -32021 || (isObject(data) && data['reason'] === 'unknown_task') ? 400 : 200;
}

/** The answer to one POST: JSON, or an event stream once there is something to say before it. */
class AnswerStream {
  readonly #deps: Pick<StatelessHttpDeps, 'clock'>;
  readonly #response: ServerResponse;
  readonly #acceptsStream: boolean;
  readonly #acceptsJson: boolean;
  #writer: SseWriter | undefined;
  #isAnswered = false;

  constructor(deps: Pick<StatelessHttpDeps, 'clock'>, { response, accepted }: PostedBody) {
    this.#deps = deps;
    this.#response = response;
    this.#acceptsStream = accepted.includes('text/event-stream');
    this.#acceptsJson = accepted.includes('application/json');
  }

  /** Runs the request and answers it. The client that closes its connection cancels it. */
  async answer(run: StatelessRequest): Promise<void> {
    const response = this.#response;
    const { clock } = this.#deps;
    const cancel = (): void => run.cancel(new Error('The client closed the connection of this request.'));
    response.once('close', cancel);
    if (response.destroyed) cancel();
    const timer = clock.setTimeout(() => this.#openStream(), this.#acceptsJson ? streamAfterMs : 0);
    const message = await run.run();
    clock.clearTimeout(timer);
    response.off('close', cancel);
    this.#isAnswered = true;
    if (message !== null) this.#finish(message);
    else if (!response.headersSent) response.writeHead(202).end();
    else this.#writer?.end();
  }

  /** A message about the request. A client that takes no stream gets the answer alone. */
  write(message: JSONRPCMessage): void {
    if (this.#isAnswered) return;
    this.#openStream();
    this.#writer?.write({ event: 'message', data: textOf(message) });
  }

  #openStream(): void {
    if (this.#writer !== undefined || !this.#acceptsStream || this.#response.destroyed) return;
    this.#writer = new SseWriter(this.#response, { clock: this.#deps.clock });
    this.#writer.open();
    this.#writer.flush();
  }

  #finish(message: JSONRPCMessage): void {
    const data = textOf(message);
    if (this.#writer === undefined && !this.#acceptsJson) this.#openStream();
    if (this.#writer !== undefined) {
      this.#writer.write({ event: 'message', data });
      this.#writer.end();
      return;
    }
    if (this.#response.destroyed) return;
    const body = chunkOf(data);
    this.#response.writeHead(statusOf(message), {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    });
    this.#response.end(body);
  }
}
