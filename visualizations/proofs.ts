import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { table } from './markdown.js';
import { rect, svgDocument } from './svgDocument.js';
import { escapeXml } from './text.js';

const proofSchema = z.strictObject({
  world: z.string(),
  states: z.number(),
  transitions: z.number(),
  depth: z.number(),
  chartStates: z.number(),
  layers: z.array(z.number()),
});
const scoreSchema = z.strictObject({
  chart: z.string(),
  mutants: z.number(),
  noticed: z.number(),
  equivalent: z.number(),
});
const ordersSchema = z.strictObject({
  code: z.string(),
  states: z.number(),
  steps: z.number(),
});
const recordSchema = z.strictObject({
  proofs: z.array(proofSchema),
  orders: z.array(ordersSchema),
  scores: z.array(scoreSchema),
});

/** What `npm run prove` explored: complete, and without a violation. Checked by test/prove. */
export type ProofRecord = z.output<typeof recordSchema>;

export const proofRecordPath = 'visualizations/proofs.json';

export function readProofs(root: string): ProofRecord {
  return recordSchema.parse(JSON.parse(readFileSync(join(root, proofRecordPath), 'utf8')));
}

/** The table of what is proved at which bound, of the real code in every order, and of how many changes of each chart are noticed. */
export function proofTables({ proofs, orders, scores }: ProofRecord): string {
  // Of the bounds of one kind of session the largest, which brought no new state of the chart.
  const kinds = new Map(proofs.map((proof) => [proof.world.split('; ', 1).join(), proof]));
  const rows = [...kinds.values()].map(({ world, states, transitions, depth, chartStates }) =>
    [world, states, transitions, depth, chartStates].map(String),
  );
  const changes = scores.map(({ chart, mutants, noticed, equivalent }) =>
    [chart, mutants, noticed, equivalent].map(String),
  );
  return [
    table(['complete, 0 violations', 'states', 'transitions', 'depth', 'states of the chart'], rows),
    table(
      ['the code that runs, in every order', 'states', 'steps, or orders of sessions'],
      orders.map(({ code, states, steps }) => [code, states, steps].map(String)),
    ),
    table(['chart or scripts', 'changes', 'noticed', 'change nothing'], changes),
  ].join('\n\n');
}

const barHeight = 16;
const pitch = 20;
const left = 70;
const maxBar = 520;

/** The largest exploration of one session: as many states as there are at each number of moves from the start. */
export function proofSvgOf({ proofs }: ProofRecord): string {
  const sessions = proofs.filter(({ world }) => world.startsWith('session: '));
  const [largest] = sessions.toSorted((one, other) => other.states - one.states);
  const layers = largest?.layers ?? [];
  const most = Math.max(1, ...layers);
  const text = (x: number, y: number, words: string, className: string): string =>
    `<text class="${className}" x="${x}" y="${y}">${escapeXml(words)}</text>`;
  const bars = layers.flatMap((count, depth) => {
    const y = 44 + depth * pitch;
    const width = Math.max(2, Math.round((maxBar * count) / most));
    return [
      text(4, y + 12, `${depth} moves`, 'description'),
      rect('box open', { x: left, y, width, height: barHeight }, 3),
      text(left + width + 8, y + 12, String(count), 'label'),
    ];
  });
  const height = 44 + layers.length * pitch;
  return svgDocument('The explored graph of a session, by layers', { width: left + maxBar + 60, height }, [
    text(4, 14, 'States at each number of moves from the start', 'title'),
    text(4, 32, largest?.world ?? '', 'description'),
    ...bars,
  ]);
}
