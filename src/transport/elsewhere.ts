import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import type { Asking } from '../cluster/asked.js';
import type { ClusterNode } from '../cluster/node.js';
import type { Offered } from '../cluster/store.js';
import { Refusal } from '../errors.js';
import { idOf, requireShallow } from '../mcp/protocol.js';
import type { Caller } from '../tenancy/principal.js';
import type { OpenAnswers } from './openAnswers.js';
import { sendRefusal } from './refuse.js';
import { requestIdOf } from './requestId.js';
import { cutAtExpiry } from './tokenExpiry.js';
import { bodyOf, type Listener, type Mounted, type TransportDeps } from './transport.js';

export interface ElsewhereDeps extends Pick<TransportDeps, 'registry' | 'admit' | 'bodyLimit' | 'bodyMemory'> {
  /** Absent: there is one node, this one. */
  readonly node?: ClusterNode | undefined;
  readonly answers: OpenAnswers;
  readonly clock: Clock;
}

/**
 * Hands a request for a session of another node to that node and its answer to the client, as it comes. What is for a
 * session of this node, or for none, is `here`'s: it answers as if there were one node.
 */
export function orElsewhere(
  deps: ElsewhereDeps,
  sessionIdOf: (request: IncomingMessage) => string,
  here: Listener,
): Listener {
  const { registry, admit, node, answers, clock } = deps;
  if (node === undefined) return here;
  return async (request, response) => {
    const sessionId = sessionIdOf(request);
    if (sessionId === '' || !(await pass(request, response, sessionId))) await here(request, response);
  };

  /** What ends here because others go on with it is theirs already. */
  function isElsewhere(sessionId: string): boolean {
    const session = registry.peek(sessionId);
    return session === undefined || (session.state === 'closed' && node?.tenures.goesOn(sessionId) === true);
  }

  /** False if `here` is to answer. */
  async function pass(request: Mounted, response: ServerResponse, sessionId: string): Promise<boolean> {
    // Who is not let in hears so from `here`, in its turn.
    const caller = await admit(request, 'message').catch(() => undefined);
    if (caller === undefined) return false;
    const body = request.method === 'POST' ? await bodyOf(deps, request, caller) : undefined;
    // It is written again for the other node.
    requireShallow(body);
    // As a body reader leaves it, for whoever answers in the end.
    Object.assign(request, { body });
    // Looked for after all waiting: meanwhile it may have been left to the others.
    if (!isElsewhere(sessionId)) return false;
    // The node of the session does not know the token.
    answers.add(caller, response);
    if (request.method === 'GET') cutAtExpiry(caller, response, clock);
    return passOn({ registry, node }, { sessionId, caller, request, response, body });
  }
}

interface Passed extends Said {
  readonly sessionId: string;
  /** Who was let in. */
  readonly caller: Caller;
}

/** Hands a request to the node of a session, and relays the answer. False if none has it: then nothing was answered. */
export async function passOn(
  { registry, node }: Pick<ElsewhereDeps, 'registry' | 'node'>,
  passed: Passed,
): Promise<boolean> {
  const { sessionId, caller, response, body } = passed;
  if (node === undefined) return false;
  try {
    // Who leaves may not be there any more when the answer comes.
    if (node.tenures.isLeaving) throw new Refusal('draining');
    const asking = node.ask(sessionId, caller);
    const { said, head } = ask(asking, passed);
    await said;
    const offered = await asking.send();
    if (offered.is === 'owned') {
      relay(await head, response, asking);
      return true;
    }
    asking.tunnel.destroy();
    if (offered.is === 'closed') registry.remember(sessionId, offered.principal, offered.because);
    refuseBusy(offered);
    return false;
  } catch (error) {
    const refusal = error instanceof Refusal ? error : new Refusal('node_lost', {}, { cause: error });
    if (!response.destroyed) sendRefusal(response, refusal, idOf(body));
    return true;
  }
}

interface Said {
  readonly request: Mounted;
  readonly response: ServerResponse;
  /** Undefined: the request has none. */
  readonly body: unknown;
  /** What to ask the other node for. Default: what was asked for here. */
  readonly path?: string;
}

function refuseBusy({ is }: Offered): void {
  if (is === 'not_ready') throw new Refusal('not_ready', { state: 'tools-registered' });
  if (is === 'full') throw new Refusal('queue_full', { limit: 'what waits for the node of this session' });
}

/** Says to the tunnel what the client said. */
function ask({ tunnel }: Asking, said: Said) {
  const { request, response, body, path = request.url } = said;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const { method } = request;
  const headers = headersOf(said, text);
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
const hopByHop = ['connection', 'keep-alive', 'transfer-encoding', 'te', 'trailer', 'upgrade', 'expect', 'date'];

function headersOf({ request, response }: Said, text: string | undefined): OutgoingHttpHeaders {
  const { 'content-length': _length, ...rest } = withoutHops(request.headers);
  const requestId = requestIdOf(response);
  return {
    ...rest,
    connection: 'close',
    ...(requestId !== undefined && { 'x-request-id': requestId }),
    ...(text !== undefined && { 'content-length': Buffer.byteLength(text) }),
  };
}

function withoutHops(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.includes(name)));
}

function relay(answer: IncomingMessage, response: ServerResponse, { finish }: Asking): void {
  response.writeHead(answer.statusCode ?? 502, withoutHops(answer.headers));
  response.flushHeaders();
  // A client that loses it here comes again, as after any broken connection.
  answer.once('error', () => response.destroy());
  answer.once('end', finish);
  answer.pipe(response);
}
