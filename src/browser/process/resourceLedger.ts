export type ResourceKind = 'processes' | 'profiles' | 'connections' | 'contexts' | 'pages';

export interface ResourceCount {
  opened: number;
  closed: number;
}

/** What was opened and closed since the pool exists. Kept by the pool; after any scenario opened = closed (S5). */
export type ResourceLedger = Readonly<Record<ResourceKind, ResourceCount>>;

export function createResourceLedger(): ResourceLedger {
  const entry = (): ResourceCount => ({ opened: 0, closed: 0 });
  return { processes: entry(), profiles: entry(), connections: entry(), contexts: entry(), pages: entry() };
}
