import { anyStateId, arrowsOf, initialDotId, type Arrow } from './arrows.js';
import { unlabelledRows } from './card.js';
import { allStates, transitionText, type State } from './chart.js';

/** The whole chart as a Mermaid state diagram. What Mermaid cannot draw (a transition into the own inside) is text. */
export function mermaidOf(root: State): string {
  const arrows = arrowsOf(root);
  const labelled = new Set(arrows.flatMap(({ transitions }) => transitions));
  const owners = new Map(allStates(root).map((state) => [initialDotId(state), state]));
  const isInitial = ({ source }: Arrow): boolean => owners.has(source);
  const states = (state: State, indent: string): string[] => [
    ...arrows
      .filter(({ source }) => source === initialDotId(state))
      .map(({ target }) => `${indent}[*] --> ${idOf(target)}`),
    ...state.states.flatMap((child, index) => [
      ...(state.type === 'parallel' && index > 0 ? [`${indent}--`] : []),
      ...declare(child, indent),
    ]),
  ];
  const declare = (state: State, indent: string): string[] => {
    const title = `${indent}state "${state.key}" as ${idOf(state.id)}`;
    const lines = [state.description, ...unlabelledRows(state, labelled)].map(clean);
    if (state.states.length === 0) return [title, ...lines.map((line) => `${indent}${idOf(state.id)}: ${line}`)];
    const note = lines.map((line) => `${indent}  ${line}`);
    return [
      `${title} {`,
      ...states(state, `${indent}  `),
      `${indent}}`,
      `${indent}note right of ${idOf(state.id)}`,
      ...note,
      `${indent}end note`,
    ];
  };
  const any = arrows.some(({ source }) => source === anyStateId(root))
    ? [`  state "any state" as ${idOf(anyStateId(root))}`]
    : [];
  const ends = root.states.filter(({ type }) => type === 'final').map(({ id }) => `  ${idOf(id)} --> [*]`);
  const drawn = arrows.filter((arrow) => !isInitial(arrow)).map(drawArrow);
  return ['stateDiagram-v2', '  direction TB', ...states(root, '  '), ...any, ...drawn, ...ends, ''].join('\n');
}

/** The states of the first level only, for a page that just wants the way through. */
export function overviewOf(root: State): string {
  const top = new Map(root.states.flatMap((state) => allStates(state).map(({ id }) => [id, state.id])));
  const steps = arrowsOf(root).flatMap(({ source, target }) => {
    const [from, to] = [top.get(source), top.get(target)];
    return from === undefined || to === undefined || from === to ? [] : [`  ${idOf(from)} --> ${idOf(to)}`];
  });
  const named = root.states.map(({ id, key }) => `  state "${key}" as ${idOf(id)}`);
  const initial = root.initial === null ? [] : [`  [*] --> ${idOf(root.initial)}`];
  return ['stateDiagram-v2', '  direction LR', ...named, ...initial, ...new Set(steps)].join('\n');
}

function drawArrow({ source, target, transitions }: Arrow): string {
  const label = transitions.map((transition) => clean(transitionText(transition))).join('<br/>');
  return `  ${idOf(source)} --> ${idOf(target)}: ${label}`;
}

/** Mermaid takes letters, digits and underscores. */
function idOf(id: string): string {
  return id.replace(/[^a-zA-Z0-9]/g, '_');
}

/** A semicolon ends a statement and a colon starts a label. */
function clean(text: string): string {
  return text.replaceAll(';', ',').replaceAll(':', ' –');
}
