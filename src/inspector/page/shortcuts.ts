import { filteredRows, stateEntries, type Model, type Update } from './model.js';
import { rowHeight } from './sessionsView.js';
import { toggleTheme } from './theme.js';

/** Keys: `/` filter, `j` `k` up and down select, Enter open, left and right step through transitions, Escape back, `t` theme. */
export function listenToKeys(read: () => Model, update: Update): void {
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { target, key } = event;
    const isTyping = target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
    if (key === 'Escape') onEscape(read(), update, isTyping ? target : null);
    else if (isTyping) return;
    else if (key === '/') focusSearch(event);
    else if (key === 't') toggleTheme();
    else if (read().route.view === 'sessions') moveSelection(event, read(), update);
    else if (read().route.view === 'session') moveInTime(event, read(), update);
  });
}

function onEscape(model: Model, update: Update, field: HTMLElement | null): void {
  if (field !== null) field.blur();
  else if (model.step !== null) update({ step: null });
  else if (model.route.view === 'sessions') update({ text: '', state: '', user: '', selected: null });
  else location.hash = '#/sessions';
}

function focusSearch(event: KeyboardEvent): void {
  event.preventDefault();
  document.getElementById('search')?.focus();
}

function moveSelection(event: KeyboardEvent, model: Model, update: Update): void {
  const isOnControl = event.target instanceof HTMLAnchorElement || event.target instanceof HTMLButtonElement;
  if (event.key === 'Enter' && model.selected !== null && !isOnControl) {
    location.hash = `#/session/${model.selected}`;
    return;
  }
  const change = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  const rows = filteredRows(model);
  if (change === undefined || rows.length === 0) return;
  event.preventDefault();
  const before = rows.findIndex(({ id }) => id === model.selected);
  const index = Math.max(0, Math.min(rows.length - 1, before + change));
  const scroller = document.getElementById('rows');
  if (scroller !== null) {
    const top = index * rowHeight;
    const room = scroller.clientHeight - 2 * rowHeight;
    scroller.scrollTop = Math.min(top, Math.max(scroller.scrollTop, top - room));
  }
  update({ selected: rows[index]?.id ?? null });
}

function moveInTime(event: KeyboardEvent, { session, step }: Model, update: Update): void {
  const change = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (change === undefined || session === null || session === 'gone') return;
  event.preventDefault();
  const last = stateEntries(session).length - 1;
  const index = (step ?? last) + change;
  update({ step: index >= last ? null : Math.max(0, index) });
}
