import type { SettledRequest } from '../../machines/events.js';
import { Refusal } from '../errors.js';
import type { ToolSet } from '../tools/catalogue.js';
import type { CallEnvironment } from './callTool.js';
import { methods, type Serving } from './methods.js';
import {
  logLevels,
  protocolVersions,
  rpcCodes,
  RpcError,
  type JSONRPCMessage,
  type JSONRPCNotification,
  type JSONRPCRequest,
  type LogLevel,
  type RequestId,
} from './protocol.js';

/** What an MCP server needs of the session that it belongs to. */
export interface McpHost {
  readonly environment: CallEnvironment;
  readonly toolSet: ToolSet;
  readonly serverInfo: { readonly name: string; readonly title: string; readonly version: string };
  /** Sends to the client. `relatedTo` is the request that the message belongs to. Never throws. */
  send(message: JSONRPCMessage, relatedTo?: RequestId): void;
  /** Told instead of the answer of a request that was cancelled. */
  unanswered(request: RequestId): void;
  /** Told once for each request that was received. */
  settled(request: SettledRequest): void;
}

export interface ClientInfo {
  readonly name: string;
  readonly version: string;
}

/**
 * The MCP server of one session (revisions 2024-11-05 to 2025-11-25). It holds nothing but what this client told it: the
 * methods and the catalogue are shared by all sessions. Owned by its session, which calls `receive` in the order of
 * arrival, only in `connected` and `active`, and `close` once; after that nothing is sent (S7).
 *
 * Requests run side by side, so a long call holds up neither `ping` nor `notifications/cancelled` (S4). Each request is
 * answered exactly once, or not at all when the client cancelled it.
 */
export class McpServer implements Serving {
  readonly host: McpHost;
  client: ClientInfo | null = null;
  protocolVersion: string | null = null;
  logLevel: LogLevel = 'info';
  toolCalls = 0;
  #inFlight: Map<RequestId, AbortController> | undefined;
  #closed = false;

  constructor(host: McpHost) {
    this.host = host;
  }

  isInFlight(id: RequestId): boolean {
    return this.#inFlight?.has(id) ?? false;
  }

  receive(message: JSONRPCMessage): void {
    if (this.#closed) return;
    if (!('method' in message)) return;
    if ('id' in message) void this.#serve(message);
    else this.#notified(message);
  }

  /** Sends `notifications/message` if the client has initialised and wants that level. */
  log(level: LogLevel, data: unknown): void {
    if (this.#closed || this.protocolVersion === null) return;
    if (logLevels.indexOf(level) < logLevels.indexOf(this.logLevel)) return;
    this.host.send({ jsonrpc: '2.0', method: 'notifications/message', params: { level, logger: 'greenroom', data } });
  }

  notify(method: string, params: Record<string, unknown>, relatedTo?: RequestId): void {
    if (!this.#closed) this.host.send({ jsonrpc: '2.0', method, params }, relatedTo);
  }

  /** Stops every call and answers each with `refusal`. */
  close(refusal: Refusal): void {
    if (this.#closed) return;
    const open = [...(this.#inFlight ?? [])];
    for (const [id] of open) this.host.send(refusal.toJsonRpc(id), id);
    this.#closed = true;
    for (const [, controller] of open) controller.abort(refusal);
    this.#inFlight = undefined;
  }

  negotiate(asked: unknown): string {
    this.protocolVersion = protocolVersions.find((version) => version === asked) ?? protocolVersions[0];
    return this.protocolVersion;
  }

  async #serve(request: JSONRPCRequest): Promise<void> {
    const { clock } = this.host.environment;
    const controller = new AbortController();
    const startedAt = clock.now();
    (this.#inFlight ??= new Map()).set(request.id, controller);
    const answer = await this.#answer(request, controller.signal);
    const answered = !this.#closed && this.#inFlight.delete(request.id);
    if (answered && answer.message !== null) this.host.send(answer.message, request.id);
    else if (answered) this.host.unanswered(request.id);
    this.host.settled({
      id: request.id,
      method: request.method,
      tool: toolOf(request),
      outcome: controller.signal.aborted ? 'cancelled' : answer.outcome,
      durationMs: clock.now() - startedAt,
    });
  }

  async #answer(request: JSONRPCRequest, signal: AbortSignal): Promise<Answer> {
    const method = Object.hasOwn(methods, request.method) ? methods[request.method] : undefined;
    try {
      if (!method) throw new RpcError(rpcCodes.methodNotFound, `Method not found: ${request.method}`);
      const result = await method(this, request.params ?? {}, { signal, id: request.id });
      const outcome = 'isError' in result && result['isError'] === true ? 'failed' : 'ok';
      return { outcome, message: { jsonrpc: '2.0', id: request.id, result } };
    } catch (error) {
      if (signal.aborted) return { outcome: 'cancelled', message: null };
      return { outcome: 'failed', message: this.#errorAnswer(request, error) };
    }
  }

  #errorAnswer(request: JSONRPCRequest, error: unknown): JSONRPCMessage {
    if (error instanceof RpcError) {
      return { jsonrpc: '2.0', id: request.id, error: { code: error.code, message: error.message } };
    }
    this.host.environment.log.error('request failed', { method: request.method, error: String(error) });
    return new Refusal('internal').toJsonRpc(request.id);
  }

  #notified(notification: JSONRPCNotification): void {
    if (notification.method !== 'notifications/cancelled') return;
    const id = notification.params?.['requestId'];
    if (typeof id !== 'string' && typeof id !== 'number') return;
    const asked = notification.params?.['reason'];
    const reason = typeof asked === 'string' ? asked : 'cancelled by the client';
    this.#inFlight?.get(id)?.abort(new Error(reason));
  }
}

/** What the client called the tool: nothing of it has been checked yet. Null for every other request. */
function toolOf({ method, params }: JSONRPCRequest): string | null {
  if (method !== 'tools/call') return null;
  const name = params?.['name'];
  return typeof name === 'string' ? name : '';
}

interface Answer {
  readonly outcome: SettledRequest['outcome'];
  /** Null: a cancelled request is not answered (2025-11-25, basic/utilities/cancellation). */
  readonly message: JSONRPCMessage | null;
}
