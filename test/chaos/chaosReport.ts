import { alignedOf } from '../bench/report.js';
import type { HistoryEvent } from './history.js';
import { faults, type FaultKind } from './faultPlan.js';
import { invariants, type Invariant, type Violation } from './invariants.js';

type EventOf<Is extends HistoryEvent['type']> = Extract<HistoryEvent, { readonly type: Is }>;

/** What a run came to: faults by kind, messages, what clients were told instead of an answer, and what was wrong. */
export function reportOf(history: readonly HistoryEvent[], violations: readonly Violation[]): string {
  const all = <Is extends HistoryEvent['type']>(is: Is): EventOf<Is>[] =>
    history.filter((happening): happening is EventOf<Is> => happening.type === is);
  const count = (is: HistoryEvent['type']): string => String(all(is).length);
  const kinds = Object.keys(faults) as FaultKind[];
  const takeovers = all('takenOver');
  const { median, most } = takeoverLatency(history);
  const sections = [
    [
      ['fault', 'times'],
      ...kinds.map((kind) => [kind, String(all('fault').filter((one) => one.kind === kind).length)]),
    ],
    [
      ['clients', 'times'],
      ['sessions announced', count('announced')],
      ['messages sent', count('sent')],
      ['acknowledged', count('acknowledged')],
      ['answered', count('answered')],
      ['broken before that', count('broken')],
      ['carried out', count('carriedOut')],
      ['sessions taken over', String(takeovers.filter(({ isRestored }) => isRestored).length)],
      ['sessions found lost', String(takeovers.filter(({ isRestored }) => !isRestored).length)],
      ['answer by another node, ms (median)', median],
      ['answer by another node, ms (longest)', most],
      ['strangers refused', count('foreign')],
    ],
    [
      ['refused', 'times'],
      ...[...tally(all('refused').map(({ reason }) => reason))].map(([why, n]) => [why, String(n)]),
    ],
    [
      ['violation', 'times'],
      ...(Object.keys(invariants) as Invariant[]).map((invariant) => [
        invariant,
        String(violations.filter((one) => one.invariant === invariant).length),
      ]),
    ],
  ];
  return sections.map(alignedOf).join('\n\n');
}

function tally(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return new Map([...counts].toSorted(([, one], [, other]) => other - one));
}

/** How long the client of a session waited for its first answer in another term: what a takeover costs it, lease and all. */
function takeoverLatency(history: readonly HistoryEvent[]): { readonly median: string; readonly most: string } {
  const terms = new Map<string, string>();
  const sent = new Map<string, number>();
  const times: number[] = [];
  for (const happening of history) {
    if (happening.type === 'sent') sent.set(happening.text, happening.at);
    if (happening.type !== 'answered') continue;
    const { text, echo, at } = happening;
    const term = terms.get(echo.session);
    if (term !== undefined && term !== echo.term) times.push(at - (sent.get(text) ?? at));
    terms.set(echo.session, echo.term);
  }
  const sorted = times.toSorted((one, other) => one - other);
  const shown = (ms: number | undefined): string => (ms === undefined ? '-' : ms.toFixed(0));
  return { median: shown(sorted[Math.floor(sorted.length / 2)]), most: shown(sorted.at(-1)) };
}
