import elkModule, { type ElkExtendedEdge, type ElkNode, type LayoutOptions } from 'elkjs/lib/elk.bundled.js';
import { anyStateId, arrowsOf, initialDotId, type Arrow } from './arrows.js';
import { cardOf, labelLines, labelSize, nameCard, padding, type Card } from './card.js';
import { allStates, type State } from './chart.js';

// The package is CommonJS and exports the class as `default`, which Node and TypeScript see one level apart.
const Elk = elkModule.default;

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Area extends Point {
  readonly width: number;
  readonly height: number;
}

export interface Box extends Area {
  readonly state: State;
  readonly card: Card;
  readonly depth: number;
  /** A region of a parallel state. */
  readonly region: boolean;
}

export interface ArrowLine {
  /** Ids of the connected states or markers (arrows.ts). */
  readonly source: string;
  readonly target: string;
  readonly points: readonly Point[];
  readonly ending: boolean;
  readonly label: (Area & { readonly lines: readonly string[] }) | null;
}

/** A laid-out chart, in pixels from the top left. Boxes come outer before inner. */
export interface Picture extends Area {
  readonly boxes: readonly Box[];
  readonly dots: readonly Area[];
  /** The marker "any state" of charts that have transitions on their root. */
  readonly any: Area | null;
  readonly lines: readonly ArrowLine[];
}

const dotSize = { width: 12, height: 12 };
const leafTextWidth = 290;
const anySize = { width: 84, height: 26 };

const rootOptions = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.hierarchyHandling': 'INCLUDE_CHILDREN',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.json.shapeCoords': 'ROOT',
  'elk.json.edgeCoords': 'ROOT',
  'elk.randomSeed': '1',
};

/** The main path is kept straight and short, at the cost of the arrows to final states. */
const preferred = { 'elk.layered.priority.straightness': '10', 'elk.layered.priority.shortness': '10' };

/** Every box is laid out as a graph of its own, which does not inherit these options. */
const levelOptions = {
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.spacing.nodeNode': '28',
  'elk.spacing.edgeNode': '18',
  'elk.spacing.edgeEdge': '14',
  'elk.spacing.edgeLabel': '4',
  'elk.layered.spacing.nodeNodeBetweenLayers': '34',
  'elk.layered.spacing.edgeNodeBetweenLayers': '18',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '14',
};

/** For pictures without text on the arrows, which must fit on a screen. */
const tightLevelOptions = {
  ...levelOptions,
  'elk.spacing.nodeNode': '16',
  'elk.spacing.edgeNode': '10',
  'elk.layered.spacing.nodeNodeBetweenLayers': '20',
  'elk.layered.spacing.edgeNodeBetweenLayers': '10',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '10',
};

/**
 * Lays a chart out. The same chart gives the same picture each time. The first round finds how wide the outer boxes get,
 * the second breaks their text to that width. With `names` the boxes hold nothing but their names.
 */
export async function layOut(root: State, text: 'full' | 'names' = 'full'): Promise<Picture> {
  if (text === 'names') return layOutWith(root, new Map(), text);
  const narrow = await layOutWith(root, new Map());
  return layOutWith(root, new Map(narrow.boxes.map(({ state, width }) => [state, width - 2 * padding])));
}

async function layOutWith(
  root: State,
  textWidths: ReadonlyMap<State, number>,
  text: 'full' | 'names' = 'full',
): Promise<Picture> {
  const arrows = withoutRedundantEnds(arrowsOf(root));
  const labelled = new Set(arrows.flatMap((arrow) => (arrow.ending ? [] : arrow.transitions)));
  const textWidth = (state: State): number =>
    state.states.length === 0 ? leafTextWidth : (textWidths.get(state) ?? leafTextWidth);
  const cards = new Map(
    allStates(root).map((state) => [
      state,
      text === 'full' ? cardOf(state, labelled, textWidth(state)) : nameCard(state),
    ]),
  );
  const graph = graphOf(root, cards, text === 'full' ? levelOptions : tightLevelOptions);
  const any = arrows.some(({ source }) => source === anyStateId(root)) ? [{ id: anyStateId(root), ...anySize }] : [];
  const placed = await new Elk().layout({
    ...graph,
    children: [...any, ...(graph.children ?? [])],
    layoutOptions: { ...graph.layoutOptions, ...rootOptions },
    edges: arrows.map((arrow) => edgeOf(arrow, text === 'full')),
  });
  return readPicture(root, cards, arrows, placed);
}

