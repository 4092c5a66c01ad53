import { z } from 'zod';
import { allowGeolocation } from '../../browser/page/pageEmulation.js';
import type { SessionPage } from '../../browser/page/sessionPage.js';
import { ToolError } from '../../errors/errors.js';
import { definePageTool } from '../defineTool.js';
import { answerEmulation, cpuThrottlingRate, emulationOutput, networkConditions } from '../emulationTools.js';

const viewport = z.strictObject({
  width: z.int().min(1).max(10_000),
  height: z.int().min(1).max(10_000),
  deviceScaleFactor: z.number().positive().optional(),
  mobile: z.boolean().optional(),
  touch: z.boolean().optional(),
});

const headerName = /^[\w!#$%&'*+.^`|~-]+$/;
const headerValue = /^[^\r\n\0]*$/;

/** What RFC 9110, section 5, allows: Chrome would drop the rest without a word. */
const headers = z
  .record(z.string(), z.string())
  .refine((given) => Object.entries(given).every(([name, value]) => headerName.test(name) && headerValue.test(value)), {
    error: 'a header is a token and one line of text',
  });

export const emulateTool = definePageTool({
  name: 'emulate',
  group: 'emulation',
  description: 'Make a page believe in another device, place, network or theme; says all that is emulated',
  input: z.strictObject({
    reset: z.boolean().optional().describe('First take everything off'),
    networkConditions: networkConditions.optional(),
    cpuThrottlingRate: cpuThrottlingRate.optional(),
    geolocation: z
      .strictObject({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180) })
      .optional(),
    userAgent: z.string().optional().describe('"": its own'),
    colorScheme: z.enum(['dark', 'light', 'auto']).optional(),
    viewport: viewport.optional(),
    extraHttpHeaders: headers.optional().describe('{}: none'),
  }),
  output: emulationOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ reset = false, ...settings }, { page }) {
    if (settings.geolocation) await allowLocation(page);
    if (reset) await page.emulation.reset();
    await page.emulation.apply(settings);
    return answerEmulation(page);
  },
});

/** Nobody is there to answer the question that a page's request for the place would open. */
async function allowLocation(page: SessionPage): Promise<void> {
  const { origin, protocol } = new URL(page.url());
  if (!protocol.startsWith('http')) {
    throw new ToolError('Sites get leave to know the place one by one: call navigate_page to one first.');
  }
  await allowGeolocation(page.page, origin);
}
