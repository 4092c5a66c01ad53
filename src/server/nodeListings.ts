import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { SessionRow } from '../inspector/wire.js';
import type { Session } from '../session/session.js';
import { userUsageSchema, type UserUsage } from '../session/userQuotas.js';
import type { Clock } from '../clock.js';
import { Roster } from '../cluster/roster.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { Log } from '../log.js';
import { addressesIn } from '../session/browserHandles.js';
import type { SessionRegistry } from '../session/registry.js';
import { principalKey, type Caller } from '../tenancy/principal.js';
import { cutText } from '../text.js';
import type { UserBrowser } from '../tools/defineTool.js';

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

/** The part of a session's listing that only its owner sees. */
const listedBrowserSchema = z.object({ id: z.string(), owner: z.string(), pages: z.array(z.string()) });

const nodeListingSchema = z.object({
  /** The name of the node (`--node-id`); need not be unique. */
  node: z.string(),
  sessions: z.array(listedSessionSchema),
  browsers: z.array(listedBrowserSchema).default([]),
  warm: z.number(),
  /** What its users use. */
  usage: z.array(userUsageSchema).default([]),
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

/** The browsers of a caller in the listings of other nodes. */
export function browsersIn(listings: readonly NodeListing[], caller: Caller): UserBrowser[] {
  const isOwner = (owner: string): boolean => caller === 'anyone' || owner === principalKey(caller);
  return listings.flatMap(({ sessions, browsers }) =>
    sessions.flatMap(({ id, state, transport, createdAt, calls }) => {
      const browser = browsers.find((candidate) => candidate.id === id);
      if (browser === undefined || !isOwner(browser.owner)) return [];
      const { pages } = browser;
      return [{ id, state, transport, createdAt: new Date(createdAt), toolCalls: calls, pages, isOwn: false }];
    }),
  );
}

/** Of one browser in the listing of its node. */
const maxListedPages = 20;

function toListedBrowser(session: Session): z.infer<typeof listedBrowserSchema> {
  const pages = addressesIn(session).slice(0, maxListedPages);
  return { id: session.id, owner: principalKey(session.principal), pages: pages.map((url) => cutText(url, 300)) };
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
    const browsers = registry.list().map(toListedBrowser);
    const [warm, users] = [registry.warm().length, [...usage()]];
    const listing: NodeListing = { node: nodeId, sessions, browsers, warm, usage: users, rows: rows() };
    return JSON.stringify(listing);
  };
  const onPublishFailed = (error: unknown): void => log.debug('roster publish failed', { error: messageOf(error) });
  const node = `${nodeId}.${randomBytes(6).toString('base64url')}`;
  return new Roster({ store: store.server.rosters, node, leaseMs, clock, describe, onPublishFailed });
}