/**
 * Almost every state has a transition to the final state, which its box names. Only the outermost and latest one is drawn as
 * an arrow: more arrows would push the boxes apart.
 */
function withoutRedundantEnds(arrows: readonly Arrow[]): Arrow[] {
  const depth = ({ source }: Arrow): number => source.split('.').length;
  const shown = new Map<string, Arrow>();
  for (const arrow of arrows.filter(({ ending }) => ending)) {
    const best = shown.get(arrow.target);
    if (best === undefined || depth(arrow) <= depth(best)) shown.set(arrow.target, arrow);
  }
  return arrows.filter((arrow) => !arrow.ending || shown.get(arrow.target) === arrow);
}

function graphOf(state: State, cards: ReadonlyMap<State, Card>, options: LayoutOptions): ElkNode {
  const { width, height } = required(cards.get(state), state.id);
  if (state.states.length === 0) return { id: state.id, width, height };
  const dot = state.initial === null ? [] : [{ id: initialDotId(state), ...dotSize }];
  return {
    id: state.id,
    layoutOptions: {
      ...options,
      'elk.padding': paddingBelow(height, options),
      'elk.nodeSize.constraints': '[MINIMUM_SIZE]',
      'elk.nodeSize.minimum': `(${width},${height})`,
    },
    children: [...dot, ...state.states.map((child) => graphOf(child, cards, options))],
  };
}

function paddingBelow(top: number, options: LayoutOptions): string {
  const side = options === tightLevelOptions ? 12 : 18;
  return `[top=${top + 8},left=${side},bottom=${side},right=${side}]`;
}

/** All edges belong to the root, whatever they connect, so that their coordinates do. */
function edgeOf({ id, source, target, transitions, ending, backward }: Arrow, labelled: boolean): ElkExtendedEdge {
  const lines = ending || !labelled ? [] : labelLines(transitions);
  const labels = lines.length === 0 ? [] : [{ text: lines.join('\n'), ...labelSize(lines) }];
  const direction = { 'elk.layered.priority.direction': backward ? '0' : '10' };
  return {
    id,
    sources: [source],
    targets: [target],
    labels,
    layoutOptions: ending ? {} : { ...preferred, ...direction },
  };
}

function readPicture(root: State, cards: ReadonlyMap<State, Card>, arrows: readonly Arrow[], placed: ElkNode): Picture {
  const nodes = new Map(allNodes(placed).map((node) => [node.id, areaOf(node)]));
  const edges = new Map((placed.edges ?? []).map((edge) => [edge.id, edge]));
  const boxesOf = (state: State, depth: number, region: boolean): Box[] => [
    { ...required(nodes.get(state.id), state.id), state, card: required(cards.get(state), state.id), depth, region },
    ...state.states.flatMap((child) => boxesOf(child, depth + 1, state.type === 'parallel')),
  ];
  return {
    ...areaOf(placed),
    boxes: boxesOf(root, 0, false),
    dots: allStates(root).flatMap((state) => nodes.get(initialDotId(state)) ?? []),
    any: nodes.get(anyStateId(root)) ?? null,
    lines: arrows.map((arrow) => lineOf(arrow, required(edges.get(arrow.id), arrow.id))),
  };
}

function allNodes(node: ElkNode): ElkNode[] {
  return [node, ...(node.children ?? []).flatMap(allNodes)];
}

function areaOf({ x = 0, y = 0, width = 0, height = 0 }: Partial<Area>): Area {
  return { x, y, width, height };
}

function lineOf({ source, target, ending }: Arrow, edge: ElkExtendedEdge): ArrowLine {
  const section = required(edge.sections?.[0], edge.id);
  const label = edge.labels?.[0];
  return {
    source,
    target,
    points: [section.startPoint, ...(section.bendPoints ?? []), section.endPoint],
    ending,
    label: label === undefined ? null : { ...areaOf(label), lines: (label.text ?? '').split('\n') },
  };
}

function required<Value>(value: Value | undefined, id: string): Value {
  if (value === undefined) throw new Error(`The layout lost "${id}".`);
  return value;
}
