import type { HistoryEvent, Transport } from './history.js';

/** What must hold of every history, whatever befell the nodes. */
export const invariants = {
  claim: 'no session is announced that the directory does not have, for that user',
  owner: 'a session has one owner at a time: one that was replaced neither carries out nor answers',
  lost: 'a message that was acknowledged is carried out and answered, or its client is told why not',
  repeated: 'no message is carried out or answered twice, and none that was refused as if nothing had been done',
  order: 'the messages of a session are carried out in the order in which they were acknowledged',
  crosstalk: 'what is said in a session is of that session and its user, and nobody else is let in',
  state: 'a session that goes on knows what it knew: its notes within a term, its count of calls over all',
  silence: 'whoever asks hears something',
  left: 'at the end nothing is left: no session, no key without its time, no process, no unexplained error',
} as const;

export type Invariant = keyof typeof invariants;

export interface Violation {
  readonly invariant: Invariant;
  readonly what: string;
}

type EventOf<Is extends HistoryEvent['type']> = Extract<HistoryEvent, { readonly type: Is }>;

/** Refusals that say that nothing was done. */
const refusalsWithoutEffect = ['draining', 'not_ready', 'queue_full', 'too_many_sessions', 'rate_limited'];
/** What a client may hear of a message that was acknowledged: the session is over, or its node is gone. */
const lossExplanations = ['node_lost', 'closed', 'gap'];

/**
 * What is wrong with a history. `pausedMs`: a node that is stopped, by a fault or by the scheduler, between its last look at
 * its lease and the call itself carries the call out when it goes on; no lease can prevent that, and nobody hears of it. So
 * long after a stop, or after the next owner has begun, it counts as that.
 */
export function findViolations(history: readonly HistoryEvent[], pausedMs = 250): Violation[] {
  const seen = new HistoryIndex(history);
  return [
    ...findUnclaimed(seen),
    ...findDoubleOwners(seen, pausedMs),
    ...findLost(seen),
    ...findRepeated(seen),
    ...findDisordered(seen),
    ...findCrosstalk(seen),
    ...findForgottenState(seen),
    ...seen.all('silent').map(({ text }) => ({ invariant: 'silence' as const, what: `nobody answered ${text}` })),
    ...seen.all('left').map(({ what }) => ({ invariant: 'left' as const, what })),
    ...seen.all('defect').map(({ node, what }) => ({ invariant: 'left' as const, what: `${node} told: ${what}` })),
  ];
}

/** A history, looked at from several sides. */
class HistoryIndex {
  readonly #history: readonly HistoryEvent[];
  readonly sent: ReadonlyMap<string, EventOf<'sent'>>;
  readonly carriedOut: ReadonlyMap<string, readonly EventOf<'carriedOut'>[]>;
  readonly answered: ReadonlyMap<string, readonly EventOf<'answered'>[]>;
  readonly refused: ReadonlyMap<string, EventOf<'refused'>>;
  readonly acknowledged: ReadonlyMap<string, EventOf<'acknowledged'>>;
  readonly transports: ReadonlyMap<string, Transport>;

  constructor(history: readonly HistoryEvent[]) {
    this.#history = history;
    const textOf = ({ text }: { readonly text: string }): string => text;
    this.sent = new Map(this.all('sent').map((each) => [each.text, each]));
    this.carriedOut = groupBy(this.all('carriedOut').toSorted(byTime), textOf);
    this.answered = groupBy(this.all('answered'), textOf);
    this.refused = new Map(this.all('refused').map((each) => [each.text, each]));
    this.acknowledged = new Map(this.all('acknowledged').map((each) => [each.text, each]));
    this.transports = new Map(this.all('announced').map(({ session, transport }) => [session, transport]));
  }

  all<Is extends HistoryEvent['type']>(is: Is): EventOf<Is>[] {
    return this.#history.filter((happening): happening is EventOf<Is> => happening.type === is);
  }

  /** What was carried out in each session, in its order. */
  bySession(): ReadonlyMap<string, readonly EventOf<'carriedOut'>[]> {
    return groupBy(this.all('carriedOut').toSorted(byTime), ({ session }) => session);
  }
}

const byTime = (one: HistoryEvent, other: HistoryEvent): number => one.at - other.at;

function groupBy<T>(values: readonly T[], keyOf: (value: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) groups.set(keyOf(value), [...(groups.get(keyOf(value)) ?? []), value]);
  return groups;
}

function findUnclaimed(seen: HistoryIndex): Violation[] {
  const claims = new Map(seen.all('claimed').map(({ session, user }) => [session, user]));
  return seen.all('announced').flatMap(({ session, user }): Violation[] => {
    const claimed = claims.get(session) ?? null;
    const what = `${shortSessionId(session)} was announced to ${user}; the directory has it for ${String(claimed)}`;
    return claimed === user ? [] : [{ invariant: 'claim', what }];
  });
}

/** Terms follow each other: nothing of one may come after the next has begun. */
function findDoubleOwners(seen: HistoryIndex, pausedMs: number): Violation[] {
  const stops = seen.all('fault').filter(({ kind }) => kind === 'stall');
  const mayBeLate = ({ at, node }: EventOf<'carriedOut'>, replacedAt: number): boolean =>
    at <= replacedAt + pausedMs ||
    stops.some((stop) => node === nodeName(stop.node) && at >= stop.at && at <= stop.at + stop.ms + pausedMs);
  const late: Violation[] = [];
  for (const [session, calls] of seen.bySession()) {
    /** Terms that were replaced, and when. */
    const over = new Map<string, number>();
    let term: string | undefined;
    for (const call of calls) {
      const replacedAt = over.get(call.term);
      if (replacedAt !== undefined) {
        const isHeard = seen.answered.has(call.text);
        const what = `${call.node} carried out ${call.text} in ${shortSessionId(session)} after another node had gone on with it${isHeard ? ', and answered' : ''}`;
        if (isHeard || !mayBeLate(call, replacedAt)) late.push({ invariant: 'owner', what });
        continue;
      }
      if (term !== undefined && term !== call.term) over.set(term, call.at);
      term = call.term;
    }
  }
  return late;
}

