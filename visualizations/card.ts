import { isIgnored, transitionText, triggerText, type State, type Transition } from './chart.js';
import { measure, wrap } from './text.js';

export const padding = 12;
export const lineHeight = 17;
export const titleHeight = 26;
export const tagHeight = 17;
const fontSize = 12;
const titleSize = 15;
const tagSize = 11;
const labelWidth = 230;

interface CardLine {
  readonly text: string;
  readonly style: 'description' | 'row';
}

/** The text in the box of a state, and its size. */
export interface Card {
  readonly title: string;
  readonly titleWidth: number;
  readonly tags: readonly { readonly text: string; readonly width: number }[];
  readonly lines: readonly CardLine[];
  readonly width: number;
  readonly height: number;
}

/**
 * Text of a box: title, description, then every transition that no arrow is labelled with. Lines break at `maxWidth`.
 */
export function cardOf(state: State, labelled: ReadonlySet<Transition>, maxWidth: number): Card {
  const lines: CardLine[] = [
    ...wrap(state.description, fontSize, maxWidth).map((text) => ({ text, style: 'description' }) as const),
    ...unlabelledRows(state, labelled)
      .flatMap((row) => hangIndent(wrap(keepTogether(row), fontSize, maxWidth)))
      .map((text) => ({ text, style: 'row' }) as const),
  ];
  const tags = state.tags.map((text) => ({ text, width: measure(text, tagSize) + padding }));
  const titleWidth = measure(state.key, titleSize, true);
  const tagsWidth = tags.reduce((sum, tag) => sum + tag.width + padding / 2, 0);
  const linesWidth = Math.max(0, ...lines.map((line) => measure(line.text, fontSize)));
  return {
    title: state.key,
    titleWidth,
    tags,
    lines,
    width: Math.max(titleWidth + tagsWidth + padding, linesWidth) + 2 * padding,
    height: titleHeight + lines.length * lineHeight + padding,
  };
}

/** A box with the name of the state, and room for its dwell time. */
export function nameCard(state: State): Card {
  const titleWidth = measure(state.key, titleSize, true);
  const height = state.states.length === 0 ? titleHeight + padding : titleHeight;
  return { title: state.key, titleWidth, tags: [], lines: [], width: Math.max(96, titleWidth + 4 * padding), height };
}

/** The lines of an arrow's label, one transition after the other. */
export function labelLines(transitions: readonly Transition[]): string[] {
  return transitions.flatMap((transition) =>
    hangIndent(wrap(keepTogether(transitionText(transition)), fontSize, labelWidth)),
  );
}

export function labelSize(lines: readonly string[]): { width: number; height: number } {
  const width = Math.max(...lines.map((line) => measure(line, fontSize)));
  return { width: width + padding, height: lines.length * lineHeight + 4 };
}

/** The transitions of a state without a labelled arrow, a line each. */
export function unlabelledRows(state: State, labelled: ReadonlySet<Transition>): string[] {
  const unlabelled = state.transitions.filter((transition) => !labelled.has(transition));
  const ignored = unlabelled.filter((transition) => isIgnored(transition) && transition.guard === null);
  return [
    ...state.invokes.map((actor) => `runs ${actor}`),
    ...state.entry.map((action) => `entry / ${action}`),
    ...state.exit.map((action) => `exit / ${action}`),
    ...unlabelled.filter((transition) => !ignored.includes(transition)).map(rowOf),
    ...(ignored.length === 0 ? [] : [`ignores ${ignored.map(({ trigger }) => triggerText(trigger)).join(', ')}`]),
  ];
}

function rowOf(transition: Transition): string {
  if (isIgnored(transition)) return `${transitionText(transition)} / nothing`;
  const target = transition.target?.split('.').at(-1);
  return `${transitionText(transition)}${target === undefined ? '' : ` → ${target}`}`;
}

/** Keeps a symbol on the line of the word that follows it. */
function keepTogether(text: string): string {
  return text.replace(/([/→]) /g, '$1\u00a0');
}

/** A hanging indent, of spaces that SVG does not collapse. */
function hangIndent(lines: readonly string[]): string[] {
  return lines.map((line, index) => (index === 0 ? line : `\u00a0\u00a0\u00a0${line}`));
}
