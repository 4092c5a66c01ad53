import fc from 'fast-check';

/** What clients could send, from nearly right to noise. Each grammar is a distortion of the real thing. */

const hostile = fc.constantFrom('__proto__', 'constructor', 'toString', '', '\u0000', 'ü', '\ud800', 'x'.repeat(300));
const word = fc.oneof(hostile, fc.string({ maxLength: 12 }));
const anyJson = fc.jsonValue({ maxDepth: 3 });

const id = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 0, max: 1_000_000 }) },
  fc.constantFrom(null, 1.5, -1, 1e308, true, [], {}, '', '__proto__'),
  word,
);

const method = fc.oneof(
  fc.constantFrom(
    'initialize',
    'ping',
    'tools/list',
    'tools/call',
    'resources/list',
    'resources/read',
    'logging/setLevel',
  ),
  fc.constantFrom(
    'notifications/initialized',
    'notifications/cancelled',
    'notifications/progress',
    'resources/subscribe',
  ),
  word,
);

const params = fc.oneof(
  fc.record({
    name: fc.oneof(fc.constantFrom('echo', 'count'), word),
    arguments: fc.oneof(fc.record({ value: anyJson }), anyJson),
  }),
  fc.record({
    protocolVersion: fc.oneof(fc.constant('2025-11-25'), anyJson),
    capabilities: anyJson,
    clientInfo: anyJson,
  }),
  fc.record(
    { requestId: id, reason: anyJson, progressToken: id, progress: anyJson, uri: word, level: word, cursor: word },
    { requiredKeys: [] },
  ),
  anyJson,
);

const message = fc.record(
  {
    jsonrpc: fc.oneof({ weight: 9, arbitrary: fc.constant('2.0') }, anyJson),
    id,
    method,
    params,
    result: anyJson,
    error: fc.oneof(fc.record({ code: anyJson, message: anyJson }), anyJson),
  },
  { requiredKeys: [] },
);
/** A call as it should be, so that not everything is refused. */
const call = fc.record({ jsonrpc: fc.constant('2.0'), id, method }, { requiredKeys: ['jsonrpc', 'method'] });

/** One message as text: JSON-RPC, JSON, JSON that was cut or stirred, or anything. */
export const messageText: fc.Arbitrary<string> = fc.oneof(
  { weight: 5, arbitrary: fc.oneof(message, call).map((value) => JSON.stringify(value)) },
  fc.array(call, { maxLength: 3 }).map((batch) => JSON.stringify(batch)),
  anyJson.map((value) => JSON.stringify(value)),
  fc.tuple(message, fc.nat({ max: 200 })).map(([value, end]) => JSON.stringify(value).slice(0, end)),
  fc.tuple(message, fc.nat({ max: 200 }), word).map(([value, at, stuff]) => {
    const text = JSON.stringify(value);
    return text.slice(0, at) + stuff + text.slice(at);
  }),
  fc
    .nat({ max: 2_000 })
    .map((depth) => `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":${'['.repeat(depth)}${']'.repeat(depth)}}}`),
  fc.constant('{"jsonrpc":"2.0","id":1,"method":"ping","__proto__":{"x":1},"params":{"__proto__":null}}'),
  word,
);

