import type { Chart } from '../src/inspector/wire.js';
import type { Area, Picture } from './layout.js';
import { anyStateId, initialDotId } from './arrows.js';
import { svgPathOf } from './stateSvg.js';

/** A laid-out chart as the inspector's page draws it: ids without the chart's own, as in a state value. */
export function inspectorChartOf(name: string, description: string, picture: Picture): Chart {
  const local = (id: string): string => (id === name ? '' : id.slice(name.length + 1));
  return {
    name,
    description,
    width: Math.ceil(picture.width),
    height: Math.ceil(picture.height),
    boxes: picture.boxes.map(({ state, depth, region, ...area }) => ({
      ...rounded(area),
      id: local(state.id),
      title: state.key,
      about: state.description,
      depth,
      kind: state.type === 'final' ? 'final' : region ? 'region' : 'plain',
      tags: state.tags,
    })),
    dots: picture.dots.map(rounded),
    any: picture.any === null ? null : rounded(picture.any),
    lines: picture.lines.map(({ source, target, points }) => ({
      source: sourceOf(source, picture, local),
      target: local(target),
      path: svgPathOf(points.map(({ x, y }) => ({ x: round(x), y: round(y) }))),
    })),
  };
}

function sourceOf(id: string, { boxes }: Picture, local: (id: string) => string): string | null {
  if (boxes.some(({ state }) => id === initialDotId(state))) return null;
  return boxes.some(({ state }) => id === anyStateId(state)) ? '*' : local(id);
}

function rounded({ x, y, width, height }: Area): Area {
  return { x: round(x), y: round(y), width: round(width), height: round(height) };
}

const round = (value: number): number => Math.round(value * 10) / 10;
