import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { State } from './chart.js';
import type { Box, Picture } from './layout.js';
import { drawArrows } from './stateSvg.js';
import { rect, svgDocument } from './svgDocument.js';
import { escapeXml } from './text.js';

const schema = z.strictObject({
  states: z.record(z.string(), z.boolean()),
  transitions: z.record(z.string(), z.union([z.boolean(), z.string()])),
});

/**
 * What the model-based tests reached with the real server: for each state whether it was entered; for each transition
 * whether it was taken, or why only the chart alone takes it. Recorded and checked by test/model.
 */
type Coverage = z.output<typeof schema>;

export async function readCoverage(root: string): Promise<Coverage> {
  return schema.parse(JSON.parse(await readFile(join(root, 'visualizations/coverage.json'), 'utf8')));
}

const lineHeight = 19;
const gap = 28;

/** The session chart: each state with the share of its transitions that the tests took, and what only the chart alone takes. */
export function coverageSvgOf(picture: Picture, { states, transitions }: Coverage): string {
  const entries = Object.entries(transitions);
  const reasons = [...new Set(entries.flatMap(([, taken]) => (typeof taken === 'string' ? [taken] : [])))];
  const possible = entries.filter(([, taken]) => typeof taken === 'boolean');
  const taken = possible.filter(([, isTaken]) => isTaken === true).length;
  const notes = [
    `${percent(taken, possible.length)}: ${taken} of ${possible.length} transitions taken through the real server.`,
    `${entries.length - possible.length} others are taken by the chart alone, since the server never lets them happen:`,
    ...reasons.map((reason) => `${entries.filter(([, why]) => why === reason).length} × ${reason}`),
  ];
  const width = Math.max(picture.width, 620);
  const height = picture.height + gap + notes.length * lineHeight;
  return svgDocument('What the model-based tests took of the session chart', { width, height }, [
    ...picture.boxes.map((box) => drawBox(box, states, entries)),
    ...drawArrows(picture),
    ...notes.map((note, index) => {
      const y = picture.height + gap + index * lineHeight;
      return `<text class="${index === 0 ? 'title' : 'description'}" x="4" y="${y}">${escapeXml(note)}</text>`;
    }),
  ]);
}

const percent = (part: number, whole: number): string => `${Math.floor((100 * part) / Math.max(1, whole))} %`;

function drawBox(box: Box, states: Coverage['states'], transitions: [string, boolean | string][]): string {
  const { state, x, y, width, depth } = box;
  const own = transitions.filter(([name]) => name.startsWith(`${state.id}: `));
  const possible = own.filter(([, taken]) => typeof taken === 'boolean');
  const taken = possible.filter(([, isTaken]) => isTaken === true).length;
  const isCovered = possible.length > 0 ? taken === possible.length : states[state.id] === true;
  const label = possible.length > 0 ? `${taken}/${possible.length}` : labelFor(state, states);
  const isLeaf = state.states.length === 0;
  const tone = depth === 0 ? '' : isCovered ? ' open' : ' early';
  return [
    rect(`box depth${depth}${tone}`, box, 10),
    `<text class="title" x="${x + 12}" y="${y + (isLeaf ? 17 : 22)}">${escapeXml(state.key)}</text>`,
    `<text class="effect${isLeaf ? '' : ' end'}" x="${isLeaf ? x + 12 : x + width - 10}" y="${y + (isLeaf ? 32 : 21)}">${label}</text>`,
  ].join('\n');
}

/** A state without transitions of its own that can be taken. */
function labelFor(state: State, states: Coverage['states']): string {
  return states[state.id] === true ? 'entered' : 'passed through';
}