const latin = fc.string({
  unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
  maxLength: 20,
});
const verb = fc.oneof(
  fc.constantFrom('GET', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PUT', 'CONNECT', 'TRACE', 'get', 'PRI'),
  latin,
);
const path = fc.oneof(
  fc.constantFrom('/sse', '/message', '/message?sessionId=x', '/ws', '/ws?tools=core', '/mcp', '/health', '/ready'),
  fc.constantFrom(
    '/api/sessions',
    '/api/sessions/x',
    '/sse?userId=a&userId=b',
    '/sse?tools=%',
    '//',
    '*',
    '/%zz',
    'http://a/sse',
  ),
  latin,
);
const header = fc.oneof(
  fc.constantFrom(
    'Host: localhost',
    'Host: evil.example',
    'Host:',
    'Origin: http://localhost',
    'Origin: null',
    'Accept: */*',
  ),
  fc.constantFrom(
    'Connection: Upgrade',
    'Connection: close',
    'Connection: keep-alive, Upgrade',
    'Upgrade: websocket',
    'Upgrade: h2c',
  ),
  fc.constantFrom(
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Version: x',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  ),
  fc.constantFrom(
    'Sec-WebSocket-Protocol: mcp',
    'Sec-WebSocket-Protocol: mcp, mcp',
    'Sec-WebSocket-Extensions: permessage-deflate',
  ),
  fc.constantFrom(
    'Content-Type: application/json',
    'Content-Type: application/json; charset=utf-16',
    'Content-Encoding: gzip',
  ),
  fc.constantFrom(
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip, chunked',
    'Expect: 100-continue',
    'Mcp-Session-Id: x',
  ),
  fc.integer({ min: -1, max: 99 }).map((length) => `Content-Length: ${length}`),
  fc.tuple(latin, latin).map(([name, value]) => `${name}: ${value}`),
  latin,
);
const body = fc.oneof(
  messageText,
  latin,
  messageText.map((text) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`),
);
const lineEnd = fc.oneof({ weight: 9, arbitrary: fc.constant('\r\n') }, fc.constantFrom('\n', '\r', '\n\n', ''));

const request = fc
  .tuple(
    verb,
    path,
    fc.constantFrom(' HTTP/1.1', ' HTTP/1.1', ' HTTP/1.0', ' HTTP/2.0', ''),
    fc.array(header, { maxLength: 9 }),
    lineEnd,
    body,
  )
  .map(([by, to, version, lines, end, content]) =>
    Buffer.concat([
      Buffer.from([`${by} ${to}${version}`, 'Host: localhost', ...lines, '', ''].join(end), 'latin1'),
      Buffer.from(content),
    ]),
  );

/** Up to three requests on one connection, or noise. */
export const httpBytes: fc.Arbitrary<Buffer> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.array(request, { minLength: 1, maxLength: 3 }).map((requests) => Buffer.concat(requests)),
  },
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
);

interface Frame {
  readonly first: number;
  readonly masked: boolean;
  readonly mask: Uint8Array;
  readonly lengthForm: 7 | 16 | 64;
  /** How far the length that is given is from the truth. */
  readonly lie: number;
  readonly payload: Buffer;
}

const frame: fc.Arbitrary<Buffer> = fc
  .record<Frame>({
    // FIN and three reserved bits, then the opcode.
    first: fc.oneof(
      { weight: 6, arbitrary: fc.constant(0x81) },
      fc.constantFrom(0x01, 0x80, 0x82, 0x88, 0x89, 0x8a, 0xc1),
      fc.nat(255),
    ),
    masked: fc.oneof({ weight: 9, arbitrary: fc.constant(true) }, fc.constant(false)),
    mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    lengthForm: fc.constantFrom<7 | 16 | 64>(7, 7, 7, 16, 64),
    lie: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.constantFrom(1, -1, 1_000, 2 ** 31, 2 ** 40)),
    payload: fc.oneof(
      messageText.map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 130 }).map((bytes) => Buffer.from(bytes)),
    ),
  })
  .map(encode);

function encode({ first, masked, mask, lengthForm, lie, payload }: Frame): Buffer {
  const length = Math.max(0, payload.length + lie);
  const form = lengthForm === 7 && length > 125 ? 64 : lengthForm === 16 && length > 65_535 ? 64 : lengthForm;
  const head = Buffer.alloc(form === 7 ? 2 : form === 16 ? 4 : 10);
  head[0] = first;
  head[1] = (masked ? 0x80 : 0) | (form === 7 ? length : form === 16 ? 126 : 127);
  if (form === 16) head.writeUInt16BE(length, 2);
  if (form === 64) head.writeBigUInt64BE(BigInt(length), 2);
  const hidden = masked ? payload.map((byte, index) => byte ^ (mask[index % 4] ?? 0)) : payload;
  return Buffer.concat([head, masked ? mask : Buffer.alloc(0), hidden]);
}

/** What follows a handshake on one socket: frames that are nearly right, or noise. */
export const webSocketBytes: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 8, arbitrary: fc.array(frame, { minLength: 1, maxLength: 6 }).map((frames) => Buffer.concat(frames)) },
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
);

/** A POST of revision 2026-07-28; `reason`: of the refusal that it must get, null if it must be served. */
export interface StatelessPost {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly reason?: string | null;
}

interface StatedRequest {
  readonly method: string;
  readonly params: Record<string, unknown>;
  readonly meta: Record<string, unknown>;
  readonly headers: Record<string, string>;
}

const key = (name: string): string => `io.modelcontextprotocol/${name}`;
const stateless = '2026-07-28';

const stated = (name: string, given: Record<string, unknown> = {}, repeated?: string): StatedRequest => ({
  ...{ method: name, params: given },
  meta: { [key('protocolVersion')]: stateless, [key('clientCapabilities')]: { extensions: { [key('tasks')]: {} } } },
  headers: {
    ...{ 'mcp-protocol-version': stateless, 'mcp-method': name },
    ...(repeated !== undefined && { 'mcp-name': repeated }),
  },
});

const served = fc.constantFrom(
  stated('server/discover'),
  stated('tools/list'),
  stated('resources/list'),
  stated('tools/call', { name: 'echo', arguments: { value: 'x' } }, 'echo'),
  stated('tools/call', { name: 'count', arguments: {} }, 'count'),
);
const named = fc.constantFrom(
  stated('tools/call', { name: 'echo', arguments: { value: 'x' } }, 'echo'),
  stated('resources/read', { uri: 'greenroom://a' }, 'greenroom://a'),
  stated('tasks/get', { taskId: 'one' }, 'one'),
);
const noObject = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer()));
/** What a header can carry. */
const token = fc.stringMatching(/^[a-cX-Z019_./:=?-]{1,12}$/);
const otherThan = (...texts: string[]) => token.filter((text) => !texts.includes(text));

const withMeta = (base: StatedRequest, name: string, value: unknown): StatedRequest => ({
  ...base,
  meta: { ...base.meta, [key(name)]: value },
});
const withHeader = ({ headers, ...base }: StatedRequest, name: string, value: string | undefined): StatedRequest => {
  const { [name]: _former, ...rest } = headers;
  return { ...base, headers: { ...rest, ...(value !== undefined && { [name]: value }) } };
};

/** One thing that is wrong, and what a server has to say to it. */
const distorted: readonly (readonly [string | null, fc.Arbitrary<StatedRequest>])[] = [
  [null, served],
  ['invalid_envelope', fc.tuple(served, noObject).map(([base, value]) => withMeta(base, 'clientCapabilities', value))],
  [
    'invalid_envelope',
    fc
      .tuple(served, fc.jsonValue())
      .filter(([, value]) => typeof value !== 'string')
      .map(([base, value]) => withMeta(base, 'protocolVersion', value)),
  ],
  ['invalid_envelope', fc.tuple(served, noObject).map(([base, value]) => withMeta(base, 'clientInfo', value))],
  [
    'invalid_envelope',
    fc.tuple(served, otherThan('info')).map(([base, value]) => withMeta(base, 'logLevel', `${value}!`)),
  ],
  ['invalid_envelope', served.map((base) => ({ ...base, meta: { [key('protocolVersion')]: stateless } }))],
  ['invalid_envelope', served.map((base) => ({ ...base, meta: {} }))],
  ['header_mismatch', served.map((base) => withHeader(base, 'mcp-protocol-version', undefined))],
  [
    'header_mismatch',
    fc.tuple(served, otherThan(stateless)).map(([base, value]) => withHeader(base, 'mcp-protocol-version', value)),
  ],
  [
    'header_mismatch',
    fc.tuple(served, otherThan()).map(([base, value]) => withHeader(base, 'mcp-method', `${value}!`)),
  ],
  ['header_mismatch', served.map((base) => withHeader(base, 'mcp-method', undefined))],
  ['header_mismatch', named.map((base) => withHeader(base, 'mcp-name', undefined))],
  [
    'header_mismatch',
    fc.tuple(named, otherThan('echo', 'one')).map(([base, value]) => withHeader(base, 'mcp-name', `${value}!`)),
  ],
  ['header_mismatch', named.map((base) => withHeader(base, 'mcp-name', '=?base64?*?='))],
  [
    'unsupported_revision',
    served.map((base) =>
      withHeader(withMeta(base, 'protocolVersion', '2031-01-01'), 'mcp-protocol-version', '2031-01-01'),
    ),
  ],
  [
    'unknown_method',
    fc
      .constantFrom('ping', 'initialize', 'logging/setLevel', 'tasks/list', 'tasks/result', 'x', 'constructor')
      .map((name) => stated(name)),
  ],
  [
    'unknown_task',
    fc.constantFrom('get', 'cancel').chain((name) => token.map((id) => stated(`tasks/${name}`, { taskId: id }, id))),
  ],
  [
    'unknown_task',
    fc
      .constantFrom('get', 'cancel')
      .chain((name) =>
        noObject.filter((id) => typeof id !== 'string').map((id) => stated(`tasks/${name}`, { taskId: id }, 'one')),
      ),
  ],
  [
    'missing_capability',
    fc
      .constantFrom('get', 'update', 'cancel')
      .map((name) =>
        withMeta(stated(`tasks/${name}`, { taskId: 'one', inputResponses: {} }, 'one'), 'clientCapabilities', {}),
      ),
  ],
  [
    'invalid_input',
    fc.tuple(served, token).map(([base, value]) => ({ ...base, params: { ...base.params, requestState: value } })),
  ],
  [
    'invalid_input',
    fc.tuple(served, noObject).map(([base, value]) => ({ ...base, params: { ...base.params, inputResponses: value } })),
  ],
  ['invalid_input', noObject.map((value) => stated('subscriptions/listen', { notifications: value }))],
  [
    'invalid_input',
    noObject
      .filter((value) => value !== null && !Array.isArray(value))
      .map((value) => stated('subscriptions/listen', { notifications: { taskIds: value } })),
  ],
];

const postOf = (
  { method: name, params: given, meta, headers }: StatedRequest,
  reason?: string | null,
): StatelessPost => ({
  body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: name, params: { ...given, _meta: meta } }),
  headers,
  ...(reason !== undefined && { reason }),
});

/** Requests of revision 2026-07-28: whole, with one thing wrong, or anything with its headers. */
export const statelessPost: fc.Arbitrary<StatelessPost> = fc.oneof(
  { weight: 3, arbitrary: fc.oneof(...distorted.map(([reason, cases]) => cases.map((one) => postOf(one, reason)))) },
  fc
    .tuple(served, fc.oneof(message, call))
    .map(([{ headers, meta }, value]) => ({ headers, body: JSON.stringify({ ...value, params: { _meta: meta } }) })),
  fc.tuple(served, messageText).map(([{ headers }, body]) => ({ headers, body })),
);
