import type {
  JSONRPCErrorResponse,
  JSONRPCMessage,
  JSONRPCNotification,
  JSONRPCRequest,
  JSONRPCResultResponse,
  RequestId,
  ContentBlock,
} from '@modelcontextprotocol/sdk/types.js';
import type { MessageKind } from '../../machines/events.js';
import { Refusal } from '../errors/errors.js';

export type {
  JSONRPCErrorResponse,
  JSONRPCMessage,
  JSONRPCNotification,
  JSONRPCRequest,
  JSONRPCResultResponse,
  RequestId,
};

/** Maximum length of values that are echoed: ids, progress tokens, method names. */
const maxEchoedLength = 1_000;
/** Maximum levels of objects and arrays in one message. */
const maxDepth = 100;
const idRule = `a string of at most ${maxEchoedLength} characters or a whole number`;

/** Supported revisions, newest first. A client that requests another one is offered the newest. */
export const protocolVersions = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'] as const;

/** The revision that the first clients request: it has the same messages as the first published revision. */
export const previewVersion = '2024-10-07';

/** The revisions without sessions, newest first: each request brings its version and capabilities. */
export const statelessVersions = ['2026-07-28'] as const;

/** The extension for calls that are answered later (Tasks, 2026-07-28). */
export const tasksExtension = 'io.modelcontextprotocol/tasks';
/** The extension for listing and reading working guides (Skills over MCP). */
export const skillsExtension = 'io.modelcontextprotocol/skills';

/** Whether a revision is one without sessions, known here or not. */
export const isStatelessVersion = (revision: string | null): boolean =>
  revision !== null && /^\d{4}-\d\d-\d\d$/.test(revision) && revision >= '2026-07-28';

/** JSON-RPC 2.0, section 5.1; the last one is MCP's own (server/resources). */
export const rpcCodes = {
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internal: -32603,
  resourceNotFound: -32002,
} as const;

/** A protocol error: the request itself was wrong. A failed tool is a result with `isError` instead. */
export class RpcError extends Error {
  readonly code: number;
  readonly data: object | undefined;

  constructor(code: number, message: string, data?: object) {
    super(message);
    this.name = 'RpcError';
    this.code = code;
    this.data = data;
  }
}

export function invalidParams(message: string): RpcError {
  return new RpcError(rpcCodes.invalidParams, message);
}

/**
 * Checks the shape of one JSON-RPC 2.0 message, not its parameters. Written by hand, since it runs for every message.
 * Throws `invalid_message` with the fault.
 */
export function parseMessage(value: unknown): JSONRPCMessage {
  if (Array.isArray(value)) throw invalid('Batches are not part of this transport: send one message at a time.');
  if (!isObject(value)) throw invalid('A JSON-RPC message is an object.');
  if (value['jsonrpc'] !== '2.0') throw invalid('A JSON-RPC message has "jsonrpc": "2.0".');
  const message = withoutNulls(value);
  const id = message['id'];
  if (id !== undefined && !isId(id)) throw invalid(`"id" is ${idRule}${shownNumber(id)}.`);
  requireShallow(message);
  if ('method' in message) checkCall(message);
  else checkResponse(message, id);
  return message as JSONRPCMessage;
}

/** Serializers write null for a member that a message of this kind has not got. */
function withoutNulls(message: Record<string, unknown>): Record<string, unknown> {
  const { id, method, result, error } = message;
  const isNotification = id === null && typeof method === 'string' && method.startsWith('notifications/');
  if (!isNotification && method !== null && result !== null && error !== null) return message;
  // A response without an error may say nothing.
  const isEmptyResult = result === null && typeof method !== 'string' && (error ?? undefined) === undefined;
  const isKept = ([name, value]: [string, unknown]): boolean =>
    !(name === 'id' ? isNotification : ['method', 'result', 'error'].includes(name) && value === null);
  return { ...Object.fromEntries(Object.entries(message).filter(isKept)), ...(isEmptyResult && { result: {} }) };
}

/** Null, and the empty list in which PHP writes an empty object, stand for what is left out. */
export const isLeftOut = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0);

