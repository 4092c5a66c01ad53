import { h, type ComponentChild } from 'preact';
import type { Chart, ChartArea, ChartBox, Leaves } from '../wire.js';
import { formatDuration } from './format.js';

/** What is highlighted in a chart: entered states, visited states, taken transitions. */
export interface ChartHighlight {
  readonly leaves: Leaves;
  /** Time spent in each state, by its id. */
  readonly dwell: Readonly<Record<string, number>>;
  /** The transitions, as leaves before and after. */
  readonly moves: readonly { readonly from: Leaves; readonly to: Leaves }[];
  /** Texts to show in states instead of dwell times. */
  readonly notes?: Readonly<Record<string, string>>;
}

/** A chart with its current state highlighted, its path marked, and the dwell time of each state. */
export function chartView(chart: Chart, lighting: ChartHighlight): ComponentChild {
  const lit = enteredBy(lighting.leaves);
  const taken = arrowsTaken(lighting.moves);
  const { any } = chart;
  const margin = 6;
  const [width, height] = [chart.width + 2 * margin, chart.height + 2 * margin];
  return h(
    'svg',
    {
      class: 'chart',
      viewBox: `${-margin} ${-margin} ${width} ${height}`,
      style: { maxWidth: `${width}px` },
      role: 'img',
      'aria-label': `${chart.name} chart; now in ${lighting.leaves.join(' and ') || 'no state'}`,
      'data-chart': chart.name,
    },
    chart.boxes.map((box) => drawBox(box, lit, lighting)),
    chart.lines.map(({ source, target, path }) => {
      const isTaken = source === null ? lit.has(target) || target in lighting.dwell : taken.has(`${source}>${target}`);
      return [
        h('path', { class: `line${isTaken ? ' taken' : ''}`, d: path }),
        h('path', { class: `tip${isTaken ? ' taken' : ''}`, d: arrowHead(path) }),
      ];
    }),
    any !== null && anyStateMarker(any),
    chart.dots.map(({ x, y, width: size }) => h('circle', { class: 'dot', cx: x + size / 2, cy: y + size / 2, r: 4 })),
  );
}

function drawBox(
  box: ChartBox,
  lit: ReadonlySet<string>,
  { leaves, dwell, notes = {} }: ChartHighlight,
): ComponentChild {
  const { id, x, y, width, height, title, about, depth, kind, tags } = box;
  const isLeaf = height < 60;
  const marks = [lit.has(id) && 'lit', leaves.includes(id) && 'leaf', id in dwell && 'visited', depth === 0 && 'root'];
  const classes = ['state', kind, ...tags, ...marks.filter((mark) => mark !== false)].join(' ');
  const ms = dwell[id];
  const caption = notes[id] ?? (ms === undefined ? '' : formatDuration(ms));
  const titleY = caption === '' ? height / 2 + 4 : 16;
  return h(
    'g',
    { class: classes, 'data-state': id },
    h('title', null, about),
    h('rect', { x, y, width, height, rx: isLeaf ? 8 : 11 }),
    kind === 'final' && h('rect', { class: 'ring', x: x + 3, y: y + 3, width: width - 6, height: height - 6, rx: 6 }),
    h('text', { x: x + (isLeaf ? width / 2 : 12), y: y + (isLeaf ? titleY : 19), class: isLeaf ? 'mid' : '' }, title),
    isLeaf
      ? h('text', { class: 'mid dwell', x: x + width / 2, y: y + 30 }, caption)
      : h('text', { class: 'end dwell', x: x + width - 12, y: y + 19 }, caption),
  );
}

function anyStateMarker({ x, y, width, height }: ChartArea): ComponentChild {
  return h(
    'g',
    { class: 'any' },
    h('rect', { x, y, width, height, rx: height / 2 }),
    h('text', { class: 'mid', x: x + width / 2, y: y + 17 }, 'any state'),
  );
}

/** The leaves and their ancestors. */
export function enteredBy(leaves: Leaves): Set<string> {
  return new Set(leaves.flatMap((leaf) => leaf.split('.').map((_, index, keys) => keys.slice(0, index + 1).join('.'))));
}

/** The arrows from exited states to entered states. */
function arrowsTaken(moves: ChartHighlight['moves']): Set<string> {
  const taken = new Set<string>();
  for (const { from, to } of moves) {
    const [before, after] = [enteredBy(from), enteredBy(to)];
    for (const source of before)
      for (const target of after) if (!after.has(source) && !before.has(target)) taken.add(`${source}>${target}`);
  }
  return taken;
}

/** The head of an arrow, at the end of its path: an SVG marker would not inherit the colour of the line. */
function arrowHead(path: string): string {
  const [ex = 0, ey = 0, bx = 0, by = 0] = lastPoints(path);
  const angle = Math.atan2(ey - by, ex - bx);
  const at = (turn: number): string => `${ex - 7 * Math.cos(angle + turn)} ${ey - 7 * Math.sin(angle + turn)}`;
  return `M${ex} ${ey}L${at(0.45)}L${at(-0.45)}Z`;
}

function lastPoints(path: string): number[] {
  const numbers = [...path.matchAll(/-?\d+(?:\.\d+)?/g)].map(([digits]) => Number(digits));
  const [bx = 0, by = 0, ex = 0, ey = 0] = numbers.slice(-4);
  return [ex, ey, bx, by];
}
