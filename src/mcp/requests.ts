import type { SettledRequest } from '../../machines/events.js';
import { noop } from '../async.js';
import { Refusal, ToolError } from '../errors/errors.js';
import { withoutSecrets } from '../networkAddresses.js';
import { cleanText, cutText } from '../text.js';
import type { Method, MethodContext, RequestInfo } from './methodContext.js';
import {
  isLeftOut,
  isObject,
  rpcCodes,
  RpcError,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type RequestId,
} from './protocol.js';
import type { ToleranceKind } from './tolerantArguments.js';

/** The outcome of one request. */
export interface MethodOutcome {
  readonly outcome: SettledRequest['outcome'];
  /** Null: a cancelled request is not answered (2025-11-25, basic/utilities/cancellation). */
  readonly message: JSONRPCMessage | null;
}

/** The methods that one kind of client may call, and what refuses a known one. */
export interface MethodTable {
  readonly methods: Readonly<Record<string, Method>>;
  /** The refusal of a known method; null if it is served. */
  refusalOf(method: string): Refusal | null;
}

/** Runs one request. Never rejects. */
export async function dispatch(
  { methods, refusalOf }: MethodTable,
  server: MethodContext,
  request: JSONRPCRequest,
  inFlight: InFlight,
): Promise<MethodOutcome> {
  const method = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined;
  try {
    // Checked before the handshake: a client that probes for another revision falls back to initialize on this code.
    if (!method) throw new RpcError(rpcCodes.methodNotFound, `Method not found: ${request.method}`);
    const refusal = refusalOf(request.method);
    if (refusal !== null) return { outcome: 'failed', message: refusal.toJsonRpc(request.id) };
    const { params } = request;
    const hasParams = !isLeftOut(params);
    if (params !== undefined && !hasParams) inFlight.tolerated(['null']);
    const result = await method(server, hasParams && params ? params : {}, inFlight);
    const outcome = 'isError' in result && result['isError'] === true ? 'failed' : 'ok';
    return { outcome, message: { jsonrpc: '2.0', id: request.id, result } };
  } catch (error) {
    if (inFlight.isAborted) return { outcome: 'cancelled', message: null };
    return { outcome: 'failed', message: errorResponse(server, request, error) };
  }
}

function errorResponse({ session }: MethodContext, request: JSONRPCRequest, error: unknown): JSONRPCMessage {
  if (error instanceof RpcError) {
    const { code, message, data } = error;
    return {
      jsonrpc: '2.0',
      id: request.id,
      error: { code, message: message.toWellFormed(), ...(data !== undefined && { data }) },
    };
  }
  if (error instanceof Refusal) return error.toJsonRpc(request.id);
  session.log.error('request failed', { method: request.method, error: String(error) });
  return new Refusal('internal').toJsonRpc(request.id);
}

interface Settled {
  readonly inFlight: InFlight;
  readonly answer: MethodOutcome;
  readonly server: MethodContext;
  readonly startedAt: number;
}

/** A description of a settled request for logs, metrics and the inspector. */
export function describeSettled(
  request: JSONRPCRequest,
  { inFlight, answer, server, startedAt }: Settled,
): SettledRequest {
  const { clock, secrets } = server.session;
  const settled = {
    ...describeRequest(request),
    outcome: inFlight.isAborted ? 'cancelled' : answer.outcome,
    durationMs: clock.now() - startedAt,
  } as const;
  if (answer.outcome !== 'failed' && inFlight.tolerances === undefined) return settled;
  return {
    ...settled,
    ...(inFlight.tolerances && { client: server.profile.name, tolerated: [...inFlight.tolerances] }),
    ...(answer.outcome === 'failed' && { error: secrets.hide(failureTextOf(answer.message)) }),
  };
}

/** The same without its outcome. */
export function describeRequest(request: JSONRPCRequest): Pick<SettledRequest, 'id' | 'method' | 'tool' | 'target'> {
  return {
    id: request.id,
    method: cleanText(cutText(request.method, maxName)),
    tool: toolOf(request),
    ...targetOf(request),
  };
}

/** The tool name of a `tools/call`, which need not exist; null for every other request. */
function toolOf({ method, params }: JSONRPCRequest): string | null {
  if (method !== 'tools/call') return null;
  const name = params?.['name'];
  return nameOf(name);
}

/** A name that the client chose, for logs and the inspector; empty if it may be anything but a name. */
const nameOf = (name: unknown): string => (typeof name === 'string' && /^[\w./$:-]{1,128}$/.test(name) ? name : '');

/** The address or path that a request names, as far as it may be logged. */
function targetOf({ params }: JSONRPCRequest): { readonly target?: string } {
  // Some clients send null.
  if (!isObject(params)) return {};
  const args = isObject(params['arguments']) ? params['arguments'] : params;
  const named = [args['url'], args['uri'], args['path'], args['file']].find((value) => typeof value === 'string');
  if (named === undefined) return {};
  const isPath = /^[/.~]/.test(named);
  const target = isPath
    ? named.slice(0, maxTarget)
    : withoutSecrets(/^[\w.-]+(:\d+)?(\/|$)/.test(named) ? `http://${named}` : named);
  return { target: target === '' ? named.split(':', 1).join().slice(0, 20) : target };
}

/** Longest method in the log. */
const maxName = 128;
/** Longest path in `target`. */
const maxTarget = 256;
const maxFailureText = 300;

/** The message of a failure for the client, in one short line. */
function failureTextOf(message: JSONRPCMessage | null): string {
  if (message === null) return '';
  if ('error' in message) return oneLine(message.error.message);
  const content = 'result' in message ? message.result['content'] : undefined;
  const items: readonly unknown[] = Array.isArray(content) ? content : [];
  const texts = items.map((item) => (typeof item === 'object' && item !== null && 'text' in item ? item.text : ''));
  return oneLine(texts.join(' '));
}

const oneLine = (text: string): string => text.slice(0, maxFailureText).split(/\s+/).join(' ').trim();

const displacedText =
  'The connection of this call was closed before it was done, and another call needed the page: it was stopped. Call again.';

/** A request in flight. Its AbortController is created on first use: most methods need no signal. */
export class InFlight implements RequestInfo {
  readonly id: RequestId;
  releaseMemory: () => void = noop;
  /** Undefined: nothing was tolerated. */
  tolerances: Set<ToleranceKind> | undefined;
  #controller: AbortController | undefined;
  #displaced: AbortController | undefined;
  #isConnected = true;
  #isWanted = false;

  constructor(id: RequestId) {
    this.id = id;
  }

  get signal(): AbortSignal {
    return (this.#controller ??= new AbortController()).signal;
  }

  get isAborted(): boolean {
    return this.#controller?.signal.aborted === true;
  }

  tolerated(kinds: Iterable<ToleranceKind>): void {
    for (const kind of kinds) (this.tolerances ??= new Set()).add(kind);
  }

  abort(reason: Error): void {
    (this.#controller ??= new AbortController()).abort(reason);
  }

  get displaced(): AbortSignal {
    return (this.#displaced ??= new AbortController()).signal;
  }

  wanted(): void {
    this.#isWanted = true;
    this.#displaceIfLost();
  }

  setConnected(isConnected: boolean): void {
    this.#isConnected = isConnected;
    this.#displaceIfLost();
  }

  #displaceIfLost(): void {
    if (this.#isWanted && !this.#isConnected) this.#displaced?.abort(new ToolError(displacedText));
  }
}
