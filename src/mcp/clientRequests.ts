import type { Clock } from '../clock.js';
import { ToolError } from '../errors/errors.js';
import type { JSONRPCErrorResponse, JSONRPCMessage, JSONRPCResultResponse, RequestId } from './protocol.js';

/** Maximum number of pending requests to one client (S10). */
const maxPending = 64;

export interface ClientRequest {
  readonly method: string;
  readonly params?: Record<string, unknown>;
  /** The client's request during which this one is sent. */
  readonly relatedTo: RequestId;
  /** Cancels the request, with the signal's reason. */
  readonly signal: AbortSignal;
  /** The name of the question, if it is asked in the result of the call. */
  readonly key?: string | undefined;
  /** Cancels the request before the signal does. */
  readonly timeoutMs?: number | undefined;
}

interface Pending {
  readonly method: string;
  resolve(result: Record<string, unknown>): void;
  reject(error: unknown): void;
}

/**
 * The pending requests from the server to one client. Each is settled exactly once: by its response, by its signal or
 * timeout (the client then gets `notifications/cancelled`), or by `close`. A response without a pending request is ignored.
 * Owned by the session's MCP server, which closes it.
 */
export class ClientRequests {
  readonly #send: (message: JSONRPCMessage, relatedTo: RequestId) => void;
  readonly #clock: Clock;
  readonly #pending = new Map<RequestId, Pending>();
  #lastId = 0;

  constructor(send: (message: JSONRPCMessage, relatedTo: RequestId) => void, clock: Clock) {
    this.#send = send;
    this.#clock = clock;
  }

  /** Resolves with the result; rejects with a ToolError or the signal's reason. */
  async send(request: ClientRequest): Promise<Record<string, unknown>> {
    const { method, params, relatedTo, signal, timeoutMs } = request;
    signal.throwIfAborted();
    if (this.#pending.size >= maxPending) {
      throw new ToolError(
        `Too many requests to the client: ${maxPending} are waiting for a response. Wait for one of them.`,
      );
    }
    const id = (this.#lastId += 1);
    const cancel = (error: unknown, reason: string): void => {
      const pending = this.#take(id);
      if (pending === undefined) return;
      this.#send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id, reason } }, relatedTo);
      pending.reject(error);
    };
    const timer =
      timeoutMs === undefined
        ? undefined
        : this.#clock.setTimeout(() => {
            cancel(new ToolError(`The client did not answer ${method} within ${timeoutMs / 1000} s.`), 'timed out');
          }, timeoutMs);
    const onAbort = (): void => cancel(signal.reason, 'the call that sent it has ended');
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { method, resolve, reject });
        this.#send({ jsonrpc: '2.0', id, method, ...(params && { params }) }, relatedTo);
      });
    } finally {
      if (timer !== undefined) this.#clock.clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  handleResponse(response: JSONRPCResultResponse | JSONRPCErrorResponse): void {
    const pending = response.id === undefined ? undefined : this.#take(response.id);
    if (pending === undefined) return;
    if ('result' in response) pending.resolve(response.result);
    else {
      const { code, message } = response.error;
      pending.reject(new ToolError(`The client refused ${pending.method}: ${message} (${code}).`));
    }
  }

  /** Rejects every pending request. Sends nothing: the session is closed (S7). */
  close(reason: Error): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    for (const request of pending) request.reject(reason);
  }

  /** Taking a pending request removes it, so it is settled only once. */
  #take(id: RequestId): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
