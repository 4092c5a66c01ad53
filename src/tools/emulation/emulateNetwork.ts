import { z } from 'zod';
import { definePageTool } from '../defineTool.js';
import { answerEmulation, emulationOutput, networkConditions } from '../emulationTools.js';

export const emulateNetworkTool = definePageTool({
  name: 'emulate_network',
  group: 'emulation',
  description: "Slow a page's network down, or cut it",
  input: z.strictObject({ networkConditions }),
  output: emulationOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler(args, { page }) {
    await page.emulation.apply(args);
    return answerEmulation(page);
  },
});
