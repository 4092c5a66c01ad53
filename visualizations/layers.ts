import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { table } from './markdown.js';
import { rect, svgDocument } from './svgDocument.js';
import { escapeXml } from './text.js';

const openTo = z.union([z.literal('all'), z.array(z.string())]);

const schema = z.strictObject({
  layers: z.array(z.strictObject({ name: z.string(), paths: z.array(z.string()), about: z.string() })),
  sharedModules: z.array(
    z.strictObject({
      name: z.string(),
      paths: z.array(z.string()),
      openTo,
      types: z.literal('all').optional(),
      imports: z.array(z.string()).optional(),
    }),
  ),
  packages: z.array(z.strictObject({ name: z.string(), openTo })),
});

/**
 * Who may import whom. A layer imports the layers after it; a shared module or package may be imported by those in `openTo`,
 * its types also by those in `types`; `imports` are the layers that a shared module imports. Lint reads the same list.
 */
type Layers = z.output<typeof schema>;

export async function readLayers(root: string): Promise<Layers> {
  return schema.parse(JSON.parse(await readFile(join(root, '.config/layers.json'), 'utf8')));
}

/** How a layer may import a shared module or package. */
function accessOf(
  layer: string,
  target: Layers['sharedModules'][number] | Layers['packages'][number],
): 'all' | 'types' | 'none' {
  if (target.openTo === 'all' || target.openTo.includes(layer)) return 'all';
  return 'types' in target && target.types === 'all' ? 'types' : 'none';
}

const row = { height: 50, gap: 20, width: 400 };
const column = { width: 46, first: 448 };
const headHeight = 190;

/** The layers from top to bottom, and beside each one what else it may import. */
export function layersSvgOf(layers: Layers): string {
  const groups = [layers.sharedModules, layers.packages];
  const columns = groups.flatMap((modules, group) => modules.map((module) => ({ module, group })));
  const xOf = (index: number, group: number): number => column.first + index * column.width + group * column.width;
  const yOf = (index: number): number => headHeight + index * (row.height + row.gap);
  const height = yOf(layers.layers.length) + 28;
  const width = xOf(columns.length, 1) + 60;
  const elements = [
    `<text class="title" x="4" y="24">Who may import whom</text>`,
    `<text class="description" x="4" y="46">A layer imports the layers below it, never one above.</text>`,
    ...columns.flatMap(({ module, group }, index) => [
      drawHead(module.name, xOf(index, group)),
      ...layers.layers.map(({ name }, line) =>
        drawAccess(accessOf(name, module), xOf(index, group), yOf(line) + row.height / 2),
      ),
    ]),
    ...layers.layers.flatMap(({ name, about }, index) => [
      drawLayer(name, about, yOf(index)),
      ...(index === 0 ? [] : [drawStep(yOf(index))]),
    ]),
    ...drawLegend(yOf(layers.layers.length) + 8),
  ];
  return svgDocument('Who may import whom', { width, height }, elements);
}

/** The same as text, for readers and searches. */
export function layersPageOf(layers: Layers): string {
  const listOf = (openTo: string | readonly string[]): string =>
    typeof openTo === 'string' ? 'all' : openTo.map((name) => `\`${name}\``).join(', ');
  return [
    '# Layers',
    '',
    'A layer imports the layers below it, never one above. Drawn from `.config/layers.json`, the list that lint checks.',
    '',
    '![Who may import whom](layers.svg)',
    '',
    table(
      ['layer', 'files', 'what it is'],
      layers.layers.map(({ name, paths, about }) => [`\`${name}\``, paths.join(', '), about]),
    ),
    '',
    table(
      ['shared module', 'files', 'may be imported by', 'its types by', 'may import'],
      layers.sharedModules.map((module) => [
        `\`${module.name}\``,
        module.paths.join(', '),
        listOf(module.openTo),
        listOf(module.types ?? module.openTo),
        listOf(module.imports ?? []),
      ]),
    ),
    '',
    table(
      ['package', 'may be imported by'],
      layers.packages.map(({ name, openTo }) => [`\`${name}\``, listOf(openTo)]),
    ),
    '',
  ].join('\n');
}

function drawLayer(name: string, about: string, y: number): string {
  return [
    rect('box', { x: 0, y, width: row.width, height: row.height }, 10),
    `<text class="title" x="14" y="${y + 21}">${escapeXml(name)}</text>`,
    `<text class="description" x="14" y="${y + 39}">${escapeXml(about)}</text>`,
  ].join('\n');
}

function drawStep(y: number): string {
  return `<path class="arrow" d="M${row.width / 2} ${y - row.gap}V${y}"/>`;
}

function drawHead(name: string, x: number): string {
  const y = headHeight - 14;
  return `<text class="label" transform="translate(${x} ${y}) rotate(-50)">${escapeXml(name)}</text>`;
}

function drawAccess(access: 'all' | 'types' | 'none', x: number, y: number): string {
  if (access === 'none') return `<circle class="dot" cx="${x}" cy="${y}" r="1.5"/>`;
  return access === 'all'
    ? `<circle class="dot" cx="${x}" cy="${y}" r="6"/>`
    : `<circle class="types" cx="${x}" cy="${y}" r="5.5"/>`;
}

function drawLegend(y: number): string[] {
  const x = column.first;
  return [
    drawAccess('all', x, y),
    `<text class="description" x="${x + 14}" y="${y + 4}">may import</text>`,
    drawAccess('types', x + 110, y),
    `<text class="description" x="${x + 124}" y="${y + 4}">types only</text>`,
  ];
}
