import { randomBytes } from 'node:crypto';
import { listSession, readListing, type Listing } from '../app/listing.js';
import type { Clock } from '../clock.js';
import { Roster } from '../cluster/roster.js';
import type { Store } from '../cluster/store.js';
import type { Config } from '../config.js';
import { messageOf } from '../errors.js';
import type { Row } from '../inspector/wire.js';
import type { Log } from '../log.js';
import type { SessionRegistry } from '../session/sessionRegistry.js';

export interface RosterGiven {
  readonly config: Pick<Config, 'nodeId' | 'nodeLease'>;
  readonly store: Store | undefined;
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly log: Log;
  /** The inspector's table of this node. */
  rows(): Row[];
}

/** The sessions of the other nodes; of none if there is one node. */
export interface OtherNodes {
  /** What operators call this node; undefined if there is one. */
  readonly nodeName: string | undefined;
  /** Tells the others of this one. Owned by the node. */
  readonly roster: Roster | undefined;
  /** What the others told last. Never rejects. */
  others(): Promise<readonly Listing[]>;
}

/** What the nodes tell each other of their sessions. Nothing is told until the node has joined. */
export function openRoster({ config, store, registry, clock, log, rows }: RosterGiven): OtherNodes {
  if (store === undefined) return { nodeName: undefined, roster: undefined, others: () => Promise.resolve([]) };
  const { nodeId, nodeLease: leaseMs } = config;
  const read = (): string => {
    const sessions = registry.list().map((session) => listSession(session, nodeId));
    return JSON.stringify({ node: nodeId, sessions, warm: registry.warm().length, rows: rows() } satisfies Listing);
  };
  const failed = (error: unknown): void => log.debug('the other nodes cannot be told', { error: messageOf(error) });
  const node = `${nodeId}.${randomBytes(6).toString('base64url')}`;
  const roster = new Roster({ store: store.server.rosters, node, leaseMs, clock, read, failed });
  const others = async (): Promise<readonly Listing[]> =>
    (await roster.others()).map(readListing).filter((listing) => listing !== undefined);
  return { nodeName: nodeId, roster, others };
}
