export type ResourceKind = 'processes' | 'profiles' | 'connections' | 'contexts' | 'pages';

export interface ResourceCount {
  opened: number;
  closed: number;
}

/**
 * Counts of opened and closed resources since the pool was opened. Owned by the pool. Once everything is released,
 * opened equals closed (S5).
 */
export type ResourceLedger = Readonly<Record<ResourceKind, ResourceCount>>;

export function createResourceLedger(): ResourceLedger {
  const entry = (): ResourceCount => ({ opened: 0, closed: 0 });
  return { processes: entry(), profiles: entry(), connections: entry(), contexts: entry(), pages: entry() };
}
