import type { ActorRefFrom, Snapshot } from 'xstate';
import { z } from 'zod';
import type { sessionMachine } from '../../machines/index.js';
import type { BrowserLease, ResumeState } from '../browser/pool/browserLease.js';
import type { McpServer } from '../mcp/mcpServer.js';
import { Refusal } from '../errors/errors.js';
import type { Principal } from '../tenancy/principal.js';
import { logLevels } from '../tools/client.js';
import type { Channel } from './channel.js';

const actorSnapshot = z.looseObject({
  status: z.literal('active'),
  context: z.looseObject({ browser: z.string() }),
  children: z.record(z.string(), z.unknown()),
});

const snapshotVersion = 1;

/** The snapshot of a session for another node: actor state, client facts and transport state. */
const sessionSnapshot = z.object({
  /** Raised by a change that an older server would misread. */
  version: z.number().default(snapshotVersion),
  actor: actorSnapshot,
  principal: z.object({ issuer: z.string(), user: z.string(), credentialId: z.string().exactOptional() }),
  /** The value of `?tools=`. */
  groups: z.string().exactOptional(),
  /** What the connection chose of its profile. */
  profile: z.string().exactOptional(),
  browserUrl: z.string().exactOptional(),
  /** The placement of its pages; null without a browser. */
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
  /** Written and read by the transport. */
  channel: z.unknown(),
});

export type SessionSnapshot = z.infer<typeof sessionSnapshot>;

/** Throws `draining` on a snapshot of a newer server: this one leaves the session to a node that can read it. */
export function parseSnapshot(text: string): SessionSnapshot {
  const stored: unknown = JSON.parse(text);
  const { data } = z.object({ version: z.number() }).safeParse(stored);
  if (data !== undefined && data.version > snapshotVersion)
    throw new Refusal('draining', {
      detail: 'The session is of a newer version of the server: another node continues it.',
    });
  return sessionSnapshot.parse(stored);
}

/** The parts of a session that its snapshot is taken from. */
interface PersistableSession {
  readonly actor: ActorRefFrom<typeof sessionMachine>;
  readonly principal: Principal;
  readonly groups: string | undefined;
  readonly profile: string | undefined;
  readonly browserUrl: string | undefined;
  readonly createdAt: Date;
  readonly browserLease: BrowserLease | undefined;
  readonly server: McpServer;
  readonly channel: Channel;
}

/** Writes a snapshot after each change of the actor, until the session is closed. */
export function persistSnapshots(session: PersistableSession, write: (snapshot: string) => void): void {
  let isScheduled = false;
  const flush = (): void => {
    isScheduled = false;
    if (session.actor.getSnapshot().status === 'active') write(JSON.stringify(snapshotOf(session)));
  };
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    // Coalesces the changes of one turn.
    queueMicrotask(flush);
  };
  schedule();
  // The session handles a failure of its actor.
  session.actor.subscribe({ next: schedule, error: () => undefined });
}

function snapshotOf(session: PersistableSession): unknown {
  const { actor, principal, server, channel, createdAt, browserUrl, groups, profile, browserLease } = session;
  return {
    version: snapshotVersion,
    ...{ actor: actor.getPersistedSnapshot(), principal, groups, profile, browserUrl, createdAt },
    ...{ browser: browserLease?.resumeState ?? null },
    ...{ server: server.snapshot(), channel: channel.snapshot?.() },
  };
}

/**
 * The state of a restored session: detached, nothing in flight. Timers are not stored: the states that it enters next start
 * them.
 */
export function detachedSnapshot({ actor }: SessionSnapshot): Snapshot<unknown> {
  const { browserLease } = actor.children;
  const context = { ...actor.context, attached: false, inFlight: 0, held: 0 };
  const state = { ...actor, context, value: { active: 'detached' }, children: { browserLease } };
  return { ...state, output: undefined, error: undefined };
}
