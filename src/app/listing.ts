import { z } from 'zod';
import type { Row } from '../inspector/wire.js';
import type { Session } from '../session/session.js';

const listed = z.object({
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

const listing = z.object({
  /** What operators call it; need not be unique. */
  node: z.string(),
  sessions: z.array(listed),
  warm: z.number(),
  /** Of the inspector's table. Written by this program alone, or by a later version of it. */
  rows: z.array(z.custom<Row>((row) => typeof row === 'object' && row !== null)),
});

/** One session, as operators are told of it. */
export type Listed = z.infer<typeof listed>;

/** What one node tells the others of its sessions, oldest first. */
export type Listing = z.infer<typeof listing>;

/** What a node told; undefined if it is of a version that says it otherwise. */
export function readListing(text: string): Listing | undefined {
  return listing.safeParse(JSON.parse(text)).data;
}

export function listSession(session: Session, node: string | undefined): Listed {
  const { createdAt, toolCalls: calls, browserState: browser, ...facts } = session.facts();
  return { ...(node !== undefined && { node }), ...facts, createdAt: createdAt.toISOString(), browser, calls };
}
