import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { RemoteRequest } from '../cluster/remoteRequests.js';
import type { ClusterNode } from '../cluster/node.js';
import type { EnqueueResult } from '../cluster/clusterStore.js';
import { Refusal } from '../errors/errors.js';
import { replyIdOf, requireShallow } from '../mcp/protocol.js';
import type { Caller } from '../tenancy/principal.js';
import type { OpenResponses } from './openResponses.js';
import { sendRefusal } from './sendRefusal.js';
import { requestIdOf } from './requestContext.js';
import { cutAtExpiry } from './tokenExpiry.js';
import { bodyOf, type AsyncRequestListener, type MountedRequest, type TransportDeps } from './transport.js';

export interface ForwardingDeps extends Pick<TransportDeps, 'registry' | 'admit' | 'bodyLimit' | 'bodyMemory'> {
  /** Absent: there is one node, this one. */
  readonly node?: ClusterNode | undefined;
  readonly openResponses: OpenResponses;
  readonly clock: Clock;
}

/**
 * Hands a request for a session of another node to that node and its answer to the client, as it comes. What is for a
 * session of this node, or for none, is `here`'s: it answers as if there were one node.
 */
export function forwardIfRemote(
  deps: ForwardingDeps,
  sessionIdOf: (request: IncomingMessage) => string,
  localListener: AsyncRequestListener,
): AsyncRequestListener {
  const { registry, admit, node, openResponses, clock } = deps;
  if (node === undefined) return localListener;
  return async (request, response) => {
    const sessionId = sessionIdOf(request);
    if (sessionId === '' || !(await tryForward(request, response, sessionId))) await localListener(request, response);
  };

  /** What ends here because others go on with it is theirs already. */
  function isRemote(sessionId: string): boolean {
    const session = registry.peek(sessionId);
    return session === undefined || (session.state === 'closed' && node?.ownership.isHandedOff(sessionId) === true);
  }

  /** False if `here` is to answer. */
  async function tryForward(request: MountedRequest, response: ServerResponse, sessionId: string): Promise<boolean> {
    // Who is not let in hears so from `here`, in its turn.
    const caller = await admit(request, 'message').catch(() => undefined);
    if (caller === undefined) return false;
    const body = request.method === 'POST' ? await bodyOf(deps, request, caller) : undefined;
    // It is written again for the other node.
    requireShallow(body);
    // As a body reader leaves it, for whoever answers in the end.
    Object.assign(request, { body });
    // Looked for after all waiting: meanwhile it may have been left to the others.
    if (!isRemote(sessionId)) return false;
    // The node of the session does not know the token.
    openResponses.track(caller, response);
    if (request.method === 'GET') cutAtExpiry(caller, response, clock);
    return forwardToOwner({ registry, node }, { sessionId, caller, request, response, body });
  }
}

interface ForwardedRequest extends ProxiedRequest {
  readonly sessionId: string;
  /** Who was let in. */
  readonly caller: Caller;
}

/** Hands a request to the node of a session, and relays the answer. False if none has it: then nothing was answered. */
export async function forwardToOwner(
  { registry, node }: Pick<ForwardingDeps, 'registry' | 'node'>,
  forwarded: ForwardedRequest,
): Promise<boolean> {
  const { sessionId, caller, response, body } = forwarded;
  if (node === undefined) return false;
  try {
    // Who leaves may not be there any more when the answer comes.
    if (node.ownership.isHandingOff) throw new Refusal('draining');
    const remoteRequest = node.openRemoteRequest(sessionId, caller);
    const { said, head } = writeRequest(remoteRequest, forwarded);
    await said;
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
    if (!response.destroyed) sendRefusal(response, refusal, replyIdOf(body));
    return true;
  }
}

interface ProxiedRequest {
  readonly request: MountedRequest;
  readonly response: ServerResponse;
  /** Undefined: the request has none. */
  readonly body: unknown;
  /** What to ask the other node for. Default: what was asked for here. */
  readonly path?: string;
}

function throwIfBusy({ kind }: EnqueueResult): void {
  if (kind === 'not_ready') throw new Refusal('not_ready', { state: 'tools-registered' });
  if (kind === 'full') throw new Refusal('queue_full', { limit: 'what waits for the node of this session' });
}

/** Says to the tunnel what the client said. */
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
  // What is not owned is not answered either; the tunnel is destroyed, and nobody waits.
  head.catch(() => undefined);
  const finished = once(outgoing, 'finish');
  outgoing.end(text);
  return { said: finished, head };
}

/** What belongs to one connection and not to the message (RFC 9110, section 7.6.1). */
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
  // A client that loses it here comes again, as after any broken connection.
  incoming.once('error', () => response.destroy());
  incoming.once('end', finish);
  incoming.pipe(response);
}
