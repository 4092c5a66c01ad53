import type { Clock } from '../clock.js';
import { ToolError } from '../errors/errors.js';
import type { JSONRPCErrorResponse, JSONRPCMessage, JSONRPCResultResponse, RequestId } from './protocol.js';

/** Requests to one client that may wait for an answer at once (S10). */
const maxPending = 64;

export interface ClientRequest {
  readonly method: string;
  readonly params?: Record<string, unknown>;
  /** The client's request that this one is part of. */
  readonly relatedTo: RequestId;
  /** Gives it up, with the signal's reason. */
  readonly signal: AbortSignal;
  /** Gives it up, earlier than the signal. */
  readonly timeoutMs?: number | undefined;
}

interface Pending {
  readonly method: string;
  resolve(result: Record<string, unknown>): void;
  reject(error: unknown): void;
}

/**
 * Requests from the server to one client that wait for their answers. Each ends exactly once: with its answer, with its
 * signal or at its deadline (the client is then told with `notifications/cancelled`), or with the session. An answer to
 * nothing that waits is ignored. Owned by the session's MCP server, which closes it.
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
      throw new ToolError(`${maxPending} requests to the client are waiting for their answers already.`);
    }
    const id = (this.#lastId += 1);
    const giveUp = (error: unknown, reason: string): void => {
      const pending = this.#take(id);
      if (pending === undefined) return;
      this.#send({ jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: id, reason } }, relatedTo);
      pending.reject(error);
    };
    const timer =
      timeoutMs === undefined
        ? undefined
        : this.#clock.setTimeout(() => {
            giveUp(new ToolError(`The client did not answer ${method} within ${timeoutMs / 1000} s.`), 'timed out');
          }, timeoutMs);
    const onAbort = (): void => giveUp(signal.reason, 'the call that it was part of has ended');
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

  /** Rejects whatever waits. The client is told nothing: its session is over (S7). */
  close(reason: Error): void {
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of waiting) pending.reject(reason);
  }

  /** Whoever takes it settles it: nothing is settled twice. */
  #take(id: RequestId): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }
}
