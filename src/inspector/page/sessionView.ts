import { h, type ComponentChild } from 'preact';
import type { Chart, SessionRow } from '../wire.js';
import { chartView, enteredBy, type ChartHighlight } from './chartView.js';
import { formatAge, describeCause, formatDuration, describeCloseReason, plural, formatTime } from './format.js';
import { serverNow, stateEntries, type Model, type OpenedSession, type Update } from './model.js';
import { sequenceView } from './sequenceView.js';
import { stateChip } from './sessionsView.js';
import { timelineView } from './timelineView.js';

/** One session: its state, its history and its messages. */
export function sessionView(model: Model, update: Update): ComponentChild {
  const { session, route } = model;
  const id = route.view === 'session' ? route.id : '';
  const row = model.rows.get(id);
  if (session === 'gone') return goneView(id, row?.node);
  if (session === null) return h('p', { class: 'blank' }, `Loading session ${id}.`);
  return h(
    'article',
    { class: 'session', 'aria-label': `Session ${id}` },
    heading(model, session, row, id),
    sessionChart(model, session, update),
    h(
      'section',
      { class: 'story', 'aria-label': 'What happened' },
      tabs(model, session, update),
      historyView(model, session, update),
    ),
    otherCharts(model, session),
  );
}

function goneView(id: string, node: string | undefined): ComponentChild {
  return h(
    'div',
    { class: 'blank' },
    h('h2', null, `Session ${id} is not known here`),
    h(
      'p',
      null,
      node === undefined
        ? 'It ended a while ago, or the server was restarted. The last 200 closed sessions are kept.'
        : `Its history is kept by the node ${node}. Open the inspector of that node.`,
    ),
    h('a', { href: '#/sessions' }, 'All sessions'),
  );
}

function heading(model: Model, session: OpenedSession, row: SessionRow | undefined, id: string): ComponentChild {
  const facts: readonly (readonly [string, string])[] =
    row === undefined
      ? []
      : [
          ['user', row.user === '' ? 'none yet' : row.user],
          ['client', row.client === null ? 'not initialized' : `${row.client.name} ${row.client.version}`],
          ['transport', row.transport],
          ...(row.node === undefined ? [] : [['node', row.node] as const]),
          ['browser', row.browser],
          ['calls', row.calls.toLocaleString('en')],
          ['errors', row.errors.toLocaleString('en')],
          row.state === 'closed'
            ? ['lasted', formatDuration(row.since - row.createdAt)]
            : ['age', formatAge(serverNow(model) - row.createdAt)],
        ];
  const because = row?.closedBecause ?? null;
  return h(
    'div',
    { class: 'heading' },
    h('h2', null, h('code', null, id), row && stateChip(row.state, because)),
    h(
      'dl',
      null,
      facts.map(([name, value]) => h('div', { key: name }, h('dt', null, name), h('dd', { title: value }, value))),
    ),
    h(
      'p',
      { class: 'ending' },
      because === null ? aboutState(model, session) : describeCloseReason(because),
      session.failure !== null && h('q', null, session.failure),
    ),
    row !== undefined &&
      row.state !== 'closed' &&
      h('button', { class: 'end', onClick: () => endSession(id) }, 'End session'),
  );
}

/** The stream shows the end, or that there was none. */
function endSession(id: string): void {
  if (confirm(`End session ${id}? What it has open is closed.`))
    void fetch(`../api/sessions/${id}`, { method: 'DELETE' });
}

/** The descriptions of the current states, from the chart. */
function aboutState({ charts }: Model, { leaves }: OpenedSession): string {
  const boxes = charts.find(({ name }) => name === 'session')?.boxes ?? [];
  const entered = boxes.filter(({ id }) => leaves.includes(id));
  return entered.map(({ about }) => about).join(' ');
}

function sessionChart(model: Model, session: OpenedSession, update: Update): ComponentChild {
  const chart = model.charts.find(({ name }) => name === 'session');
  return h(
    'figure',
    { class: 'main' },
    h('figcaption', null, h('h3', null, 'Session'), legend()),
    chart &&
      chartView(chart, model.step === null ? currentHighlight(model, session) : pastHighlight(session, model.step)),
    timeTravel(model, session, update),
  );
}

function legend(): ComponentChild {
  return h(
    'span',
    { class: 'legend', 'aria-hidden': 'true' },
    h('i', { class: 'now' }),
    'now',
    h('i', { class: 'was' }),
    'was there',
  );
}

/** The current state, with dwell times that grow. */
function currentHighlight(model: Model, session: OpenedSession): ChartHighlight {
  const isClosed = session.leaves.includes('closed');
  const more = isClosed ? 0 : Math.max(0, serverNow(model) - session.asOf);
  const dwell: Record<string, number> = { ...session.dwell };
  for (const state of enteredBy(session.leaves)) dwell[state] = (dwell[state] ?? 0) + more;
  return { leaves: session.leaves, dwell, moves: stateEntries(session), notes: isClosed ? { closed: 'the end' } : {} };
}

/** The state right after a recorded transition. */
function pastHighlight(session: OpenedSession, step: number): ChartHighlight {
  const states = stateEntries(session).slice(0, step + 1);
  const dwell: Record<string, number> = {};
  states.forEach(({ to, at }, index) => {
    const until = states[index + 1]?.at ?? at;
    for (const state of enteredBy(to)) dwell[state] = (dwell[state] ?? 0) + until - at;
  });
  return { leaves: states.at(-1)?.to ?? [], dwell, moves: states };
}

