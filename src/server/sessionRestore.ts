import { z } from 'zod';
import type { Directory } from '../cluster/ownership.js';
import type { EventLog } from '../cluster/eventLog.js';
import type { ClusterNodeDeps } from '../cluster/node.js';
import type { Clock } from '../clock.js';
import { catalogue, messageOf, Refusal } from '../errors/errors.js';
import type { Changes } from '../mcp/changes.js';
import { parseMessageText } from '../mcp/messageText.js';
import type { ResponseMemory } from '../mcp/responseMemory.js';
import type { SessionDeps } from '../session/sessionDeps.js';
import type { SessionRegistry } from '../session/registry.js';
import { HandleChannel, publishTo } from '../session/browserHandles.js';
import { parseSnapshot, type SessionSnapshot } from '../session/persistence.js';
import { principalKey } from '../tenancy/principal.js';
import type { Users } from '../tenancy/users.js';
import { withBrowserTools, type ToolSet } from '../tools/catalogue.js';
import { StreamableHttpTransport, type StoredStreams } from '../transport/streamableHttp.js';
import { openMemory } from '../transport/transport.js';
import { bindStreamableTransport } from '../transport/streamableHttpRoutes.js';
import { registerOwnership } from './sessionParts.js';

export interface RestoreDeps {
  readonly registry: SessionRegistry;
  readonly parts: SessionDeps;
  readonly directory: Directory;
  readonly eventLog: EventLog;
  readonly users: Users;
  readonly clock: Clock;
  readonly responseMemory: ResponseMemory;
  readonly changes: Changes;
  selectTools(groups: string | null): ToolSet;
}

const requestIdSchema = z.union([z.string(), z.number()]);
const responseSchema = z.object({ id: requestIdSchema, method: z.undefined().optional() });
const storedStreamSchema = z.object({ id: z.string(), isWhole: z.boolean() });
const storedStreamsSchema = z.object({
  standalone: storedStreamSchema,
  asked: z.array(storedStreamSchema.extend({ answersOnly: z.boolean(), requests: z.array(requestIdSchema) })),
});

/** Drops requests whose responses are in the event log: a response may have been logged after the snapshot was taken. */
async function withoutAnsweredRequests(sessionId: string, stored: unknown, log: EventLog): Promise<StoredStreams> {
  const { standalone, asked: postStreams } = storedStreamsSchema.parse(stored);
  const unanswered = postStreams.map(async (storedStream) => {
    if (storedStream.requests.length === 0) return storedStream;
    const { events } = await log.replayAfter({ sessionId, streamId: storedStream.id }, null);
    const sent = events.map(
      ({ data }) => responseSchema.safeParse(data === '' ? null : parseMessageText(data)).data?.id,
    );
    return { ...storedStream, requests: storedStream.requests.filter((id) => !sent.includes(id)) };
  });
  return { standalone, asked: await Promise.all(unanswered) };
}

/**
 * Restores a session of a node that is gone: same id, streams, tools and user, and the same browser if it does not run on
 * that node. Requests in flight are answered with `node_lost`. The session waits for its client, as after a lost stream.
 * The function that it returns resolves with false if the session cannot be restored, and rejects if it may be later.
 */
export function createSessionRestorer(deps: RestoreDeps): ClusterNodeDeps['restoreSession'] {
  const { registry, parts, directory, eventLog, users, clock, selectTools } = deps;
  const restore = async (sessionId: string, text: string): Promise<void> => {
    const stored = parseSnapshot(text);
    const { principal, groups } = stored;
    if (!(await users.isTokenValid(principal))) throw new Error('The token of the session was revoked.');
    const memory = openMemory(deps, { principal });
    const streams = stored.channel === null ? null : await withoutAnsweredRequests(sessionId, stored.channel, eventLog);
    const channel =
      streams === null
        ? new HandleChannel(memory, publishTo(deps.changes, principalKey(principal)))
        : new StreamableHttpTransport({ clock, eventLog, memory });
    const unanswered = channel instanceof HandleChannel || streams === null ? [] : channel.restore(sessionId, streams);
    const request = {
      principal,
      toolSet: stored.channel === null ? withBrowserTools(selectTools(groups ?? null)) : selectTools(groups ?? null),
      channel,
      ...choicesOf(stored),
    };
    const session = registry.restore(parts, sessionId, request, stored);
    session.useUrlLists(principal.credentialId === undefined ? undefined : await users.urlListsOf(principal.user));
    if (channel instanceof StreamableHttpTransport) {
      bindStreamableTransport(session, channel, parts.log);
      // Starts the resume grace again.
      session.detach('client-closed');
      for (const id of unanswered) channel.deliver(new Refusal('node_lost').toJsonRpc(id), id);
    }
    registerOwnership(session, directory);
  };
  return async (sessionId, text) => {
    try {
      await restore(sessionId, text);
      return true;
    } catch (error) {
      // The session can still be restored later, or by another node.
      if (error instanceof Refusal && catalogue[error.reason].retryable) throw error;
      parts.log.warn('session restore failed', { session: sessionId.slice(0, 8), error: messageOf(error) });
      return false;
    }
  };
}

/** The choices of the client when it opened the session. */
const choicesOf = ({ groups, profile, browserUrl, isolation }: SessionSnapshot) => ({
  ...(groups !== undefined && { groups }),
  ...(profile !== undefined && { profile }),
  ...(browserUrl !== undefined && { browserUrl }),
  ...(isolation !== undefined && { isolation }),
});
