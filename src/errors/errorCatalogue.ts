export interface ErrorCatalogueEntry {
  readonly status: number;
  /** JSON-RPC code. -32000 to -32019 are the server's own to define. */
  readonly code: number;
  /** Whether the same request may succeed later, unchanged. */
  readonly retryable: boolean;
  /** Default of `data.retryAfterMs`, in milliseconds. Every 429 and 503 has one. */
  readonly retryAfterMs?: number;
  /** The condition, for the table of the README. */
  readonly when: string;
  /** What is wrong, and which request or flag fixes it. */
  readonly message: string;
}

const badRequest = { status: 400, code: -32600, retryable: false } as const;

const retryAfter = (retryAfterMs: number) => ({ retryable: true, retryAfterMs }) as const;

/**
 * Every refusal of the server, with its status, code and text. The table of the README is generated from it.
 * "Not ready" is never 404, 401 or -32602: clients discard a session on those.
 */
export const errorCatalogue = {
  invalid_parameter: {
    ...badRequest,
    when: 'the value of a query parameter, or of a field of a management request, is not allowed',
    message: 'A parameter has a value that is not allowed.',
  },
  missing_session: {
    ...badRequest,
    when: 'no session id in the request',
    message:
      'No session id. Open GET /sse and post to the address in its endpoint event, or send initialize to POST /mcp, then send the Mcp-Session-Id of its response with every request.',
  },
  unknown_event: {
    ...badRequest,
    when: 'Last-Event-ID belongs to no stream of this session, or to one that is no longer kept',
    message:
      'This Last-Event-ID belongs to no stream of this session, or to one that is no longer kept. Send GET without it.',
  },
  unsupported_version: {
    ...badRequest,
    when: 'MCP-Protocol-Version names a revision that is not supported',
    message: 'This MCP-Protocol-Version is not supported. Send the one in the result of initialize.',
  },
  header_mismatch: {
    status: 400,
    code: -32020,
    retryable: false,
    when: '2026-07-28: `MCP-Protocol-Version`, `Mcp-Method`, `Mcp-Name` or an `Mcp-Param-…` header is missing, or differs from the body; `data.mismatch`',
    message: 'A header that repeats a part of the body is missing or differs from it. Send the value of the body.',
  },
  missing_capability: {
    status: 400,
    code: -32021,
    retryable: false,
    when: '2026-07-28: the request needs a capability that the client did not declare; `data.requiredCapabilities`',
    message: 'This request needs a capability that the client did not declare in clientCapabilities.',
  },
  unsupported_revision: {
    status: 400,
    code: -32022,
    retryable: false,
    when: '2026-07-28: the `_meta` of a request names a revision that is not supported; `data.supported`, `data.requested`',
    message:
      'This protocol revision is not supported in _meta. Send one of data.supported, or initialize for an earlier one.',
  },
  invalid_envelope: {
    status: 400,
    code: -32602,
    retryable: false,
    when: '2026-07-28: the `_meta` of a request is not valid; `data.envelope` names the key',
    message:
      'The _meta of this request is not valid. Send io.modelcontextprotocol/protocolVersion and clientCapabilities.',
  },
  invalid_input: {
    status: 400,
    code: -32602,
    retryable: false,
    when: '2026-07-28: `inputResponses` is not an object of objects, or `requestState` was changed, belongs to another user or request, has expired or was used before',
    message: 'These answers cannot be used. Send the request without requestState to be asked again.',
  },
  unknown_task: {
    status: 400,
    code: -32602,
    retryable: false,
    when: '2026-07-28: `taskId` names no task, one that is no longer kept, or one of another user',
    message: 'Unknown task: it never existed, or is no longer kept. Call the tool again.',
  },
  unknown_method: {
    status: 404,
    code: -32601,
    retryable: false,
    when: 'without a session: the revision, or this server, has no such method',
    message: 'Method not found. server/discover says what this server offers.',
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
    when: 'a request other than `initialize` and `ping` before the session is initialized; an unknown method is -32601',
    message: 'This session is not initialized. Send initialize first; before it only ping is answered.',
  },
  already_initialized: {
    ...badRequest,
    when: '`initialize` on a connection, or in a batch, of a session that is initialized',
    message: 'This session is already initialized; nothing was changed. Open a new session to initialize again.',
  },
  unauthorized: {
    status: 401,
    code: -32011,
    retryable: false,
    when: 'no token, or a wrong one, in the Authorization header; `WWW-Authenticate` says which is required',
    message: 'A valid token is required. Send Authorization: Bearer TOKEN.',
  },
  store_unreachable: {
    status: 503,
    code: -32010,
    ...retryAfter(1_000),
    when: 'the store that the nodes of this server share (`--redis-url`) does not answer; a message that was being forwarded to another node may have been delivered',
    message:
      'The store that the nodes of this server share cannot be reached. Retry after data.retryAfterMs milliseconds.',
  },
  node_lost: {
    status: 502,
    code: -32010,
    retryable: true,
    when: 'the node that served the session failed during this request, which may or may not have been carried out',
    message:
      'The node that served this session failed. The request may or may not have been carried out: check, then retry.',
  },
  issuer_unreachable: {
    status: 503,
    code: -32011,
    ...retryAfter(5_000),
    when: 'the issuer of access tokens does not answer, so that no token can be verified',
    message:
      'The issuer of access tokens cannot be reached, so that the token cannot be verified. Retry after data.retryAfterMs milliseconds.',
  },
  invalid_upgrade: {
    ...badRequest,
    when: 'an upgrade that is not a WebSocket handshake with the subprotocol `mcp`',
    message: 'Not a WebSocket handshake with the subprotocol mcp. Send Sec-WebSocket-Protocol: mcp.',
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
    when: 'the Origin header names a site that is not allowed, or a web page could have sent the request without one',
    message: 'This Origin is not allowed. Start the server with --allowed-origins to allow the site.',
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
    message: 'This address is not allowed for a browser. Start the server with --allow-browser-addresses to allow it.',
  },
  not_registered: {
    status: 404,
    code: -32600,
    retryable: false,
    when: 'no such user, or the user has no such token or browser',
    message: 'No such user, token or browser. GET /api/users lists the users.',
  },
  already_registered: {
    status: 409,
    code: -32600,
    retryable: false,
    when: 'the user id is taken, or the user has this browser already',
    message: 'Already registered. Use the existing record, or delete it first.',
  },
  too_many_records: {
    status: 409,
    code: -32600,
    retryable: false,
    when: 'the limit of users, or of tokens or browsers of a user, is reached',
    message: 'The limit of records is reached. Delete one first.',
  },
  storage_failed: {
    status: 507,
    code: -32014,
    retryable: true,
    when: 'users cannot be read or written; nothing was changed',
    message:
      'The users could not be read or written. Nothing was changed. Check --data-dir or --redis-url, then retry.',
  },
  unknown: {
    status: 404,
    code: -32001,
    retryable: false,
    when: 'the session never existed, or belongs to another user',
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
    message: 'This session is not connected yet. Wait for its endpoint event, then resend the message.',
  },
  queue_full: {
    status: 429,
    code: -32013,
    ...retryAfter(500),
    when: 'too many messages of one session are in flight, or held until it is connected; or too many bytes of request bodies are being received, or of responses are unread',
    message: 'Too many messages of this session are waiting. Wait for a response, then resend the message.',
  },
  too_many_sessions: {
    status: 429,
    code: -32013,
    ...retryAfter(1_000),
    when: '--max-sessions or --max-sessions-per-user is reached; nothing was created',
    message: 'Too many sessions are open. Close one, or raise the limit in data.limit.',
  },
  quota_exceeded: {
    status: 429,
    code: -32013,
    ...retryAfter(60_000),
    when: 'a quota of the user is used up (--user-quota, or `quotas` of the user); `data.limit`; nothing was created',
    message: 'A quota of this user is used up. Close what is not needed, or raise the quota in data.limit.',
  },
  too_many_viewers: {
    status: 429,
    code: -32013,
    ...retryAfter(5_000),
    when: 'too many inspector pages are open',
    message: 'Too many inspector pages are open. Close one.',
  },
  rate_limited: {
    status: 429,
    code: -32013,
    ...retryAfter(1_000),
    when: 'too many sessions opened or messages sent in a minute; `data.limit`; nothing was created or delivered',
    message:
      'Too many requests in a minute. Wait for data.retryAfterMs milliseconds, or raise the limit in data.limit.',
  },
  browsers_busy: {
    status: 429,
    code: -32013,
    ...retryAfter(5_000),
    when: 'every browser process is in use, and --browser-queue sessions wait for one',
    message: 'Every browser process is in use. Retry in a moment, or raise the limits in data.limit.',
  },
  method_not_allowed: {
    status: 405,
    code: -32600,
    retryable: false,
    when: 'the route exists, but not with this method',
    message:
      'This route does not support this method. The Allow header lists the supported ones. MCP clients open POST /mcp or GET /sse.',
  },
  not_acceptable: {
    status: 406,
    code: -32600,
    retryable: false,
    when: 'the Accept header allows none of the media types that the response may have',
    message: 'The Accept header allows none of the media types that the response may have.',
  },
  gap: {
    status: 410,
    code: -32015,
    retryable: false,
    when: 'events after Last-Event-ID are no longer kept: they are lost, and the client learns it',
    message: 'Events after this Last-Event-ID are no longer kept. Send GET without it to continue with new events.',
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
    message: 'This route requires an upgrade to WebSocket version 13, with Sec-WebSocket-Protocol: mcp.',
  },
  browser_unreachable: {
    status: 502,
    code: -32014,
    retryable: true,
    when: 'the browser of --browser-url, or of the user, does not answer',
    message: 'The browser cannot be reached. Check that it runs with remote debugging at this address.',
  },
  browser_failed: {
    status: 502,
    code: -32014,
    retryable: true,
    when: 'no browser was found, or it did not start',
    message:
      'The browser could not be started. Run `greenroom doctor`, or `greenroom install-browser` if none is installed.',
  },
  setup_failed: {
    status: 500,
    code: -32014,
    retryable: true,
    when: 'the set-up of the session failed in this server or its embedder',
    message: 'The session could not be set up. The log of the server has the cause.',
  },
  setup_timeout: {
    status: 504,
    code: -32014,
    retryable: true,
    when: 'the session was not ready in time; everything that it had opened is closed',
    message: 'The session was not ready in time. Run `greenroom doctor`, then retry.',
  },
  draining: {
    status: 503,
    code: -32010,
    ...retryAfter(1_000),
    when: 'the server is shutting down',
    message: 'The server is shutting down. Retry after data.retryAfterMs milliseconds.',
  },
  internal: {
    status: 500,
    code: -32603,
    retryable: false,
    when: 'an internal error of this server; the log has the details',
    message: 'Internal error of the server. The details are in its log.',
  },
} as const satisfies Record<string, ErrorCatalogueEntry>;
