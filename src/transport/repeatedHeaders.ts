import type { IncomingMessage } from 'node:http';
import { isStatelessHeader, mismatch, type RepeatedHeaders } from '../mcp/envelope.js';
import { isObject, statelessVersions, type JSONRPCRequest } from '../mcp/protocol.js';
import { browserIdHeader } from '../tools/browserTools.js';
import type { JsonSchema } from '../tools/defineTool.js';

/** The headers of revision 2026-07-28 that repeat parts of the body (basic/transports, standard request headers). */
export function repeatedHeadersOf(request: IncomingMessage): RepeatedHeaders {
  return {
    protocolVersion: tokenOf(request, 'mcp-protocol-version'),
    method: tokenOf(request, 'mcp-method'),
    hasSession: request.headers['mcp-session-id'] !== undefined,
  };
}

const headerOf = ({ headers }: IncomingMessage, name: string): string | undefined => {
  const value = headers[name.toLowerCase()];
  return value === undefined ? undefined : String(value).trim();
};

/** A value that a proxy has repeated, once. */
function onceOf(value: string): string {
  const half = value.slice(0, Math.max(0, value.length / 2 - 1));
  return value === `${half}, ${half}` ? half : value;
}

/** A header whose values have no comma. Proxies repeat headers, and Node joins them. */
function tokenOf(request: IncomingMessage, name: string): string | undefined {
  const value = headerOf(request, name);
  if (value?.includes(',') !== true) return value;
  const parts = new Set(value.split(',').map((part) => part.trim()));
  return parts.size === 1 ? [...parts].join() : value;
}

/** The headers that repeat parts of a call. */
export const repeatedIn = (call: { method: string; name: string; browserId: string }): Record<string, string> => ({
  'mcp-protocol-version': statelessVersions[0],
  'mcp-method': call.method,
  'mcp-name': encode(call.name),
  [`mcp-param-${browserIdHeader}`.toLowerCase()]: encode(call.browserId),
});

/** Text that no header can carry goes in base64. */
const encode = (text: string): string =>
  /^[!-~]+$/.test(text) && !text.startsWith('=?') ? text : `=?base64?${Buffer.from(text).toString('base64')}?=`;

/** Whether the header names a revision without sessions. The body decides; this is known before it is read. */
export const namesStatelessVersion = (request: IncomingMessage): boolean =>
  isStatelessHeader(repeatedHeadersOf(request));

/** The handle that a request names in its headers; empty without one, or with one that cannot be read. */
export const browserIdFromHeader = (request: IncomingMessage): string =>
  decode(onceOf(headerOf(request, `mcp-param-${browserIdHeader}`) ?? '')) ?? '';

/** The part of the body that `Mcp-Name` repeats, by method. */
const namedBy: Readonly<Record<string, string>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
};

/** Throws `header_mismatch` if a standard header of a request is missing or differs. */
export function checkStandardHeaders(request: IncomingMessage, { method, params }: JSONRPCRequest): void {
  const { protocolVersion, method: methodHeader } = repeatedHeadersOf(request);
  if (protocolVersion === undefined) throw mismatch('MCP-Protocol-Version', 'the header is missing');
  if (methodHeader === undefined) throw mismatch('Mcp-Method', `the header is missing, the body names ${method}`);
  const field = Object.hasOwn(namedBy, method) ? namedBy[method] : undefined;
  if (field === undefined) return;
  const value = params?.[field];
  const header = headerOf(request, 'mcp-name');
  if (header === undefined) {
    if (typeof value === 'string') throw mismatch('Mcp-Name', `the header is missing, the body names ${value}`);
    return;
  }
  checkValue('Mcp-Name', header, typeof value === 'string' ? value : undefined);
}

/** An argument that a header repeats. */
interface HeaderParameter {
  readonly header: string;
  readonly path: readonly string[];
  readonly isNumber: boolean;
}

const parameters = new WeakMap<JsonSchema, readonly HeaderParameter[]>();

/** The arguments of a schema that headers repeat (`x-mcp-header`), at any depth of objects. Read once for each schema. */
function headerParametersOf(schema: JsonSchema): readonly HeaderParameter[] {
  const known = parameters.get(schema);
  if (known) return known;
  const found = findParameters(schema, []);
  parameters.set(schema, found);
  return found;
}

function findParameters(schema: Readonly<Record<string, unknown>>, path: readonly string[]): HeaderParameter[] {
  const { properties, type } = schema;
  const name = schema['x-mcp-header'];
  const own =
    typeof name === 'string' && path.length > 0
      ? [{ header: `Mcp-Param-${name}`, path, isNumber: type === 'integer' || type === 'number' }]
      : [];
  if (!isObject(properties)) return own;
  const within = Object.entries(properties).flatMap(([key, value]) =>
    isObject(value) ? findParameters(value, [...path, key]) : [],
  );
  return [...own, ...within];
}

/** Throws `header_mismatch` if an argument of a call has a header, by the schema of its tool, that is missing or differs. */
export function checkParameterHeaders(request: IncomingMessage, schema: JsonSchema, args: unknown): void {
  for (const { header, path, isNumber } of headerParametersOf(schema)) {
    const value = path.reduce<unknown>((parent, key) => (isObject(parent) ? parent[key] : undefined), args);
    const text = textOf(value);
    if (text === undefined) continue;
    const given = headerOf(request, header);
    const name = path.join('.');
    if (given === undefined) throw mismatch(header, `the header is missing, the body has ${name}=${text}`);
    const isSameNumber = isNumber && /^-?\d+(\.\d+)?$/.test(given) && Number(given) === value;
    if (!isSameNumber) checkValue(header, given, text);
  }
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
    ? String(value)
    : undefined;

function checkValue(header: string, given: string, value: string | undefined): void {
  const decoded = decode(given);
  if (decoded === undefined) throw mismatch(header, `the header is no base64 of UTF-8: ${given}`);
  if (value !== undefined && decoded !== value && decode(onceOf(given)) !== value)
    throw mismatch(header, `the header has ${decoded}, the body ${value}`);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The value of a header: `=?base64?…?=` stands for text that no header can carry. Undefined: it cannot be read. */
function decode(value: string): string | undefined {
  const [, encoded] = /^=\?base64\?(.*)\?=$/.exec(value) ?? [];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, 'base64');
  // Node skips what is no base64.
  if (bytes.toString('base64') !== encoded) return undefined;
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}
