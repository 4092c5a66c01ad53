import { z } from 'zod';
import type { Directory } from '../cluster/directory.js';
import type { EventLog } from '../cluster/eventLog.js';
import type { NodeOptions } from '../cluster/node.js';
import type { Clock } from '../clock.js';
import { catalogue, messageOf, Refusal } from '../errors.js';
import type { SessionParts } from '../session/sessionParts.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';
import { readStored } from '../session/storedSession.js';
import type { Users } from '../tenancy/users.js';
import type { ToolSet } from '../tools/catalogue.js';
import { StreamableHttpTransport, type StoredStreams } from '../transport/streamableHttp.js';
import { tie } from '../transport/streamableHttpRoutes.js';
import { own } from './parts.js';

export interface RestoreGiven {
  readonly registry: SessionRegistry;
  readonly parts: SessionParts;
  readonly directory: Directory;
  readonly eventLog: EventLog;
  readonly users: Users;
  readonly clock: Clock;
  selectTools(groups: string | null): ToolSet;
}

const requestId = z.union([z.string(), z.number()]);
const answer = z.object({ id: requestId, method: z.undefined().optional() });
const stream = z.object({ id: z.string(), isWhole: z.boolean() });
const streams = z.object({
  standalone: stream,
  asked: z.array(stream.extend({ answersOnly: z.boolean(), requests: z.array(requestId) })),
});

/** The log knows best: an answer may have been written down after the rest was kept. */
async function withoutAnswered(sessionId: string, stored: unknown, log: EventLog): Promise<StoredStreams> {
  const { standalone, asked } = streams.parse(stored);
  const left = asked.map(async (one) => {
    if (one.requests.length === 0) return one;
    const { events } = await log.after({ sessionId, streamId: one.id }, null);
    const sent = events.map(({ data }) => answer.safeParse(data === '' ? null : JSON.parse(data)).data?.id);
    return { ...one, requests: one.requests.filter((id) => !sent.includes(id)) };
  });
  return { standalone, asked: await Promise.all(left) };
}

/**
 * Goes on with a session of a node that is gone: the same id, streams, tools and user, the same browser if it is away from
 * the node. What was under way is answered with `node_lost`; the client is waited for as if it had lost its stream.
 */
export function restorer(given: RestoreGiven): NodeOptions['restore'] {
  const { registry, parts, directory, eventLog, users, clock, selectTools } = given;
  const restore = async (sessionId: string, text: string): Promise<void> => {
    const stored = readStored(text);
    const { principal, groups, browserUrl } = stored;
    if (!(await users.stillHolds(principal))) throw new Error('Its token was revoked.');
    const channel = new StreamableHttpTransport({ clock, eventLog });
    const unanswered = channel.restore(sessionId, await withoutAnswered(sessionId, stored.channel, eventLog));
    const optional = { ...(groups !== undefined && { groups }), ...(browserUrl !== undefined && { browserUrl }) };
    const request = { principal, toolSet: selectTools(groups ?? null), channel, ...optional };
    const session = registry.restore(parts, sessionId, request, stored);
    tie(session, channel, parts.log);
    // Detached anew: the time that a client has to come back begins now.
    session.detach('client-closed');
    for (const id of unanswered) channel.deliver(new Refusal('node_lost').toJsonRpc(id), id);
    own(session, directory);
  };
  return async (sessionId, text) => {
    try {
      await restore(sessionId, text);
      return true;
    } catch (error) {
      // Nothing is wrong with the session: it can be gone on with later, or elsewhere.
      if (error instanceof Refusal && catalogue[error.reason].retryable) throw error;
      parts.log.warn('cannot go on with a session', { session: sessionId.slice(0, 8), error: messageOf(error) });
      return false;
    }
  };
}
