import { once } from 'node:events';
import {
  request as httpRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type RequestOptions,
  type ServerResponse,
} from 'node:http';
import type { Clock } from '../clock.js';
import type { RemoteRequest } from '../cluster/remoteRequests.js';
import type { ClusterNode } from '../cluster/node.js';
import type { EnqueueResult } from '../cluster/clusterStore.js';
import { Refusal } from '../errors/errors.js';
import { envelopeOf } from '../mcp/envelope.js';
import type { HandleRequest } from '../mcp/methodContext.js';
import { isObject, parseMessage, replyIdOf, requireShallow, type JSONRPCMessage } from '../mcp/protocol.js';
import type { ElsewhereCall, HandleOwner } from '../session/browserHandles.js';
import { errorOf } from '../session/handleRequests.js';
import { isSessionId } from '../session/registry.js';
import { toPrincipal } from '../tenancy/auth.js';
import type { Caller } from '../tenancy/principal.js';
import { browserIdArgument } from '../tools/browserTools.js';
import { namesStatelessVersion, repeatedIn } from './repeatedHeaders.js';
import type { OpenResponses } from './openResponses.js';
import { sendRefusal } from './sendRefusal.js';
import { requestIdOf } from './requestContext.js';
import { cutAtExpiry } from './tokenExpiry.js';
import { parseJson, readJsonBytes } from './jsonBody.js';
import {
  bodyOf,
  bodyShareOf,
  type AsyncRequestListener,
  type MountedRequest,
  type TransportDeps,
} from './transport.js';

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

  /** By its handle a request is routed before its body is read, and the body is passed on as it came. */
  async function tryForwardBytes(request: MountedRequest, response: ServerResponse, id: string): Promise<boolean> {
    if (!isRemote(id)) return false;
    const caller = await admit(request, 'message').catch(() => undefined);
    if (caller === undefined) return false;
    const bytes = await readJsonBytes(request, deps.bodyLimit, bodyShareOf(deps, caller));
    // Parsed if the local listener reads it.
    Object.defineProperty(request, 'body', { get: () => parseJson(bytes) });
    if (!isRemote(id)) return false;
    openResponses.track(caller, response);
    return forwardToOwner({ registry, node }, { sessionId: id, caller, request, response, body: bytes });
  }

  /** False: the local listener must answer. */
  async function tryForward(request: MountedRequest, response: ServerResponse, sessionId: string): Promise<boolean> {
    if (request.method === 'POST' && !request.readableEnded && namesStatelessVersion(request))
      return tryForwardBytes(request, response, sessionId);
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
  if (node === undefined || !isSessionId(sessionId)) return false;
  try {
    // A draining node may exit before the reply.
    if (node.isLeaving) throw new Refusal('draining');
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
    if (!response.destroyed) sendRefusal(response, refusal, replyIdOf(parsedOf(body)));
    return true;
  }
}

interface ProxiedRequest {
  readonly request: MountedRequest;
  readonly response: ServerResponse;
  /** Undefined for a request without a body; bytes are passed on as they are. */
  readonly body: unknown;
  /** The path at the other node. Default: that of `request`. */
  readonly path?: string;
}

function parsedOf(body: unknown): unknown {
  try {
    return body instanceof Uint8Array ? parseJson(body) : body;
  } catch {
    return undefined;
  }
}

function throwIfBusy({ kind }: EnqueueResult): void {
  if (kind === 'not_ready') throw new Refusal('not_ready', { state: 'tools-registered' });
  if (kind === 'full') throw new Refusal('queue_full', { limit: 'the inbox of the node that owns this session' });
}

/** Writes the client's request into the tunnel. */
function writeRequest({ tunnel }: RemoteRequest, proxied: ProxiedRequest) {
  const { request, response, body, path = request.url } = proxied;
  const text = body === undefined || body instanceof Uint8Array ? body : JSON.stringify(body);
  const { method } = request;
  const headers = forwardedHeaders(proxied, text);
  response.once('close', () => tunnel.destroy());
  return writeThrough(tunnel, { method, path, headers }, text);
}

function writeThrough(tunnel: RemoteRequest['tunnel'], options: RequestOptions, text: string | Uint8Array | undefined) {
  const outgoing = httpRequest({ createConnection: () => tunnel, ...options });
  const head = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve).once('error', reject);
  });
  // Without an owner there is no response: the tunnel is destroyed, and nothing awaits `head`.
  head.catch(() => undefined);
  const written = once(outgoing, 'finish');
  outgoing.end(text);
  return { written, head };
}

