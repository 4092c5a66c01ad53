import { h, type ComponentChild } from 'preact';
import type { SessionRow } from '../wire.js';
import { formatAge, plural } from './format.js';
import { serverNow, filteredRows, type Model, type Update } from './model.js';

/** In pixels, as in style.css. */
export const rowHeight = 40;
/** Rows drawn beyond the visible part, so that scrolling shows no gaps. */
const overscanRows = 8;

export const stateNames = ['created', 'tools-registered', 'connected', 'active', 'closed'] as const;

/** The table of all sessions. Only the visible rows are in the document. */
export function sessionsView(model: Model, update: Update): ComponentChild {
  const rows = filteredRows(model);
  return h(
    'section',
    { class: 'sessions', 'aria-label': 'Sessions' },
    filters(model, update, rows.length),
    table(model, rows, update),
  );
}

function filters(model: Model, update: Update, shown: number): ComponentChild {
  const users = [...new Set([...model.rows.values()].map(({ user }) => user))].filter((user) => user !== '').toSorted();
  const filter = (change: Partial<Model>): void => {
    document.getElementById('rows')?.scrollTo({ top: 0 });
    update({ ...change, scrollTop: 0 });
  };
  return h(
    'form',
    { class: 'filters', role: 'search', onSubmit: (event: Event) => event.preventDefault() },
    h('input', {
      id: 'search',
      type: 'search',
      placeholder: 'Filter by id, user, client, state',
      'aria-label': 'Filter sessions by text',
      'aria-keyshortcuts': '/',
      value: model.text,
      onInput: ({ currentTarget }: InputEvent) => filter({ text: valueOf(currentTarget) }),
    }),
    select('State', model.state, ['', 'open', ...stateNames], (state) => filter({ state })),
    select('User', model.user, ['', ...users], (user) => filter({ user })),
    h('output', { class: 'count' }, countOf(shown, model.rows.size)),
  );
}

function countOf(shown: number, total: number): string {
  return shown === total ? plural(total, 'session') : `${shown.toLocaleString('en')} of ${plural(total, 'session')}`;
}

function select(
  label: string,
  value: string,
  options: readonly string[],
  choose: (value: string) => void,
): ComponentChild {
  return h(
    'select',
    { 'aria-label': label, value, onChange: ({ currentTarget }: Event) => choose(valueOf(currentTarget)) },
    options.map((option) =>
      h('option', { value: option, selected: option === value }, option === '' ? `${label}: all` : option),
    ),
  );
}

function valueOf(target: EventTarget | null): string {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement ? target.value : '';
}

const columns = [
  ['session', 'id'],
  ['user', 'user'],
  ['state', 'state'],
  ['in state', 'for num'],
  ['client', 'client'],
  ['transport', 'transport'],
  ['browser', 'browser'],
  ['calls', 'calls num'],
  ['errors', 'errors num'],
] as const;

/** Only with several nodes. */
const nodeColumn = ['node', 'node'] as const;

function columnsOf({ rows }: Model): readonly (readonly [title: string, kind: string])[] {
  const nodes = new Set([...rows.values()].map(({ node }) => node));
  return nodes.size > 1 ? [...columns, nodeColumn] : columns;
}

function table(model: Model, rows: readonly SessionRow[], update: Update): ComponentChild {
  const seen = Math.ceil(window.innerHeight / rowHeight);
  const first = Math.max(0, Math.min(rows.length - seen, Math.floor(model.scrollTop / rowHeight)) - overscanRows);
  const last = Math.min(rows.length, first + seen + 2 * overscanRows);
  const shown = columnsOf(model);
  return h(
    'div',
    {
      class: 'scroller',
      id: 'rows',
      tabIndex: 0,
      role: 'region',
      'aria-label': 'Table of sessions',
      onScroll: ({ currentTarget }: Event) =>
        currentTarget instanceof HTMLElement && update({ scrollTop: currentTarget.scrollTop }),
    },
    h(
      'table',
      { 'aria-rowcount': rows.length + 1 },
      h(
        'thead',
        null,
        h(
          'tr',
          null,
          shown.map(([title, kind]) => h('th', { scope: 'col', class: kind }, title)),
        ),
      ),
      h(
        'tbody',
        null,
        spacer('above', first * rowHeight),
        rows.slice(first, last).map((row, index) => rowView(model, row, shown, first + index)),
        spacer('below', (rows.length - last) * rowHeight),
      ),
    ),
    rows.length === 0 && emptyView(model, update),
  );
}

function spacer(key: string, height: number): ComponentChild | null {
  return height === 0
    ? null
    : h('tr', { key, class: 'spacer', 'aria-hidden': 'true' }, h('td', { style: { height: `${height}px` } }));
}

function rowView(model: Model, row: SessionRow, shown: ReturnType<typeof columnsOf>, index: number): ComponentChild {
  const { id, user, state, since, client, transport, browser, calls, errors, closedBecause, node = '–' } = row;
  const cells = [
    h('a', { href: `#/session/${id}` }, id),
    user === '' ? '–' : user,
    stateChip(state, closedBecause),
    formatAge(serverNow(model) - since),
    client === null ? '–' : [client.name, ' ', h('small', null, client.version)],
    transport,
    browser,
    calls,
    errors,
    node,
  ];
  return h(
    'tr',
    {
      key: id,
      'data-id': id,
      'aria-rowindex': index + 2,
      class: `${state === 'closed' ? 'over' : ''}${id === model.selected ? ' selected' : ''}`,
      onClick: () => void (location.hash = `#/session/${id}`),
    },
    shown.map(([, kind], column) =>
      h('td', { class: `${kind}${kind.startsWith('errors') && errors > 0 ? ' bad' : ''}` }, cells[column]),
    ),
  );
}

/** A state with its name and colour. */
export function stateChip(state: string, closedBecause: string | null = null): ComponentChild {
  return h('span', { class: `chip ${state}` }, state, closedBecause !== null && h('small', null, closedBecause));
}

function emptyView(model: Model, update: Update): ComponentChild {
  if (model.link === 'connecting') return h('p', { class: 'blank' }, 'Connecting to the server.');
  if (model.rows.size > 0) {
    const clear = (): void => update({ text: '', state: '', user: '' });
    return h(
      'div',
      { class: 'blank' },
      h('p', null, 'No session matches the filter.'),
      h('button', { onClick: clear }, 'Show all'),
    );
  }
  return h(
    'div',
    { class: 'blank' },
    h('h2', null, 'No sessions yet'),
    h('p', null, 'A session appears as soon as a client connects. For example:'),
    h('pre', null, `claude mcp add --transport sse greenroom ${location.origin}/sse`),
  );
}
