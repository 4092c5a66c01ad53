import { h, type ComponentChild } from 'preact';
import type { JournalEntry } from '../wire.js';
import { formatDuration, formatTime } from './format.js';
import type { OpenedSession } from './model.js';

type Participant = 'client' | 'session' | 'browser';

interface Message {
  readonly from: Participant;
  readonly to: Participant;
  readonly text: string;
  readonly tone: string;
}

/** The messages between client, session and browser, oldest first, in a lane each. */
export function sequenceView({ entries }: OpenedSession): ComponentChild {
  return h(
    'div',
    { class: 'sequence', tabIndex: 0, role: 'region', 'aria-label': 'Sequence' },
    h(
      'div',
      { class: 'lanes', 'aria-hidden': 'true' },
      h('span', null, 'client'),
      h('span', null, 'session'),
      h('span', null, 'browser'),
    ),
    h('ol', null, entries.flatMap(rowOf)),
  );
}

function rowOf(entry: JournalEntry): ComponentChild[] {
  const message = messageOf(entry);
  if (message === null) return [];
  const { from, to, text, tone } = message;
  const label = from === to ? text : `${from} to ${to}: ${text}`;
  return [
    h(
      'li',
      { key: entry.seq, class: `${from}-${to} ${tone}` },
      h('time', { dateTime: new Date(entry.at).toISOString() }, formatTime(entry.at)),
      h(
        'span',
        { class: 'arrow', title: label },
        h('span', { class: 'seen', 'aria-hidden': 'true' }, text),
        h('span', { class: 'unseen' }, label),
      ),
    ),
  ];
}

/** Null for an entry that is no message. */
function messageOf(entry: JournalEntry): Message | null {
  switch (entry.kind) {
    case 'state':
      return stateMessage(entry);
    case 'message':
      return { from: 'client', to: 'session', text: entry.what, tone: '' };
    case 'call': {
      const text = `${entry.tool ?? entry.method}: ${entry.outcome}, ${formatDuration(entry.durationMs)}`;
      return { from: 'session', to: 'client', text, tone: entry.outcome };
    }
    case 'event':
      return eventMessage(entry.type);
    case 'unexpected':
      return { from: 'session', to: 'session', text: `unexpected ${entry.type}`, tone: 'failed' };
  }
}

/** Changes of the top-level state only; inner states would hide the messages. */
function stateMessage({ from, to }: JournalEntry & { kind: 'state' }): Message | null {
  const [before, after] = [topLevelState(from), topLevelState(to)];
  if (before === after) return null;
  if (after === 'connected') return { from: 'session', to: 'client', text: 'announced', tone: 'state' };
  return { from: 'session', to: 'session', text: after, tone: 'state' };
}

function topLevelState([leaf = '']: readonly string[]): string {
  return leaf.split('.')[0] ?? '';
}

function eventMessage(type: string): Message | null {
  if (type === 'message.received') return null;
  if (type.startsWith('transport.')) return { from: 'client', to: 'session', text: type, tone: '' };
  if (type.startsWith('browser.'))
    return { from: 'browser', to: 'session', text: type, tone: type === 'browser.leased' ? '' : 'failed' };
  return null;
}
