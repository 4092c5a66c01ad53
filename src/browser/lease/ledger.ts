export type LedgerKind = 'processes' | 'profiles' | 'connections' | 'contexts' | 'pages';

export interface LedgerEntry {
  opened: number;
  closed: number;
}

/** What was opened and closed since the pool exists. Kept by the pool; after any scenario opened = closed (S5). */
export type Ledger = Readonly<Record<LedgerKind, LedgerEntry>>;

export function createLedger(): Ledger {
  const entry = (): LedgerEntry => ({ opened: 0, closed: 0 });
  return { processes: entry(), profiles: entry(), connections: entry(), contexts: entry(), pages: entry() };
}