function checkCall({ method, params }: Record<string, unknown>): void {
  if (typeof method !== 'string') throw invalid('"method" is a string.');
  if (method.length > maxEchoedLength) throw invalid(`"method" has at most ${maxEchoedLength} characters.`);
  if (isLeftOut(params)) return;
  if (!isObject(params)) throw invalid('"params" is an object.');
  const meta = params['_meta'];
  const token = isObject(meta) ? meta['progressToken'] : undefined;
  if (token !== undefined && token !== null && !isId(token))
    throw invalid(`"progressToken" is ${idRule}${shownNumber(token)}.`);
}

/** Throws `invalid_message` for nesting that could exhaust the stack when it is walked or written. */
export function requireShallow(value: unknown): void {
  if (!isShallow(value)) throw invalid(`A message has at most ${maxDepth} levels of objects and arrays.`);
}

export const isShallow = (value: unknown): boolean => isWithin(value, maxDepth);

function isWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (levels === 0) return false;
  if (Array.isArray(value)) return value.every((item) => isWithin(item, levels - 1));
  for (const key in value) if (!isWithin((value as Record<string, unknown>)[key], levels - 1)) return false;
  return true;
}

function checkResponse(value: Record<string, unknown>, id: unknown): void {
  if (id === undefined) throw invalid('A message has a "method" (request, notification) or an "id" (response).');
  const answers = Number('result' in value) + Number('error' in value);
  if (answers !== 1) throw invalid('A response has either "result" or "error".');
  if ('result' in value && !isObject(value['result'])) throw invalid('"result" is an object.');
  if ('error' in value && !isErrorObject(value['error'])) throw invalid('"error" has a whole "code" and a "message".');
}

export function messageKind(message: JSONRPCMessage): MessageKind {
  if (!('method' in message)) return 'response';
  if (!('id' in message)) return 'notification';
  return message.method === 'initialize' ? 'initialize' : 'request';
}

/** Whether an unchecked message is a handshake request, which opens a session. A notification is not. */
export function asksForSession(value: unknown): boolean {
  return isObject(value) && value['method'] === 'initialize' && 'id' in value;
}

/** The id for an error response to an unchecked message; null if it has none that can be echoed. */
export function replyIdOf(value: unknown): RequestId | null {
  return isObject(value) && 'method' in value && isId(value['id']) ? value['id'] : null;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value at a path of keys; undefined if there is none. */
export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let part = value;
  for (const key of path) {
    if (typeof part !== 'object' || part === null) return undefined;
    part = Reflect.get(part, key);
  }
  return part;
}

/**
 * The prefix of a number that JavaScript cannot represent and that has to be echoed: the number is kept as a text of
 * this mark and its JSON. Some clients count with 64 bits, or begin at a random 64-bit number.
 */
export const jsonMark = '\0';

export const isJsonId = (id: unknown): id is string => typeof id === 'string' && id.startsWith(jsonMark);

/** An id as its client wrote it. */
export const shownId = (id: unknown): string => (isJsonId(id) ? id.slice(jsonMark.length) : String(id));

/** A number that is not a safe integer would be echoed as another number: `parseMessageText` keeps its digits. */
function isId(value: unknown): value is RequestId {
  return typeof value === 'string' ? value.length <= maxEchoedLength : Number.isSafeInteger(value);
}

/** The client may not know that it sent a fraction: some languages have no other numbers. */
const shownNumber = (value: unknown): string => (typeof value === 'number' ? `, not ${value}` : '');

function isErrorObject(value: unknown): boolean {
  return isObject(value) && Number.isInteger(value['code']) && typeof value['message'] === 'string';
}

function invalid(detail: string): Refusal {
  return new Refusal('invalid_message', { detail });
}

/** The revision that introduced a content block; the other blocks are as old as the protocol. */
const introducedIn: Partial<Record<ContentBlock['type'], string>> = {
  audio: '2025-03-26',
  resource_link: '2025-06-18',
};

/** Replaces content blocks that are newer than the client's revision by text: a client drops an answer with an unknown block. */
export function adaptContent(revision: string | null, content: readonly ContentBlock[]): ContentBlock[] {
  const isSupported = ({ type }: ContentBlock): boolean => revision === null || (introducedIn[type] ?? '') <= revision;
  return content.map((block) => (isSupported(block) ? block : { type: 'text', text: describeBlock(block) }));
}

function describeBlock(block: ContentBlock): string {
  if (block.type === 'resource_link') return `Resource ${block.uri} (${block.mimeType ?? 'unknown type'})`;
  return `Left out: ${block.type}, which this client cannot show.`;
}