/** What the nodes of a run are called in what they tell. */
export const nodeName = (node: number): string => `node-${node}`;

function findLost(seen: HistoryIndex): Violation[] {
  const over = new Set(seen.all('ended').map(({ session }) => session));
  const lost = (what: string): Violation => ({ invariant: 'lost', what });
  return [...seen.sent.values()].flatMap(({ text, session }): Violation[] => {
    const isAnswered = seen.answered.has(text);
    if (isAnswered && !seen.carriedOut.has(text)) return [lost(`${text} was answered and never carried out`)];
    const reason = seen.refused.get(text)?.reason;
    if (reason === 'unknown') return [lost(`${text}: ${shortSessionId(session)} is not known any more`)];
    if (isAnswered || !seen.acknowledged.has(text)) return [];
    // A stream that ends tells its client that the session is over.
    const isExplained =
      reason === undefined ? isExplainedByStreamEnd(seen, session, over) : lossExplanations.includes(reason);
    return isExplained ? [] : [lost(`${text} was acknowledged; then came ${reason ?? 'nothing'}`)];
  });
}

/** For SSE, the end of the stream says it all. */
const isExplainedByStreamEnd = (seen: HistoryIndex, session: string, over: ReadonlySet<string>): boolean =>
  seen.transports.get(session) === 'sse' && over.has(session);

function findRepeated(seen: HistoryIndex): Violation[] {
  const repeated = (what: string): Violation => ({ invariant: 'repeated', what });
  const found: Violation[] = [];
  for (const [text, calls] of seen.carriedOut) {
    if (calls.length > 1) found.push(repeated(`${text} was carried out ${calls.length} times`));
    const reason = seen.refused.get(text)?.reason ?? '';
    if (refusalsWithoutEffect.includes(reason))
      found.push(repeated(`${text} was carried out and refused as ${reason}`));
  }
  for (const [text, answers] of seen.answered) {
    if (answers.length > 1) found.push(repeated(`${text} was answered ${answers.length} times`));
  }
  return found;
}

function findDisordered(seen: HistoryIndex): Violation[] {
  const found: Violation[] = [];
  for (const [session, calls] of seen.bySession()) {
    for (const [index, call] of calls.entries()) {
      const next = calls[index + 1];
      const acknowledgedAt = next === undefined ? undefined : seen.acknowledged.get(next.text)?.at;
      const sentAt = seen.sent.get(call.text)?.at;
      if (next === undefined || acknowledgedAt === undefined || sentAt === undefined) continue;
      const what = `${call.text} was carried out in ${shortSessionId(session)} before ${next.text}, which had been acknowledged before it was sent`;
      if (acknowledgedAt < sentAt) found.push({ invariant: 'order', what });
    }
  }
  for (const { text, progress } of seen.all('answered')) {
    if (progress === 'told') continue;
    const what = `progress of ${text} came as ${progress.join(', ') || 'nothing'}`;
    if (progress.join() !== '1,2') found.push({ invariant: 'order', what });
  }
  return found;
}

function findCrosstalk(seen: HistoryIndex): Violation[] {
  const crosstalk = (what: string): Violation => ({ invariant: 'crosstalk', what });
  const inPlace = (text: string, place: { readonly session: string; readonly user: string }): boolean => {
    const sent = seen.sent.get(text);
    return sent?.session === place.session && sent.user === place.user;
  };
  return [
    ...seen.all('stray').map(({ session, what }) => crosstalk(`${shortSessionId(session)} got ${what}`)),
    ...seen
      .all('foreign')
      .filter(({ status, reason }) => status < 400 || reason === 'closed' || reason === 'not_ready')
      .map(({ session, status, reason }) =>
        crosstalk(`a stranger to ${shortSessionId(session)} got ${status} ${reason}`),
      ),
    ...seen
      .all('carriedOut')
      .filter((call) => !inPlace(call.text, call))
      .map(({ text, session, user }) => crosstalk(`${text} was carried out in ${shortSessionId(session)} of ${user}`)),
    ...seen
      .all('answered')
      .filter(({ text, echo }) => echo.notes.at(-1) !== text || !echo.notes.every((note) => inPlace(note, echo)))
      .map(({ text, echo }) => crosstalk(`${text} was answered with ${echo.notes.join(', ')}`)),
  ];
}

/** Within a term the notes are those that were carried out; a later call counts more calls than any answered one. */
function findForgottenState(seen: HistoryIndex): Violation[] {
  const found: Violation[] = [];
  for (const calls of seen.bySession().values()) {
    const answers = calls.flatMap(({ text }) => seen.answered.get(text) ?? []);
    for (const { text, term, at, calls: count } of calls) {
      const most = Math.max(0, ...answers.filter((answer) => answer.at < at).map(({ echo }) => echo.calls));
      const counted = `${text} was call ${count}; call ${most} had been answered`;
      if (count <= most) found.push({ invariant: 'state', what: counted });
      const before = calls.filter((call) => call.term === term && call.at <= at).map((call) => call.text);
      for (const { echo } of seen.answered.get(text) ?? []) {
        const what = `${text} was answered with the notes ${echo.notes.join(', ')}; carried out were ${before.join(', ')}`;
        if (echo.notes.join() !== before.join()) found.push({ invariant: 'state', what });
      }
    }
  }
  return found;
}

const shortSessionId = (session: string): string => session.slice(0, 8);
