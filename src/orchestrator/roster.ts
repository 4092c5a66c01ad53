import { randomBytes } from 'node:crypto';
import { toListedSession, parseNodeListing, type NodeListing } from '../server/nodeListings.js';
import type { Clock } from '../clock.js';
import { Roster } from '../cluster/roster.js';
import type { ClusterStore } from '../cluster/clusterStore.js';
import type { Config } from '../config/config.js';
import { messageOf } from '../errors/errors.js';
import type { SessionRow } from '../inspector/wire.js';
import type { Log } from '../log.js';
import type { SessionRegistry } from '../session/registry.js';

export interface CreateRosterDeps {
  readonly config: Pick<Config, 'nodeId' | 'nodeLease'>;
  readonly store: ClusterStore | undefined;
  readonly registry: SessionRegistry;
  readonly clock: Clock;
  readonly log: Log;
  /** The inspector's table of this node. */
  rows(): SessionRow[];
}

/** The sessions of the other nodes; of none if there is one node. */
export interface ClusterRoster {
  /** What operators call this node; undefined if there is one. */
  readonly nodeName: string | undefined;
  /** Tells the others of this one. Owned by the node. */
  readonly roster: Roster | undefined;
  /** What the others told last. Never rejects. */
  otherNodeListings(): Promise<readonly NodeListing[]>;
}

/** What the nodes tell each other of their sessions. Nothing is told until the node has joined. */
export function createRoster({ config, store, registry, clock, log, rows }: CreateRosterDeps): ClusterRoster {
  if (store === undefined) return { nodeName: undefined, roster: undefined, otherNodeListings: () => Promise.resolve([]) };
  const { nodeId, nodeLease: leaseMs } = config;
  const describe = (): string => {
    const sessions = registry.list().map((session) => toListedSession(session, nodeId));
    return JSON.stringify({ node: nodeId, sessions, warm: registry.warm().length, rows: rows() } satisfies NodeListing);
  };
  const onPublishFailed = (error: unknown): void => log.debug('the other nodes cannot be told', { error: messageOf(error) });
  const node = `${nodeId}.${randomBytes(6).toString('base64url')}`;
  const roster = new Roster({ store: store.server.rosters, node, leaseMs, clock, describe, onPublishFailed });
  const otherNodeListings = async (): Promise<readonly NodeListing[]> =>
    (await roster.readOthers()).map(parseNodeListing).filter((listing) => listing !== undefined);
  return { nodeName: nodeId, roster, otherNodeListings };
}
