import { types } from 'node:util';
import type { CloseReason, Failure } from '../../machines/events.js';
import { errorCatalogue, type ErrorCatalogueEntry } from './errorCatalogue.js';

export { errorCatalogue as catalogue } from './errorCatalogue.js';

export type Reason = keyof typeof errorCatalogue;

export type RequestId = string | number | null;

export interface RefusalData {
  readonly state?: string;
  readonly closedBecause?: CloseReason;
  readonly retryAfterMs?: number;
  readonly limit?: string;
  readonly detail?: string;
  /** A header and what the body has instead. */
  readonly mismatch?: { readonly header: string; readonly body: string };
  /** Client capabilities, in the form in which a client declares them. */
  readonly requiredCapabilities?: object;
  /** Protocol revisions that are supported, and the one that the client asked for. */
  readonly supported?: readonly string[];
  readonly requested?: string;
  /** A key of `_meta` and what is wrong with it. */
  readonly envelope?: { readonly key: string; readonly problem: string };
  /** The `WWW-Authenticate` header of a 401. */
  readonly challenge?: string;
}

/**
 * A refusal with its entry of the error catalogue. A transport or route catches it and turns it into an HTTP status, a
 * JSON-RPC error or a close code. The function that throws it has released what it opened.
 */
export class Refusal extends Error {
  readonly reason: Reason;
  readonly data: RefusalData;

  constructor(reason: Reason, data: RefusalData = {}, options?: ErrorOptions) {
    const { message, retryAfterMs }: ErrorCatalogueEntry = errorCatalogue[reason];
    super(data.detail ?? message, options);
    this.name = 'Refusal';
    this.reason = reason;
    this.data = retryAfterMs === undefined ? data : { retryAfterMs, ...data };
  }

  get status(): number {
    return errorCatalogue[this.reason].status;
  }

  /** The JSON-RPC error response to the request `id`. `requestId` is the id of the HTTP request, for the log. */
  toJsonRpc<Id extends RequestId>(id: Id, requestId?: string): JsonRpcErrorResponse<Id> {
    const { detail: _detail, challenge: _challenge, ...rest } = this.data;
    const data = requestId === undefined ? rest : { ...rest, requestId };
    return {
      jsonrpc: '2.0',
      id,
      error: { code: errorCatalogue[this.reason].code, message: this.message, data: { reason: this.reason, ...data } },
    };
  }
}

export interface JsonRpcErrorResponse<Id extends RequestId = RequestId> {
  readonly jsonrpc: '2.0';
  readonly id: Id;
  readonly error: { readonly code: number; readonly message: string; readonly data: object };
}

export function isReason(value: string): value is Reason {
  return Object.hasOwn(errorCatalogue, value);
}

/**
 * The failure of a tool, for the model: what failed, why, and what to do next. Becomes a result with `isError: true`, never a
 * protocol error.
 */
export class ToolError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ToolError';
  }
}

/** An error as chart data. Its reason is that of the `Refusal`, else `fallback`. */
export function toFailureData(error: unknown, fallback: Reason): Failure {
  return { reason: error instanceof Refusal ? error.reason : fallback, message: messageOf(error) };
}

export function messageOf(error: unknown): string {
  return types.isNativeError(error) ? error.message : String(error);
}

/** The system error code (`ENOENT`), if the error has one. */
export function codeOf(error: unknown): string | undefined {
  // The code of a DOMException, a native error from Node 21 on, is a number.
  return types.isNativeError(error) && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
