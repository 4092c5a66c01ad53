import type { SettledRequest } from '../../machines/events.js';
import { Refusal } from '../errors/errors.js';
import { isStateless, readEnvelope } from '../mcp/envelope.js';
import { shownId, type JSONRPCMessage, type JSONRPCRequest, type RequestId } from '../mcp/protocol.js';
import { describeRequest } from '../mcp/requests.js';
import { StatelessRequest } from '../mcp/stateless.js';
import { isServed, listenMethod, statelessCapabilities } from '../mcp/statelessMethods.js';
import type { Session } from '../session/session.js';
import { statelessOptions, type StatelessDeps } from './statelessOptions.js';
import type { ListenRequest, ListenSink, Subscriptions } from './subscriptions.js';
import type { ConnectionTransport } from './transport.js';

interface StatelessPipeDeps extends StatelessDeps {
  readonly subscriptions: Subscriptions;
}

/** A pipe has no headers: the envelope alone says what a message is. */
const noHeaders = { method: undefined, hasSession: false };

/**
 * Serves requests of revision 2026-07-28 over the connection of a session of an earlier one, so that a client may ask
 * `server/discover` first and then speak either. They open and name browsers as over HTTP; the chart of the session counts
 * them, so that the connection stays open while they come. Called once for a connection, before it is announced.
 */
export function serveStatelessOver(deps: StatelessPipeDeps, session: Session, channel: ConnectionTransport): void {
  const { onmessage: receive } = channel;
  const running = new Map<RequestId, Pick<StatelessRequest, 'cancel'>>();
  let hasBegun = false;
  const begin = (): void => {
    session.actor.send({ type: 'message.received', kind: hasBegun ? 'request' : 'initialize' });
    hasBegun = true;
  };
  const settle = (request: SettledRequest): void => session.actor.send({ type: 'request.settled', request });

  const serve = async (message: JSONRPCRequest): Promise<void> => {
    const { run, user, envelope } = createRun(deps, session, { message, write: (sent) => channel.deliver(sent) });
    if (running.has(message.id))
      throw new Refusal('invalid_message', { detail: `The id ${shownId(message.id)} is still in flight.` });
    if (session.checkOpen().hasTag('draining')) throw new Refusal('draining');
    running.set(message.id, run);
    begin();
    const startedAt = deps.clock.now();
    let outcome: SettledRequest['outcome'] = 'failed';
    try {
      if (message.method === listenMethod) {
        const capabilities = statelessCapabilities(run);
        const onOpen = (cancel: () => void): void => void running.set(message.id, { cancel });
        const request = { message, user, capabilities, takesTasks: envelope.takesTasks };
        await listenOver({ subscriptions: deps.subscriptions, channel, onOpen }, request);
        outcome = 'ok';
        return;
      }
      await run.readInput();
      const answer = await run.run();
      outcome = answer === null ? 'cancelled' : 'result' in answer ? 'ok' : 'failed';
      if (answer !== null) channel.deliver(answer);
    } finally {
      running.delete(message.id);
      settle({ ...describeRequest(message), outcome, durationMs: deps.clock.now() - startedAt });
    }
  };

  channel.onmessage = (message) => {
    if ('method' in message && message.method === 'notifications/cancelled') {
      const run = running.get(message.params?.['requestId'] as RequestId);
      run?.cancel(new Error('The client cancelled this request.'));
      if (run !== undefined) return;
    }
    if (!isStateless(message, noHeaders)) return receive?.(message);
    if ('method' in message && 'id' in message) return serve(message);
  };
  void session.closed.then(() => {
    for (const run of running.values()) run.cancel(new Error('The connection is closed.'));
  });
}

interface Listening extends Pick<StatelessPipeDeps, 'subscriptions'> {
  readonly channel: Pick<ConnectionTransport, 'deliver'>;
  /** Called with what ends the stream for its client. */
  onOpen(this: void, cancel: () => void): void;
}

/** Resolves when the stream has ended: the client cancels it, the server drains, or the connection closes. */
const listenOver = (
  { subscriptions, channel, onOpen }: Listening,
  request: Omit<ListenRequest, 'sink'>,
): Promise<void> =>
  new Promise((resolve, reject) => {
    const sink: ListenSink = {
      open: (drop) => {
        onOpen(() => {
          drop();
          resolve();
        });
        return true;
      },
      send: (message) => channel.deliver(message),
      end: resolve,
    };
    subscriptions.listen({ ...request, sink }).catch(reject);
  });

interface PipedRequest {
  readonly message: JSONRPCRequest;
  write(this: void, message: JSONRPCMessage): void;
}

/** Throws the refusals that precede a request. */
function createRun(deps: StatelessDeps, session: Session, { message, write }: PipedRequest) {
  const envelope = readEnvelope(message, noHeaders);
  const { principal, toolSet, id: sessionId } = session;
  const options = statelessOptions(deps, {
    ...{ caller: principal, envelope, choices: { toolSet }, sessionId, write },
    admitOpening: () => Promise.resolve(),
  });
  const run = new StatelessRequest(message, envelope, options);
  if (!isServed(run, message.method))
    throw new Refusal('unknown_method', { detail: `Method not found: ${message.method}` });
  return { run, envelope, user: options.owner };
}
