import type { ActorRefFrom, Snapshot } from 'xstate';
import { z } from 'zod';
import type { sessionMachine } from '../../machines/index.js';
import type { BrowserLease, ResumeState } from '../browser/pool/browserLease.js';
import type { McpServer } from '../mcp/mcpServer.js';
import type { Principal } from '../tenancy/principal.js';
import { logLevels } from '../tools/client.js';
import type { Channel } from './channel.js';

const actorSnapshot = z.looseObject({
  status: z.literal('active'),
  context: z.looseObject({ browser: z.string() }),
  children: z.record(z.string(), z.unknown()),
});

/** What a session can be restored from at another node: the state of its actor, and what its client told it. */
const sessionSnapshot = z.object({
  actor: actorSnapshot,
  principal: z.object({ issuer: z.string(), user: z.string(), credentialId: z.string().exactOptional() }),
  /** As `?tools=` asked for them. */
  groups: z.string().exactOptional(),
  browserUrl: z.string().exactOptional(),
  /** Where its pages are; null if it had no browser yet. */
  browser: z.custom<ResumeState>().nullable(),
  createdAt: z.coerce.date(),
  server: z.object({
    client: z.object({ name: z.string(), version: z.string() }).nullable(),
    clientCapabilities: z.object({
      sampling: z.boolean(),
      samplingTools: z.boolean(),
      forms: z.boolean(),
      urls: z.boolean(),
      roots: z.boolean(),
    }),
    protocolVersion: z.string().nullable(),
    logLevel: z.enum(logLevels),
    toolCalls: z.number(),
    subscriptions: z.array(z.string()),
  }),
  /** The transport's own. */
  channel: z.unknown(),
});

export type SessionSnapshot = z.infer<typeof sessionSnapshot>;

export const parseSnapshot = (text: string): SessionSnapshot => sessionSnapshot.parse(JSON.parse(text));

/** The parts of a session that its snapshot is taken from. */
interface PersistableSession {
  readonly actor: ActorRefFrom<typeof sessionMachine>;
  readonly principal: Principal;
  readonly groups: string | undefined;
  readonly browserUrl: string | undefined;
  readonly createdAt: Date;
  readonly browserLease: BrowserLease | undefined;
  readonly server: McpServer;
  readonly channel: Channel;
}

/** Keeps a session as it is after each change that its actor makes, until it is closed. */
export function persistSnapshots(session: PersistableSession, write: (stored: string) => void): void {
  let isScheduled = false;
  const flush = (): void => {
    isScheduled = false;
    if (session.actor.getSnapshot().status === 'active') write(JSON.stringify(snapshotOf(session)));
  };
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    // Once for all that this turn changes.
    queueMicrotask(flush);
  };
  schedule();
  // Of a failure the session itself tells.
  session.actor.subscribe({ next: schedule, error: () => undefined });
}

function snapshotOf(session: PersistableSession): unknown {
  const { actor, principal, server, channel, createdAt, browserUrl, groups, browserLease } = session;
  return {
    ...{ actor: actor.getPersistedSnapshot(), principal, groups, browserUrl, createdAt },
    ...{ browser: browserLease?.resumeState ?? null },
    ...{ server: server.snapshot(), channel: channel.snapshot?.() },
  };
}

/**
 * The state in which a session goes on: detached, with nothing in flight. Its deadlines are armed by the states that it
 * enters next, since a stored timer is none.
 */
export function detachedSnapshot({ actor }: SessionSnapshot): Snapshot<unknown> {
  const { browserLease } = actor.children;
  const context = { ...actor.context, attached: false, inFlight: 0, held: 0 };
  const state = { ...actor, context, value: { active: 'detached' }, children: { browserLease } };
  return { ...state, output: undefined, error: undefined };
}