function timeTravel({ step }: Model, session: OpenedSession, update: Update): ComponentChild {
  const states = stateEntries(session);
  const last = Math.max(0, states.length - 1);
  const at = step ?? last;
  const entry = states[at];
  const label = entry === undefined ? '' : `${formatTime(entry.at)}  ${describeCause(entry.cause)}`;
  const go = (index: number): void => update({ step: index >= last ? null : Math.max(0, index) });
  return h(
    'div',
    { class: 'travel' },
    h('button', { onClick: () => go(at - 1), disabled: at <= 0, 'aria-label': 'One transition back' }, '←'),
    h('input', {
      type: 'range',
      min: 0,
      max: last,
      value: at,
      'aria-label': 'Transition',
      'aria-valuetext': label,
      onInput: ({ currentTarget }: Event) =>
        currentTarget instanceof HTMLInputElement && go(Number(currentTarget.value)),
    }),
    h('button', { onClick: () => go(at + 1), disabled: step === null, 'aria-label': 'One transition on' }, '→'),
    h('button', { class: 'now', onClick: () => update({ step: null }), disabled: step === null }, 'Now'),
    h('output', null, `${at + 1} of ${plural(states.length, 'transition')}`, h('small', null, label)),
  );
}

/** Charts of which each session has its own: shown beside it alone. */
const sessionCharts: readonly string[] = ['session', 'ownership', 'lease'];

/** The charts of browsers, alert and server. Beside a session also those that run for it, and of the browsers only its own. */
export function otherCharts({ charts, actors }: Model, session?: OpenedSession): ComponentChild {
  const beside = session?.beside ?? [];
  const others = charts.filter(
    ({ name }) => !sessionCharts.includes(name) || beside.some(({ machine }) => machine === name),
  );
  const running = actors.filter(({ machine, id }) => machine !== 'browser' || !session || id === session.browser);
  const shown = [...running, ...beside];
  return h(
    'div',
    { class: 'others' },
    others.map((chart) => actorChart(chart, shown, session)),
  );
}

function actorChart(chart: Chart, actors: Model['actors'], session?: OpenedSession): ComponentChild {
  const own = actors.filter(({ machine }) => machine === chart.name);
  const counts = new Map<string, number>();
  for (const leaf of own.flatMap(({ leaves }) => leaves)) counts.set(leaf, (counts.get(leaf) ?? 0) + 1);
  const notes = own.length > 1 ? Object.fromEntries([...counts].map(([leaf, count]) => [leaf, `${count}`])) : {};
  const title = chart.name.charAt(0).toUpperCase() + chart.name.slice(1);
  return h(
    'figure',
    { key: chart.name },
    h('figcaption', null, h('h3', null, title), h('span', { class: 'legend' }, captionOf(own, session))),
    chartView(chart, { leaves: [...counts.keys()], dwell: {}, moves: [], notes }),
  );
}

/** The caption of a chart: the actors that run it. */
function captionOf(actors: Model['actors'], session?: OpenedSession): string {
  const [only] = actors;
  if (only === undefined) return session?.leaves.includes('closed') === true ? 'released' : 'none';
  if (actors.length > 1) return String(actors.length);
  const state = only.leaves.join(', ');
  return only.machine === 'browser' ? `${only.id}: ${state}` : state;
}

function tabs(model: Model, session: OpenedSession, update: Update): ComponentChild {
  const tab = (name: Model['tab'], title: string) =>
    h('button', { 'aria-pressed': model.tab === name, onClick: () => update({ tab: name }) }, title);
  const entries = (shown: Model['shown'], title: string) =>
    h('button', { 'aria-pressed': model.shown === shown, onClick: () => update({ shown }) }, title);
  const { dropped } = session;
  return h(
    'div',
    { class: 'tabs' },
    h('h3', null, 'What happened'),
    h('span', { role: 'group', 'aria-label': 'View' }, tab('timeline', 'Timeline'), tab('sequence', 'Sequence')),
    model.tab === 'timeline' &&
      h(
        'span',
        { role: 'group', 'aria-label': 'Entries' },
        entries('all', 'All'),
        entries('calls', 'Calls'),
        entries('failures', 'Failed'),
      ),
    h(
      'button',
      {
        'aria-pressed': model.contents,
        title: 'Show the contents of the messages, redacted',
        onClick: () => update({ contents: !model.contents, tab: 'timeline' }),
      },
      'Contents',
    ),
    model.contents && h('p', { class: 'hint', role: 'note' }, contentsHint),
    dropped > 0 && h('small', null, `${plural(dropped, 'earlier entry').replace('entrys', 'entries')} not kept`),
  );
}

const contentsHint =
  'Messages are shown from now on, and deleted when you leave. Secrets, typed values, page contents, scripts and their ' +
  'results, storage, headers and query strings are replaced by their type and length.';

function historyView(model: Model, session: OpenedSession, update: Update): ComponentChild {
  if (session.entries.length === 0) return h('p', { class: 'blank' }, 'Nothing yet.');
  return model.tab === 'timeline' ? timelineView(model, session, update) : sequenceView(session);
}
