import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { RemoteRequest } from '../cluster/remoteRequests.js';
import type { ClusterNode } from '../cluster/node.js';
import type { EnqueueResult } from '../cluster/clusterStore.js';
import { Refusal } from '../errors/errors.js';
import { replyIdOf, requireShallow } from '../mcp/protocol.js';
import { toPrincipal } from '../tenancy/auth.js';
import type { Caller } from '../tenancy/principal.js';
import { namesStatelessVersion } from './repeatedHeaders.js';
import type { OpenResponses } from './openResponses.js';
import { sendRefusal } from './sendRefusal.js';
import { requestIdOf } from './requestContext.js';
import { cutAtExpiry } from './tokenExpiry.js';
import { bodyOf, type AsyncRequestListener, type MountedRequest, type TransportDeps } from './transport.js';

export interface ForwardingDeps extends Pick<TransportDeps, 'registry' | 'admit' | 'bodyLimit' | 'bodyMemory'> {
  /** Absent with a single node. */
  readonly node?: ClusterNode | undefined;
  readonly openResponses: OpenResponses;
  readonly clock: Clock;
}

/**
 * Forwards a request for a session of another node to that node and streams the response back. A request for a session of
 * this node, or for none, goes to `localListener`, and so does one whose body `opensSession`, whatever id it names.
 *
 * ```
 *  client            this node                                            owner
 *    request ───────▶ admit ▶ read the body ▶ is the session remote?
 *                     write the request into a tunnel ▶ send ────────────▶ its routes serve it
 *    response ◀────── head, then body, in pieces ◀──────────────────────── response
 *                     refusal if the owner is lost: node_lost
 * ```
 */
export function forwardIfRemote(
  deps: ForwardingDeps,
  sessionIdOf: (request: IncomingMessage) => string,
  localListener: AsyncRequestListener,
  opensSession: (body: unknown) => boolean = () => false,
): AsyncRequestListener {
  const { registry, admit, node, openResponses, clock } = deps;
  if (node === undefined) return localListener;
  return async (request, response) => {
    const sessionId = sessionIdOf(request);
    if (sessionId === '' || !(await tryForward(request, response, sessionId))) await localListener(request, response);
  };

  /** A session that closed here because of a handoff counts as remote. */
  function isRemote(sessionId: string): boolean {
    const session = registry.peek(sessionId);
    return session === undefined || (session.state === 'closed' && node?.ownership.isHandedOff(sessionId) === true);
  }

  /** False: the local listener must answer. */
  async function tryForward(request: MountedRequest, response: ServerResponse, sessionId: string): Promise<boolean> {
    // A refused caller gets its refusal from the local listener.
    const caller = await admit(request, 'message').catch(() => undefined);
    if (caller === undefined) return false;
    const body = request.method === 'POST' ? await bodyOf(deps, request, caller) : undefined;
    // The body is serialized again for the other node.
    requireShallow(body);
    // The convention of body parsers: the local listener reads the body from here.
    Object.assign(request, { body });
    if (opensSession(body)) return false;
    // Checked after every await: the session may have been handed off meanwhile.
    if (!isRemote(sessionId)) return false;
    // Tracked here: the owning node does not know the token.
    openResponses.track(caller, response);
    if (request.method === 'GET') cutAtExpiry(caller, response, clock);
    return forwardToOwner({ registry, node }, { sessionId, caller, request, response, body });
  }
}

interface ForwardedRequest extends ProxiedRequest {
  readonly sessionId: string;
  /** The admitted caller. */
  readonly caller: Caller;
}

/** Forwards a request to the owner of a session and relays the response. False: no owner, and nothing was written. */
export async function forwardToOwner(
  { registry, node }: Pick<ForwardingDeps, 'registry' | 'node'>,
  forwarded: ForwardedRequest,
): Promise<boolean> {
  const { sessionId, caller, response, body } = forwarded;
  if (node === undefined) return false;
  try {
    // A draining node may exit before the reply.
    if (node.ownership.isHandingOff) throw new Refusal('draining');
    const remoteRequest = node.openRemoteRequest(sessionId, caller);
    const { written, head } = writeRequest(remoteRequest, forwarded);
    await written;
    const outcome = await remoteRequest.send();
    if (outcome.kind === 'owned') {
      relayResponse(await head, response, remoteRequest);
      return true;
    }
    remoteRequest.tunnel.destroy();
    if (outcome.kind === 'closed') registry.addTombstone(sessionId, outcome.principal, outcome.closedBecause);
    throwIfBusy(outcome);
    return false;
  } catch (error) {
    const refusal = error instanceof Refusal ? error : new Refusal('node_lost', {}, { cause: error });
    // The owner ended the session meanwhile: without sessions that is a failure of the call, which is answered here.
    const { closedBecause } = refusal.data;
    if (closedBecause !== undefined && namesStatelessVersion(forwarded.request)) {
      registry.addTombstone(sessionId, toPrincipal(caller), closedBecause);
      return false;
    }
    if (!response.destroyed) sendRefusal(response, refusal, replyIdOf(body));
    return true;
  }
}

interface ProxiedRequest {
  readonly request: MountedRequest;
  readonly response: ServerResponse;
  /** Undefined for a request without a body. */
  readonly body: unknown;
  /** The path at the other node. Default: that of `request`. */
  readonly path?: string;
}

function throwIfBusy({ kind }: EnqueueResult): void {
  if (kind === 'not_ready') throw new Refusal('not_ready', { state: 'tools-registered' });
  if (kind === 'full') throw new Refusal('queue_full', { limit: 'the inbox of the node that owns this session' });
}

/** Writes the client's request into the tunnel. */
function writeRequest({ tunnel }: RemoteRequest, proxied: ProxiedRequest) {
  const { request, response, body, path = request.url } = proxied;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const { method } = request;
  const headers = forwardedHeaders(proxied, text);
  const outgoing = httpRequest({ createConnection: () => tunnel, method, path, headers });
  response.once('close', () => tunnel.destroy());
  const head = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).once('error', reject);
  });
  // Without an owner there is no response: the tunnel is destroyed, and nothing awaits `head`.
  head.catch(() => undefined);
  const written = once(outgoing, 'finish');
  outgoing.end(text);
  return { written, head };
}

/** Headers of a single connection (RFC 9110, section 7.6.1). */
const hopByHopHeaders = ['connection', 'keep-alive', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'date'];

function forwardedHeaders({ request, response }: ProxiedRequest, text: string | undefined): OutgoingHttpHeaders {
  const { 'content-length': _length, ...rest } = withoutHopByHop(request.headers);
  const requestId = requestIdOf(response);
  return {
    ...rest,
    connection: 'close',
    ...(requestId !== undefined && { 'x-request-id': requestId }),
    ...(text !== undefined && { 'content-length': Buffer.byteLength(text) }),
  };
}

function withoutHopByHop(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHopHeaders.includes(name)));
}

function relayResponse(incoming: IncomingMessage, response: ServerResponse, { finish }: RemoteRequest): void {
  response.writeHead(incoming.statusCode ?? 502, withoutHopByHop(incoming.headers));
  response.flushHeaders();
  // The client retries, as after any broken connection.
  incoming.once('error', () => response.destroy());
  incoming.once('end', finish);
  incoming.pipe(response);
}
