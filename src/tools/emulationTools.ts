import { z } from 'zod';
import { networkPresets } from '../browser/page/pageEmulation.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { ToolAnswer } from './defineTool.js';

export const networkConditions = z.enum(networkPresets);
export const cpuThrottlingRate = z.number().min(1).max(100).describe('Times slower; 1: off');

/** What every tool of the group says: everything that is emulated on the page now, not only what was just set. */
export const emulationOutput = z.object({ emulated: z.record(z.string(), z.unknown()) });

export function answerEmulation(page: SessionPage): ToolAnswer<z.input<typeof emulationOutput>> {
  const { applied } = page.emulation;
  const lines = Object.entries(applied).map(([name, value]) => `${name}: ${valueText(value)}`);
  const head = `Emulated on page ${page.id}`;
  return {
    text: lines.length === 0 ? `${head}: nothing.` : [`${head}, until reset or the page closes:`, ...lines].join('\n'),
    structured: { emulated: { ...applied } },
  };
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
