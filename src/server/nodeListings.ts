import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { SessionRow } from '../inspector/wire.js';
import type { Session } from '../session/session.js';
import type { UserUsage } from '../session/userQuotas.js';
import type { Clock } from '../clock.js';
import { Roster } from '../cluster/roster.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { SessionRegistry } from '../session/registry.js';

const listedSessionSchema = z.object({
  /** The name of its node (`--node-id`), if there are many nodes. */
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
  /** What the server keeps for its client, at most `--session-memory`. Absent: from an older version. */
  keptBytes: z.number().exactOptional(),
});

const usageSchema = z.object({
  user: z.string(),
  sessions: z.number(),
  processes: z.number(),
  browserMs: z.number(),
  memoryBytes: z.number(),
  keptBytes: z.number(),
  downloadBytes: z.number(),
  diskBytes: z.number(),
  quotas: z.record(z.string(), z.number()),
});

const nodeListingSchema = z.object({
  /** The name of the node (`--node-id`); need not be unique. */
  node: z.string(),
  sessions: z.array(listedSessionSchema),
  warm: z.number(),
  /** What its users use. */
  usage: z.array(usageSchema).default([]),
  /** The rows of the inspector's table. Written only by this program, in this or another version. */
  rows: z.array(z.custom<SessionRow>((row) => typeof row === 'object' && row !== null)),
});

/** One session in the answer of `GET /api/sessions`. */
export type ListedSession = z.infer<typeof listedSessionSchema>;

/** The sessions that one node publishes to the others, oldest first. */
export type NodeListing = z.infer<typeof nodeListingSchema>;

/** Parses the listing of a node; undefined if it is damaged, or if another version wrote it in another format. */
export function parseNodeListing(text: string): NodeListing | undefined {
  try {
    return nodeListingSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

export function toListedSession(session: Session, node: string | undefined): ListedSession {
  const { keptBytes } = session.memory;
  const { createdAt, toolCalls: calls, browserState: browser, ...facts } = session.facts();
  return {
    ...(node !== undefined && { node }),
    ...facts,
    createdAt: createdAt.toISOString(),
    browser,
    calls,
    keptBytes,
  };
}

export interface RosterSetup {
  readonly config: Pick<Config, 'nodeId' | 'nodeLease'>;
  readonly store: ClusterStore;
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly log: Log;
  /** The inspector's table of this node. */
  rows(): SessionRow[];
  /** What the users of this node use. */
  usage(): readonly UserUsage[];
}

/** The roster that publishes the listing of this node. Owned by the cluster, which starts it after the node has joined. */
export function createRoster({ config, store, registry, clock, log, rows, usage }: RosterSetup): Roster {
  const { nodeId, nodeLease: leaseMs } = config;
  const describe = (): string => {
    const sessions = registry.list().map((session) => toListedSession(session, nodeId));
    const [warm, users] = [registry.warm().length, [...usage()]];
    return JSON.stringify({ node: nodeId, sessions, warm, usage: users, rows: rows() } satisfies NodeListing);
  };
  const onPublishFailed = (error: unknown): void => log.debug('roster publish failed', { error: messageOf(error) });
  const node = `${nodeId}.${randomBytes(6).toString('base64url')}`;
  return new Roster({ store: store.server.rosters, node, leaseMs, clock, describe, onPublishFailed });
}
