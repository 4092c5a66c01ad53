import type {
  FencedEventLog,
  Inbox,
  NodeLeases,
  SessionDirectory,
  SnapshotStore,
  ClusterStore,
} from '../../src/cluster/clusterStore.js';

/** Parts that do something else. */
export interface StoreOverrides {
  readonly events?: Partial<FencedEventLog>;
  readonly inbox?: Partial<Inbox>;
  readonly nodes?: Partial<NodeLeases>;
  readonly directory?: Partial<SessionDirectory>;
  readonly snapshots?: Partial<SnapshotStore>;
}

/** A store with some of its parts changed. */
export const withOverrides = (
  store: ClusterStore,
  { events, inbox, nodes, directory, snapshots }: StoreOverrides,
): ClusterStore => ({
  ...store,
  open: () => store.open(),
  close: () => store.close(),
  events: {
    append: (...given) => events?.append?.(...given) ?? store.events.append(...given),
    after: (...given) => store.events.after(...given),
    forget: (...given) => store.events.forget(...given),
  },
  inbox: { ...store.inbox, ...inbox },
  nodes: { ...store.nodes, ...nodes },
  directory: { ...store.directory, ...directory },
  snapshots: { ...store.snapshots, ...snapshots },
});

export const unreachable = (): Promise<never> => Promise.reject(new Error('The store cannot be reached.'));
