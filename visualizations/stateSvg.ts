import { lineHeight, padding, tagHeight, titleHeight, type Card } from './card.js';
import type { Area, Box, ArrowLine, Picture, Point } from './layout.js';
import { svgDocument, rect } from './svgDocument.js';
import { escapeXml } from './text.js';

/** Draws a laid-out chart: nested boxes, initial dots, double borders for final states, dashed ones for regions. */
export function drawChart(picture: Picture, title: string): string {
  return svgDocument(title, picture, [
    ...picture.boxes.map(drawBox),
    ...drawArrows(picture),
    ...picture.lines.flatMap(({ label }) => (label === null ? [] : [drawLabel(label)])),
  ]);
}

/** The arrows and their start markers. */
export function drawArrows({ lines, dots, any }: Picture): string[] {
  return [...lines.map(drawLine), ...dots.map(drawDot), ...(any === null ? [] : [drawAny(any)])];
}

function drawBox(box: Box): string {
  const { state, card, depth, region } = box;
  const classes = ['box', `depth${depth}`, ...state.tags, ...(region ? ['region'] : [])];
  const ring = 4;
  const inner = { x: box.x + ring, y: box.y + ring, width: box.width - 2 * ring, height: box.height - 2 * ring };
  return [
    `<g id="${escapeXml(state.id)}">`,
    rect(classes.join(' '), box, 10),
    ...(state.type === 'final' ? [rect('ring', inner, 10 - ring)] : []),
    ...drawCard(card, { x: box.x + padding, y: box.y }),
    '</g>',
  ].join('\n');
}

function drawCard(card: Card, { x, y }: Point): string[] {
  return [
    `<text class="title" x="${x}" y="${y + 22}">${escapeXml(card.title)}</text>`,
    ...drawTags(card, { x: x + card.titleWidth + padding, y: y + 8 }),
    ...card.lines.map(({ text, style }, index) => {
      const baseline = y + titleHeight + 14 + index * lineHeight;
      const content = style === 'row' ? twoTone(text) : escapeXml(text);
      return `<text class="${style}" x="${x}" y="${baseline}">${content}</text>`;
    }),
  ];
}

function drawTags({ tags }: Card, start: Point): string[] {
  let x = start.x;
  return tags.map(({ text, width }) => {
    const pill = rect(`pill ${text}`, { x, y: start.y, width, height: tagHeight }, tagHeight / 2);
    const label = `<text class="tag" x="${x + width / 2}" y="${start.y + 12.5}">${escapeXml(text)}</text>`;
    x += width + padding / 2;
    return pill + label;
  });
}

function drawDot({ x, y, width }: Area): string {
  return `<circle class="dot" cx="${x + width / 2}" cy="${y + width / 2}" r="${width / 2}"/>`;
}

function drawAny(area: Area): string {
  const label = `<text class="tag" x="${area.x + area.width / 2}" y="${area.y + 17}">any state</text>`;
  return rect('any', area, area.height / 2) + label;
}

const cornerRadius = 6;

function drawLine({ points, ending }: ArrowLine): string {
  return `<path class="arrow${ending ? ' ending' : ''}" d="${svgPathOf(points)}"/>`;
}

/** An orthogonal line with rounded corners, as the data of an SVG path. */
export function svgPathOf(points: readonly Point[]): string {
  const [first, ...rest] = points;
  if (first === undefined) return '';
  const path = rest.map((point, index) => {
    const next = rest[index + 1];
    if (next === undefined) return `L${point.x} ${point.y}`;
    const before = towards(point, points[index] ?? first);
    const after = towards(point, next);
    return `L${before.x} ${before.y}Q${point.x} ${point.y} ${after.x} ${after.y}`;
  });
  return `M${first.x} ${first.y}${path.join('')}`;
}

/** The point between a corner and its neighbour at which the rounding ends. */
function towards(corner: Point, neighbour: Point): Point {
  const dx = neighbour.x - corner.x;
  const dy = neighbour.y - corner.y;
  const length = Math.hypot(dx, dy);
  const share = length === 0 ? 0 : Math.min(cornerRadius, length / 2) / length;
  return { x: corner.x + dx * share, y: corner.y + dy * share };
}

function drawLabel(label: Area & { readonly lines: readonly string[] }): string {
  const rows = label.lines.map((line, index) => {
    const baseline = label.y + 14 + index * lineHeight;
    return `<text class="label" x="${label.x + padding / 2}" y="${baseline}">${twoTone(line)}</text>`;
  });
  return rows.join('\n');
}

/** The trigger in full colour; guard and actions in a paler one. */
function twoTone(line: string): string {
  const [trigger = ''] = /^[^[/→]*/.exec(line) ?? [];
  const rest = line.slice(trigger.length);
  return escapeXml(trigger) + (rest === '' ? '' : `<tspan class="effect">${escapeXml(rest)}</tspan>`);
}
