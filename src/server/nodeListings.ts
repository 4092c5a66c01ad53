import { z } from 'zod';
import type { SessionRow } from '../inspector/wire.js';
import type { Session } from '../session/session.js';

const listedSessionSchema = z.object({
  /** What operators call the node that it is at, if there are many. */
  node: z.string().exactOptional(),
  id: z.string(),
  user: z.string(),
  transport: z.string(),
  state: z.string(),
  client: z.object({ name: z.string(), version: z.string() }).nullable(),
  protocolVersion: z.string().nullable(),
  lease: z.enum(['eager', 'lazy']),
  createdAt: z.iso.datetime(),
  browser: z.string(),
  calls: z.number(),
});

const nodeListingSchema = z.object({
  /** What operators call it; need not be unique. */
  node: z.string(),
  sessions: z.array(listedSessionSchema),
  warm: z.number(),
  /** Of the inspector's table. Written by this program alone, or by a later version of it. */
  rows: z.array(z.custom<SessionRow>((row) => typeof row === 'object' && row !== null)),
});

/** One session, as operators are told of it. */
export type ListedSession = z.infer<typeof listedSessionSchema>;

/** What one node tells the others of its sessions, oldest first. */
export type NodeListing = z.infer<typeof nodeListingSchema>;

/** What a node told; undefined if it is of a version that says it otherwise. */
export function parseNodeListing(text: string): NodeListing | undefined {
  return nodeListingSchema.safeParse(JSON.parse(text)).data;
}

export function toListedSession(session: Session, node: string | undefined): ListedSession {
  const { createdAt, toolCalls: calls, browserState: browser, ...facts } = session.facts();
  return { ...(node !== undefined && { node }), ...facts, createdAt: createdAt.toISOString(), browser, calls };
}