/**
 * Calls a tool at the node that holds a browser, for a client whose session is here: as a request of revision 2026-07-28, so
 * that what the tool asks is a result, which is asked of the client over its session. Undefined: no node holds it. Rejects
 * with a Refusal if that node is lost or the browser ends.
 */
export function createElsewhereCalls({ registry, node }: Required<Pick<ForwardingDeps, 'registry' | 'node'>>) {
  return async (owner: HandleOwner, id: string, call: ElsewhereCall): Promise<Record<string, unknown> | undefined> => {
    let answers: Record<string, unknown> = {};
    for (;;) {
      const remote = isSessionId(id) ? node?.openRemoteRequest(id, owner.caller) : undefined;
      if (remote === undefined) return undefined;
      const leave = (): void => void remote.tunnel.destroy();
      call.signal.addEventListener('abort', leave, { once: true });
      try {
        const { written, head } = writeCall(remote, owner, { ...call, params: { ...call.params, ...answers } });
        await written;
        const outcome = await remote.send();
        if (outcome.kind !== 'owned') {
          leave();
          if (outcome.kind === 'closed') registry.addTombstone(id, outcome.principal, outcome.closedBecause);
          throwIfBusy(outcome);
          return undefined;
        }
        const message = await readAnswer(await head, call.sender);
        remote.finish();
        if ('error' in message) throw errorOf(message.error);
        const { resultType, _meta: _server, ...result } = 'result' in message ? message.result : {};
        if (resultType !== 'input_required' || call.sender === undefined) return result;
        answers = await answersOf(result, call.sender);
      } catch (error) {
        call.signal.throwIfAborted();
        throw error;
      } finally {
        call.signal.removeEventListener('abort', leave);
      }
    }
  };
}

function writeCall({ tunnel }: RemoteRequest, owner: HandleOwner, { params, sender }: ElsewhereCall) {
  const meta = isObject(params['_meta']) ? params['_meta'] : {};
  const { arguments: args } = params as { arguments?: { [browserIdArgument]?: string } };
  const envelope = envelopeOf({ ...owner, logLevel: sender?.caller.logLevel ?? null });
  const text = JSON.stringify({
    ...{ jsonrpc: '2.0', id: 'elsewhere', method: 'tools/call' },
    params: { ...params, _meta: { ...meta, ...envelope } },
  });
  const path = owner.groups === undefined ? '/mcp' : `/mcp?tools=${encodeURIComponent(owner.groups)}`;
  const headers = {
    ...{ 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), connection: 'close' },
    ...{ accept: 'application/json, text/event-stream', host: 'localhost' },
    ...repeatedIn({ method: 'tools/call', name: String(params['name']), browserId: args?.[browserIdArgument] ?? '' }),
  };
  return writeThrough(tunnel, { method: 'POST', path, headers }, text);
}

/** Passes on what precedes the answer. Rejects if the node is lost. */
async function readAnswer(response: IncomingMessage, sender: HandleRequest | undefined): Promise<JSONRPCMessage> {
  const isStream = response.headers['content-type'] === 'text/event-stream';
  let last: JSONRPCMessage | undefined;
  const take = (text: string): void => {
    last = parseMessage(JSON.parse(text));
    if ('method' in last) sender?.caller.notify(last.method, last.params ?? {}, sender.request.id);
  };
  let rest = '';
  for await (const chunk of response.setEncoding('utf8')) {
    rest += String(chunk);
    if (!isStream) continue;
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line.startsWith('data: ')) take(line.slice('data: '.length));
  }
  if (!isStream) take(rest);
  if (last === undefined || 'method' in last) throw new Refusal('node_lost');
  return last;
}

/** Asks the client what the tool asks. */
async function answersOf(
  { inputRequests, requestState }: Record<string, unknown>,
  { caller, request }: HandleRequest,
): Promise<Record<string, unknown>> {
  const { id: relatedTo, signal } = request;
  const asked = Object.entries(isObject(inputRequests) ? inputRequests : {}).map(async ([key, question]) => {
    const { method, params } = question as { method: string; params?: Record<string, unknown> };
    return [key, await caller.request({ method, ...(params && { params }), relatedTo, signal, key })];
  });
  return { inputResponses: Object.fromEntries(await Promise.all(asked)), requestState };
}

/** Headers of a single connection (RFC 9110, section 7.6.1). */
const hopByHopHeaders = ['connection', 'keep-alive', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'date'];

function forwardedHeaders(
  { request, response }: ProxiedRequest,
  text: string | Uint8Array | undefined,
): OutgoingHttpHeaders {
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
