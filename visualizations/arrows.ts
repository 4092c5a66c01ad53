import { allStates, type State, type Transition } from './chart.js';

/** The transitions between two states that share one arrow. */
export interface Arrow {
  readonly id: string;
  /** Id of a state, or of one of the markers below. */
  readonly source: string;
  readonly target: string;
  readonly transitions: readonly Transition[];
  /** Leads to a final state. Many arrows do: the SVG draws them pale, with their text in the box. */
  readonly ending: boolean;
  /** Leads to a state that the chart names earlier; drawn against the flow. */
  readonly backward: boolean;
}

/** The dot from which the first child of a state is entered. */
export const initialDotId = (state: State): string => `${state.id}:dot`;

/** The marker from which the transitions of the root start: they apply in every state. */
export const anyStateId = (root: State): string => `${root.id}:any`;

/** Every arrow of a chart. Transitions within a state (to itself or into itself) have none, except those of the root. */
export function arrowsOf(root: State): Arrow[] {
  const ends = new Set(root.states.filter(({ type }) => type === 'final').map(({ id }) => id));
  const order = new Map(allStates(root).map(({ id }, index) => [id, index]));
  return allStates(root).flatMap((state, index) => {
    const inside = new Set(state === root ? [] : allStates(state).map(({ id }) => id));
    const leaving = state.transitions.filter(({ target }) => target !== null && !inside.has(target));
    const targets = [...new Set(leaving.flatMap(({ target }) => target ?? []))];
    return [
      ...initialArrow(state),
      ...targets.map((target): Arrow => {
        const source = state === root ? anyStateId(root) : state.id;
        const ending = state !== root && ends.has(target);
        const transitions = leaving.filter((transition) => transition.target === target);
        const backward = (order.get(target) ?? 0) < index;
        return { id: `${source}->${target}`, source, target, transitions, ending, backward };
      }),
    ];
  });
}

function initialArrow(state: State): Arrow[] {
  if (state.initial === null) return [];
  const source = initialDotId(state);
  return [
    {
      id: `${source}->${state.initial}`,
      source,
      target: state.initial,
      transitions: [],
      ending: false,
      backward: false,
    },
  ];
}
