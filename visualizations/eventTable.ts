import { allStates, isIgnored, transitionText, triggerText, type State, type Transition } from './chart.js';
import { table } from './markdown.js';

interface StatePath {
  readonly path: string;
  readonly state: State;
  /** The state and its ancestors, inner before outer: the order in which they handle an event. */
  readonly lineage: readonly State[];
}

/** What each state does with each event, and its transitions without events. */
export function eventTableOf(root: State, eventTypes: readonly string[]): string {
  const paths = pathsOf(root, []);
  const leaves = paths.filter(({ state }) => state.states.length === 0);
  const codes = eventTypes.map((type) => `\`${type}\``);
  return [
    `# ${root.key}: states and events`,
    '',
    root.description,
    '',
    '## Events',
    '',
    'A cell names the state that follows, with guard and actions. *stays*: handled where it is. no-op: known and ignored,',
    'as the chart declares. —: the chart has ended.',
    '',
    table(
      ['state', ...codes],
      leaves.map((place) => [place.path, ...eventTypes.map((type) => cellOf(place, type, root))]),
    ),
    '',
    '## By itself',
    '',
    table(
      ['state', 'when', 'next'],
      allStates(root).flatMap((state) => automaticRows(state, root)),
    ),
    '',
    '## States',
    '',
    table(
      ['state', 'what is true in it', 'tags', 'runs', 'on entry'],
      paths.map(({ path, state }) => [
        path,
        state.description,
        state.tags.join(', '),
        state.invokes.join(', '),
        state.entry.join(', '),
      ]),
    ),
    '',
  ].join('\n');
}

function pathsOf(state: State, ancestors: readonly State[]): StatePath[] {
  const lineage = [state, ...ancestors];
  return [{ path: pathOf(state.id), state, lineage }, ...state.states.flatMap((child) => pathsOf(child, lineage))];
}

function cellOf({ state, lineage }: StatePath, type: string, root: State): string {
  if (root.states.includes(state) && state.type === 'final') return '—';
  const handlers: Transition[] = [];
  for (const { transitions } of lineage) {
    handlers.push(...transitions.filter(({ trigger }) => trigger.kind === 'event' && trigger.name === type));
    if (handlers.some(({ guard }) => guard === null)) break;
  }
  return handlers.length === 0 ? '**not handled**' : handlers.map(outcomeOf).join('<br>');
}

function outcomeOf(transition: Transition): string {
  const { target, guard, actions } = transition;
  const condition = guard === null ? '' : ` [${guard}]`;
  if (isIgnored(transition)) return `no-op${condition}`;
  const effects = actions.length === 0 ? '' : ` / ${actions.join(', ')}`;
  return `${target === null ? '*stays*' : `→ ${pathOf(target)}`}${condition}${effects}`;
}

function automaticRows(state: State, root: State): string[][] {
  return state.transitions
    .filter(({ trigger }) => trigger.kind !== 'event')
    .map((transition) => {
      const { target, trigger } = transition;
      const when = transitionText(transition).replace(triggerText(trigger), `**${triggerText(trigger)}**`);
      return [state === root ? root.key : pathOf(state.id), when, target === null ? '*stays*' : `→ ${pathOf(target)}`];
    });
}

/** `active.serving.idle` of `session.active.serving.idle`; the root keeps its own name. */
function pathOf(id: string): string {
  return id.includes('.') ? id.slice(id.indexOf('.') + 1) : id;
}
