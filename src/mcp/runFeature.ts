import { DeadlineError, withinDeadline } from '../async.js';
import { ToolError } from '../errors/errors.js';
import { CallClient } from './callClient.js';
import type { FeatureContext } from './definitions.js';
import type { MethodContext, RequestInfo } from './methodContext.js';
import { rpcCodes, RpcError } from './protocol.js';

/** Timeout of an embedder's prompt, resource or completion. */
const featureTimeoutMs = 30_000;

/** Runs an embedder's prompt, resource or completion, with a deadline. A ToolError reaches the client verbatim. */
export async function runFeature<T>(
  server: MethodContext,
  { id, signal: cancelled }: RequestInfo,
  work: (context: FeatureContext) => T | Promise<T>,
): Promise<T> {
  const { session } = server;
  const facts = session.facts();
  const lease = session.requireBrowserLease();
  try {
    return await withinDeadline({ clock: session.clock, ms: featureTimeoutMs, cancelled }, async (signal) =>
      work({ session: facts, browser: lease.current, signal, client: new CallClient(server, id, signal) }),
    );
  } catch (error) {
    if (error instanceof ToolError) throw new RpcError(rpcCodes.internal, error.message);
    if (!(error instanceof DeadlineError)) throw error;
    throw new RpcError(rpcCodes.internal, `The request took longer than ${featureTimeoutMs / 1000} s and was stopped.`);
  }
}
