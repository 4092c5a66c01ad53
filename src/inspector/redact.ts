import { withoutSecrets } from '../networkAddresses.js';

/**
 * Redaction of messages. Shown are structure, numbers, words of the protocol or of a tool's own lists, and addresses without
 * query. Every other text is replaced by its type and length: only allowed keys are shown.
 */

/** Values below these keys are secrets. */
const secretKey =
  /token|secret|passw|pwd|cookie|auth|api_?-?key|credential|private|signature|bearer|session_?id|otp|^pin$/i;

/** Values below these keys are typed, or from a page, script, storage or header: not even numbers are shown. */
const contentKeys =
  keySet(`args text texts value values oldValue newValue body content data blob script function expression
  code source html snapshot result message reply payload items fields entries storage headers requestHeaders
  responseHeaders postData response title description stack error errors key keys file files path paths dialog reason
  location experimental _meta requestState userAgent query regex filter prompt promptText`);

/** Text below these keys is shown if it looks like a word of the protocol or of a tool's own list. */
const wordKeys =
  keySet(`jsonrpc method protocolVersion type role kind level severity state status mode format mimeType button
  phase area action isolation transport lease cache colorScheme direction encoding sameSite waitUntil resourceType
  browserState uid`);

const word = /^[\w./+:-]{1,40}$/;
const plainKey = /^[A-Za-z_]{1,32}\d{0,2}$/;
const maxDepth = 10;
const maxValues = 400;
const maxItems = 20;

/** A redacted copy of a message, of bounded size. */
export function redact(message: unknown): unknown {
  const namedParams = namedParamsOf(message);
  const state: RedactionState = { remaining: maxValues, namedParams, args: argumentsOf(namedParams) };
  return redactValue(message, '', 0, state);
}

interface RedactionState {
  /** Values that may still be visited. */
  remaining: number;
  /** The one object whose `name` is a word of the protocol: the parameters of a call. */
  readonly namedParams: unknown;
  /** The arguments of a call. What is nested in them is content: headers, storage, fields of a form. */
  readonly args: unknown;
}

const argumentsOf = (params: unknown): unknown => (isObject(params) ? params['arguments'] : undefined);

/** Elsewhere `name` may be that of a cookie, a header or an element of a page. */
function namedParamsOf(message: unknown): unknown {
  if (!isObject(message)) return undefined;
  const { method, params } = message;
  return method === 'tools/call' || method === 'prompts/get' ? params : undefined;
}

function redactValue(value: unknown, key: string, depth: number, visit: RedactionState): unknown {
  if (value === null || value === undefined) return value;
  visit.remaining -= 1;
  if (visit.remaining < 0 || depth > maxDepth || secretKey.test(key) || isContent(key, value, depth))
    return placeholder(value);
  if (Array.isArray(value)) return redactItems(value, key, depth, visit);
  if (isObject(value)) return redactFields(value, depth, visit);
  if (typeof value === 'string') return redactText(value, key);
  return value;
}

/** A result and the list of its parts are structure; the text of a part is content. */
function isContent(key: string, value: unknown, depth: number): boolean {
  if (key === 'result') return depth > 1;
  if (key === 'content' || key === 'error') return typeof value !== 'object';
  return contentKeys.has(key);
}

function redactItems(items: readonly unknown[], key: string, depth: number, visit: RedactionState): unknown[] {
  const shown = items.slice(0, maxItems).map((item) => redactValue(item, key, depth + 1, visit));
  return items.length > maxItems ? [...shown, `‹${items.length - maxItems} more›`] : shown;
}

function redactFields(
  fields: Readonly<Record<string, unknown>>,
  depth: number,
  visit: RedactionState,
): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  const all = Object.entries(fields);
  for (const [name, inner] of all.slice(0, maxItems * 2)) {
    // An unusual key may itself be data.
    if (!plainKey.test(name)) shown[`‹name, ${name.length} characters›`] = placeholder(inner);
    else if (name === 'name' && fields === visit.namedParams) shown[name] = redactWord(inner);
    else if (fields === visit.args && typeof inner === 'object') shown[name] = placeholder(inner);
    else shown[name] = redactValue(inner, name, depth + 1, visit);
  }
  if (all.length > maxItems * 2) shown['‹more›'] = all.length - maxItems * 2;
  return shown;
}

function redactText(text: string, key: string): string {
  if (wordKeys.has(key)) return redactWord(text);
  return withoutSecrets(text) || placeholder(text);
}

function redactWord(value: unknown): string {
  return typeof value === 'string' && word.test(value) ? value : placeholder(value);
}

function keySet(words: string): ReadonlySet<string> {
  return new Set(words.split(/\s+/));
}

function placeholder(value: unknown): string {
  if (typeof value === 'string') return `‹text, ${value.length} characters›`;
  if (Array.isArray(value)) return `‹list, ${value.length} items›`;
  if (isObject(value)) return `‹object, ${Object.keys(value).length} fields›`;
  return value === null ? '‹null›' : `‹${typeof value}›`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
