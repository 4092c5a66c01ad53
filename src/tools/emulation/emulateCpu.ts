import { z } from 'zod';
import { definePageTool } from '../defineTool.js';
import { answerEmulation, cpuThrottlingRate, emulationOutput } from '../emulationTools.js';

export const emulateCpuTool = definePageTool({
  name: 'emulate_cpu',
  group: 'emulation',
  description: 'Slow the CPU down for a page',
  input: z.strictObject({ cpuThrottlingRate }),
  output: emulationOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler(args, { page }) {
    await page.emulation.apply(args);
    return answerEmulation(page);
  },
});
