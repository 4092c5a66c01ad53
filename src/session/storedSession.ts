import type { Snapshot } from 'xstate';
import { z } from 'zod';
import type { Address } from '../browser/lease/lease.js';
import { logLevels } from '../tools/client.js';
import type { Session } from './session.js';

const actor = z.looseObject({
  status: z.literal('active'),
  context: z.looseObject({ browser: z.string() }),
  children: z.record(z.string(), z.unknown()),
});

/** What a session can be restored from at another node: the state of its actor, and what its client told it. */
const storedSession = z.object({
  actor,
  principal: z.object({ issuer: z.string(), user: z.string(), credentialId: z.string().exactOptional() }),
  /** As `?tools=` asked for them. */
  groups: z.string().exactOptional(),
  browserUrl: z.string().exactOptional(),
  /** Where its pages are; null if it had no browser yet. */
  browser: z.custom<Address>().nullable(),
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

export type StoredSession = z.infer<typeof storedSession>;

export const readStored = (text: string): StoredSession => storedSession.parse(JSON.parse(text));

/** Keeps a session as it is after each change that its actor makes, until it is closed. */
export function keepStored(session: Session, keep: (stored: string) => void): void {
  let isDue = false;
  const put = (): void => {
    isDue = false;
    if (session.actor.getSnapshot().status === 'active') keep(JSON.stringify(storedOf(session)));
  };
  const changed = (): void => {
    if (isDue) return;
    isDue = true;
    // Once for all that this turn changes.
    queueMicrotask(put);
  };
  changed();
  // Of a failure the session itself tells.
  session.actor.subscribe({ next: changed, error: () => undefined });
}

function storedOf(session: Session): unknown {
  const { actor, principal, server, channel, createdAt, browserUrl, groups, browserLease } = session;
  return {
    ...{ actor: actor.getPersistedSnapshot(), principal, groups, browserUrl, createdAt },
    ...{ browser: browserLease?.address ?? null },
    ...{ server: server.stored(), channel: channel.stored?.() },
  };
}

/**
 * The state in which a session goes on: detached, with nothing in flight. Its deadlines are armed by the states that it
 * enters next, since a stored timer is none.
 */
export function detachedState({ actor }: StoredSession): Snapshot<unknown> {
  const { browserLease } = actor.children;
  const context = { ...actor.context, attached: false, inFlight: 0, held: 0 };
  const state = { ...actor, context, value: { active: 'detached' }, children: { browserLease } };
  return { ...state, output: undefined, error: undefined };
}
