import { h, type ComponentChild, type ComponentChildren } from 'preact';
import type { JournalEntry, Payload } from '../wire.js';
import { describeCause, formatDuration, formatTime } from './format.js';
import { stateEntries, type Model, type OpenedSession, type Update } from './model.js';

/** The history of a session, newest first. A click on a transition shows that moment in the chart. */
export function timelineView(model: Model, session: OpenedSession, update: Update): ComponentChild {
  const states = stateEntries(session);
  const shown = model.step === null ? null : states[model.step]?.seq;
  const choose = (seq: number): void => {
    const index = states.findIndex((state) => state.seq === seq);
    update({ step: index === states.length - 1 ? null : index });
  };
  return h(
    'ol',
    { class: 'timeline', reversed: true, tabIndex: 0, 'aria-label': 'Timeline, newest first' },
    newestFirst(session.entries.filter(isShownIn(model)), model.payloads).map((fact) =>
      'from' in fact && 'text' in fact ? payloadItem(fact) : entryItem(fact, fact.seq === shown, choose),
    ),
  );
}

const isShownIn =
  ({ shown }: Model) =>
  (entry: JournalEntry): boolean =>
    shown === 'all' || (entry.kind === 'call' && (shown === 'calls' || entry.outcome === 'failed'));

/** Both lists are sorted by time. At the same time, a message stands below its effects. */
function newestFirst(entries: readonly JournalEntry[], payloads: readonly Payload[]): (JournalEntry | Payload)[] {
  return [...payloads, ...entries].toSorted((one, other) => one.at - other.at).reverse();
}

function entryItem(entry: JournalEntry, isShown: boolean, choose: (seq: number) => void): ComponentChild {
  return h(
    'li',
    { key: entry.seq, class: `${toneOf(entry)}${isShown ? ' shown' : ''}` },
    h('time', { dateTime: new Date(entry.at).toISOString() }, formatTime(entry.at)),
    h('span', { class: 'kind' }, kindOf(entry)),
    entry.kind === 'state'
      ? h(
          'button',
          { class: 'plain', onClick: () => choose(entry.seq), title: 'Show this moment in the chart' },
          textOf(entry),
        )
      : h('span', null, textOf(entry)),
  );
}

function payloadItem({ seq, at, from, what, text }: Payload): ComponentChild {
  return h(
    'li',
    { key: `payload ${seq}`, class: 'payload' },
    h('time', { dateTime: new Date(at).toISOString() }, formatTime(at)),
    h('span', { class: 'kind' }, from === 'client' ? 'received' : 'sent'),
    h('details', null, h('summary', null, what), h('pre', null, text)),
  );
}

function kindOf(entry: JournalEntry): string {
  if (entry.kind === 'call') return entry.tool === null ? 'request' : 'tool';
  return entry.kind;
}

function toneOf(entry: JournalEntry): string {
  if (entry.kind === 'call') return `call ${entry.outcome}`;
  return entry.kind;
}

function textOf(entry: JournalEntry): ComponentChildren {
  switch (entry.kind) {
    case 'state':
      return [h('b', null, entry.to.join(' + ')), h('small', null, describeCause(entry.cause))];
    case 'message':
      return `${entry.what} from the client`;
    case 'call':
      return [
        h('b', null, entry.tool ?? entry.method),
        h('small', null, `${entry.outcome}, ${formatDuration(entry.durationMs)}`),
        entry.error !== undefined && h('p', { class: 'reason' }, entry.error),
      ];
    case 'event':
      return [entry.type, h('small', null, `in ${entry.state}`)];
    case 'unexpected':
      return [h('b', null, entry.type), h('small', null, `unexpected in ${entry.state}`)];
  }
}
