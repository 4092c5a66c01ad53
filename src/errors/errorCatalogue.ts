export interface ErrorCatalogueEntry {
  readonly status: number;
  /** JSON-RPC code. -32000 to -32019 are the server's own to define. */
  readonly code: number;
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean;
  /** When to, where nothing better is known. Every 429 and 503 says it. */
  readonly retryAfterMs?: number;
  readonly when: string;
  /** What went wrong and what to do about it. */
  readonly message: string;
}

const badRequest = { status: 400, code: -32600, retryable: false } as const;

const retryAfter = (retryAfterMs: number) => ({ retryable: true, retryAfterMs }) as const;

/**
 * Every way in which the server refuses: the one owner of status, code and wording. README's table is made from it.
 * "Not ready" is never 404, 401 or -32602: clients throw a session away on those.
 */
export const errorCatalogue = {
  invalid_parameter: {
    ...badRequest,
    when: 'a query parameter, or a field of a management request, is not allowed',
    message: 'A parameter has a value that is not allowed.',
  },
  missing_session: {
    ...badRequest,
    when: 'no session id in the request',
    message:
      'No session id. Open GET /sse and post to the address its endpoint event names, or send initialize to POST /mcp and its Mcp-Session-Id with every request.',
  },
  unknown_event: {
    ...badRequest,
    when: 'Last-Event-ID is of no stream that this session has, or has any more',
    message: 'This Last-Event-ID is of no stream that this session has, or has any more. Send GET without it.',
  },
  unsupported_version: {
    ...badRequest,
    when: 'MCP-Protocol-Version names a revision that is not spoken',
    message: 'This MCP-Protocol-Version is not spoken. Send the one that initialize was answered with.',
  },
  parse_error: {
    status: 400,
    code: -32700,
    retryable: false,
    when: 'the body is not JSON',
    message: 'The body is not JSON. Send one JSON-RPC 2.0 message, UTF-8 encoded.',
  },
  invalid_message: {
    ...badRequest,
    when: 'JSON, but not a JSON-RPC message',
    message: 'Not a JSON-RPC 2.0 message. Send one request, notification or response object.',
  },
  not_initialized: {
    ...badRequest,
    when: 'a request other than `initialize` and `ping` before the session is initialized; a method that is not known is -32601',
    message: 'This session is not initialized. Send initialize first; only ping is answered before.',
  },
  already_initialized: {
    ...badRequest,
    when: '`initialize` in a session that is initialized',
    message: 'This session is initialized already, and stays as it is. Open a new session to initialize again.',
  },
  unauthorized: {
    status: 401,
    code: -32011,
    retryable: false,
    when: 'no token, or a wrong one, in the Authorization header; `WWW-Authenticate` says which is wanted',
    message: 'A token is needed. Send Authorization: Bearer TOKEN.',
  },
  store_unreachable: {
    status: 503,
    code: -32010,
    ...retryAfter(1_000),
    when: 'the store that the nodes of this server share (`--redis-url`) does not answer; a message that was on its way to another node may have been carried out',
    message: 'The store that the nodes of this server share cannot be reached. Try again in a moment.',
  },
  node_lost: {
    status: 502,
    code: -32010,
    retryable: true,
    when: 'the node that served the session went away while it had this request: it may or may not have been carried out',
    message:
      'The node that served this session went away. What you asked may or may not have been done: look, then ask again.',
  },
  issuer_unreachable: {
    status: 503,
    code: -32011,
    ...retryAfter(5_000),
    when: 'the issuer of access tokens does not answer, so that none can be checked',
    message: 'The issuer of access tokens cannot be reached, so that yours cannot be checked. Try again in a moment.',
  },
  invalid_upgrade: {
    ...badRequest,
    when: 'an upgrade that is not a WebSocket handshake with the subprotocol `mcp`',
    message: 'Not a WebSocket handshake with Sec-WebSocket-Protocol: mcp.',
  },
  forbidden_host: {
    status: 403,
    code: -32012,
    retryable: false,
    when: 'the Host header names a host that is not allowed',
    message: 'This Host is not allowed. Use a loopback name, or start the server with --allowed-hosts.',
  },
  forbidden_origin: {
    status: 403,
    code: -32012,
    retryable: false,
    when: 'the Origin header names a site that is not allowed',
    message: 'This Origin is not allowed. Start the server with --allowed-origins to let the site in.',
  },
  not_found: {
    status: 404,
    code: -32600,
    retryable: false,
    when: 'no such route',
    message: 'No such route. MCP clients open POST /mcp or GET /sse; people look at /inspector and /health.',
  },
  forbidden_address: {
    status: 403,
    code: -32012,
    retryable: false,
    when: "a browser's address is link-local or a cloud's metadata service, and not in --allow-browser-addresses",
    message: 'No browser may have this address. Start the server with --allow-browser-addresses to allow it.',
  },
  not_registered: {
    status: 404,
    code: -32600,
    retryable: false,
    when: 'no such user, or the user has no such token or browser',
    message: 'Not registered. See GET /api/users for those who are.',
  },
  already_registered: {
    status: 409,
    code: -32600,
    retryable: false,
    when: 'the user id is taken, or the user has this browser already',
    message: 'Registered already.',
  },
  too_many_records: {
    status: 409,
    code: -32600,
    retryable: false,
    when: 'as many users, or tokens or browsers of a user, as can be kept',
    message: 'No more can be kept. Delete one first.',
  },
  storage_failed: {
    status: 507,
    code: -32014,
    retryable: true,
    when: 'users cannot be read or written; nothing was changed',
    message: 'The change could not be written. Nothing was changed.',
  },
  unknown: {
    status: 404,
    code: -32001,
    retryable: false,
    when: "the session never existed, or is somebody else's",
    message: 'Unknown session. Open a new one with GET /sse or POST /mcp.',
  },
  closed: {
    status: 404,
    code: -32001,
    retryable: false,
    when: 'the session existed and has ended; `data.closedBecause` says why, for ten minutes',
    message: 'This session has ended. Open a new one with GET /sse or POST /mcp.',
  },
  not_ready: {
    status: 503,
    code: -32010,
    ...retryAfter(500),
    when: 'the session is in `created` or `tools-registered`; `data.state`, `data.retryAfterMs`',
    message: 'This session is not connected yet. Wait for its endpoint event, then send again.',
  },
  queue_full: {
    status: 429,
    code: -32013,
    ...retryAfter(500),
    when: 'too many messages of one session are in flight, or held until it is connected; or too many bytes of request bodies are being received, or of answers are waiting to be read',
    message: 'Too many messages of this session are waiting. Wait for an answer, then send again.',
  },
  too_many_sessions: {
    status: 429,
    code: -32013,
    ...retryAfter(1_000),
    when: '--max-sessions or --max-sessions-per-user is reached; nothing was created',
    message: 'Too many sessions are open. Close one, or raise the limit that data.limit names.',
  },
  too_many_viewers: {
    status: 429,
    code: -32013,
    ...retryAfter(5_000),
    when: 'too many pages watch the inspector',
    message: 'Too many pages watch the inspector. Close one.',
  },
  rate_limited: {
    status: 429,
    code: -32013,
    ...retryAfter(1_000),
    when: 'too many sessions opened or messages sent in a minute; `data.limit`; nothing was created or delivered',
    message:
      'Too many requests in a minute. Wait as long as Retry-After says, or raise the limit that data.limit names.',
  },
  browsers_busy: {
    status: 429,
    code: -32013,
    ...retryAfter(5_000),
    when: 'every browser process is taken, and --browser-queue sessions wait for one',
    message: 'Every browser process is taken. Try again in a moment, or raise the limits that data.limit names.',
  },
  method_not_allowed: {
    status: 405,
    code: -32600,
    retryable: false,
    when: 'the route exists, but not with this verb',
    message: 'This route does not take this verb. See the Allow header.',
  },
  not_acceptable: {
    status: 406,
    code: -32600,
    retryable: false,
    when: 'the Accept header lacks a type that the answer may have',
    message: 'The Accept header lacks a type that the answer may have.',
  },
  gap: {
    status: 410,
    code: -32015,
    retryable: false,
    when: 'events after Last-Event-ID are no longer kept: they are lost, and none is skipped silently',
    message: 'Events after this Last-Event-ID are no longer kept. Send GET without it to go on from now.',
  },
  too_large: {
    status: 413,
    code: -32600,
    retryable: false,
    when: 'the body is larger than --body-limit',
    message: 'The body is too large. Send less, or raise --body-limit.',
  },
  unsupported_media_type: {
    status: 415,
    code: -32600,
    retryable: false,
    when: 'the body is not application/json in UTF-8',
    message: 'Send Content-Type: application/json, UTF-8, not compressed.',
  },
  upgrade_required: {
    status: 426,
    code: -32600,
    retryable: false,
    when: 'GET /ws without an upgrade to WebSocket version 13',
    message: 'This route speaks WebSocket, version 13, with Sec-WebSocket-Protocol: mcp.',
  },
  browser_unreachable: {
    status: 502,
    code: -32014,
    retryable: true,
    when: 'the browser to attach to does not answer',
    message: 'The browser cannot be reached.',
  },
  browser_failed: {
    status: 502,
    code: -32014,
    retryable: true,
    when: 'no browser was found, or it did not start',
    message: 'The browser could not be started.',
  },
  setup_failed: {
    status: 500,
    code: -32014,
    retryable: true,
    when: 'the set-up of the session failed in this server or its embedder',
    message: 'The session could not be set up.',
  },
  setup_timeout: {
    status: 504,
    code: -32014,
    retryable: true,
    when: 'the session was not ready in time; what it had opened is closed',
    message: 'The session was not ready in time. Run `greenroom doctor`, then try again.',
  },
  draining: {
    status: 503,
    code: -32010,
    ...retryAfter(1_000),
    when: 'the server is shutting down',
    message: 'The server is shutting down. Try again in a moment.',
  },
  internal: {
    status: 500,
    code: -32603,
    retryable: false,
    when: 'a defect of this server; the log has the details',
    message: 'The server failed on this request; the details are in its log.',
  },
} as const satisfies Record<string, ErrorCatalogueEntry>;
