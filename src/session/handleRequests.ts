import { Refusal, ToolError } from '../errors/errors.js';
import type { McpServer } from '../mcp/mcpServer.js';
import type { HandleRequest } from '../mcp/methodContext.js';
import { RpcError, type JSONRPCMessage, type RequestId } from '../mcp/protocol.js';

/** The session as its requests see it. */
interface RequestedSession {
  readonly server: Pick<McpServer, 'cancel' | 'isInFlight'>;
  receive(message: JSONRPCMessage): Promise<void> | undefined;
  /** Throws if the session takes no messages. */
  checkOpen(): unknown;
}

interface Pending extends HandleRequest {
  resolve(result: Record<string, unknown>): void;
  reject(error: Error): void;
}

/**
 * The requests that reach a session by its handle. The session serves them like those of its own client: the chart counts
 * them, and the inspector shows them. Their answers go back to where they came from. Each is settled exactly once: by its
 * answer, its cancellation, or the end of the session. Owned by the session.
 */
export class HandleRequests {
  readonly #session: RequestedSession;
  readonly #pending = new Map<RequestId, Pending>();
  #count = 0;

  constructor(session: RequestedSession) {
    this.#session = session;
  }

  /** Rejects with a ToolError, an RpcError, or the reason of the client's cancellation. */
  async serve(sent: HandleRequest): Promise<Record<string, unknown>> {
    const { server } = this.#session;
    const { signal } = sent.request;
    signal.throwIfAborted();
    const id = this.#nextId();
    const cancel = (): void => server.cancel(id, signal.reason as Error);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(id, { ...sent, resolve, reject });
        this.#session.checkOpen();
        // Not awaited: an open session holds no message.
        void this.#session.receive({ jsonrpc: '2.0', id, method: sent.method, params: sent.params });
      });
    } catch (error) {
      throw error instanceof Refusal ? handleError(error) : error;
    } finally {
      signal.removeEventListener('abort', cancel);
      this.#pending.delete(id);
    }
  }

  senderOf(request: RequestId): HandleRequest | undefined {
    return this.#pending.get(request);
  }

  /** Whether a message belonged to a request that came by the handle, and was passed on. */
  deliver(message: JSONRPCMessage, relatedTo: RequestId | undefined): boolean {
    const pending = relatedTo === undefined ? undefined : this.#pending.get(relatedTo);
    if (pending === undefined) return false;
    if ('result' in message) pending.resolve(message.result);
    else if ('error' in message) pending.reject(errorOf(message.error));
    return true;
  }

  /** Whether a cancelled request had come by the handle. */
  cancelled(request: RequestId): boolean {
    const pending = this.#pending.get(request);
    pending?.reject(new Error('The client cancelled this request.'));
    return pending !== undefined;
  }

  /** Unlike every id in flight: clients choose theirs. */
  #nextId(): RequestId {
    do this.#count += 1;
    while (this.#session.server.isInFlight(`browser_id ${this.#count}`));
    return `browser_id ${this.#count}`;
  }
}

/** The refusal of a session becomes a failure of the call; a protocol error stays one. */
export function errorOf({ code, message, data }: { code: number; message: string; data?: unknown }): Error {
  const fields = typeof data === 'object' && data !== null ? data : {};
  if ('requiredCapabilities' in fields && typeof fields.requiredCapabilities === 'object') {
    const { requiredCapabilities } = fields;
    return new Refusal('missing_capability', { detail: message, requiredCapabilities: requiredCapabilities ?? {} });
  }
  if (!('reason' in fields)) return new RpcError(code, message, fields);
  // The session is connected, and serves no request before those of its own client.
  if (fields.reason === 'not_initialized') return new ToolError(notReady('its client has not initialized it'));
  const closedBecause = 'closedBecause' in fields ? String(fields.closedBecause) : undefined;
  return new ToolError(closedBecause === undefined ? message : closedText(closedBecause));
}

const openAnother = 'Call open_browser for a new one; list_browsers shows yours.';

const closedText = (because: string): string => `This browser is closed (${because}). ${openAnother}`;

const notReady = (because: string): string => `This browser is not ready yet (${because}). Call again in a moment.`;

/** The failure of a call whose handle leads to no session that can serve it, with the way out. */
export function handleError(refusal: Refusal): Error {
  const { reason, data, message } = refusal;
  switch (reason) {
    case 'unknown':
      return new ToolError(`Unknown browser_id. ${openAnother}`);
    case 'closed':
      return new ToolError(closedText(data.closedBecause ?? 'its session has ended'));
    case 'not_ready':
      return new ToolError(notReady(data.state ?? 'created'));
    case 'too_many_sessions':
      return new ToolError(
        `Too many browsers are open (${data.limit ?? ''}). Close one with close_browser; list_browsers shows yours.`,
      );
    case 'missing_capability':
      return refusal;
    default:
      return new ToolError(message);
  }
}
