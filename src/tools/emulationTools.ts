import { z } from 'zod';
import { networkPresets, permissionStates, setPermissions } from '../browser/page/pageEmulation.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { type ToolAnswer, definePageTool, type Tool } from './defineTool.js';
import { ToolError } from '../errors/errors.js';

export const networkConditions = z.enum(networkPresets).describe('Speed');
export const cpuThrottlingRate = z.number().min(1).max(100).describe('Times slower; 1: off');

const credentialHeaders = /^(?:authorization|cookie|proxy-authorization|x-api-key|x-auth-token)$/i;

/** The output of every tool of the group: all emulation of the page, not only the last change. */
const emulationOutput = z.object({ emulated: z.record(z.string(), z.unknown()) });

function answerEmulation(
  page: SessionPage,
  permissions: Readonly<Record<string, string>> = {},
): ToolAnswer<z.input<typeof emulationOutput>> {
  const set = Object.keys(permissions).length > 0 ? { permissions } : {};
  const applied: Readonly<Record<string, unknown>> = { ...page.emulation.applied, ...set };
  const lines = Object.entries(applied).map(([name, value]) => `${name}: ${valueText(value)}`);
  const secret = Object.keys(page.emulation.applied.extraHttpHeaders ?? {}).find((name) =>
    credentialHeaders.test(name),
  );
  if (secret !== undefined) lines.push(`${secret} goes to every site that the page asks, not only to its own.`);
  const head = `Emulated on page ${page.id}`;
  return {
    text: lines.length === 0 ? `${head}: nothing.` : [`${head}, until reset or the page closes:`, ...lines].join('\n'),
    structured: { emulated: { ...applied } },
  };
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const viewport = z.strictObject({
  width: z.int().min(1).max(10_000).describe('CSS pixels'),
  height: z.int().min(1).max(10_000).describe('CSS pixels'),
  deviceScaleFactor: z.number().positive().optional().describe('Device pixels per CSS pixel'),
  mobile: z.boolean().optional().describe('Layout of a phone'),
  touch: z.boolean().optional().describe('Has a touch screen'),
});

const headerName = /^[\w!#$%&'*+.^`|~-]+$/;
const headerValue = /^[^\r\n\0]*$/;

/** Valid by RFC 9110, section 5: Chrome drops other headers without an error. */
const headers = z
  .record(z.string(), z.string())
  .refine(
    (fields) => Object.entries(fields).every(([name, value]) => headerName.test(name) && headerValue.test(value)),
    {
      error: 'a header name must be a token, its value one line of text',
    },
  );

/** What a page can emulate before it is at a site. */
export const startSettings = z.strictObject({
  networkConditions: networkConditions.optional(),
  cpuThrottlingRate: cpuThrottlingRate.optional(),
  userAgent: z.string().optional().describe('"": the real one'),
  colorScheme: z.enum(['dark', 'light', 'auto']).optional().describe('auto: not emulated'),
  contrast: z.enum(['more', 'less', 'auto']).optional().describe('prefers-contrast'),
  reducedMotion: z.boolean().optional().describe('prefers-reduced-motion'),
  forcedColors: z.boolean().optional().describe('High contrast'),
  viewport: viewport.optional().describe('Its size'),
  extraHttpHeaders: headers.optional().describe('Sent to every site; {}: none'),
});

const emulateTool = definePageTool({
  name: 'emulate',
  title: 'Emulate',
  group: 'emulation',
  description: 'Emulate device, location, permissions, network or preferences of a page. Omitted settings stay',
  input: startSettings.extend({
    reset: z.boolean().optional().describe('First end all emulation'),
    geolocation: z
      .strictObject({
        latitude: z.number().min(-90).max(90).describe('Degrees'),
        longitude: z.number().min(-180).max(180).describe('Degrees'),
      })
      .optional()
      .describe('Location'),
    permissions: z
      .record(z.string(), z.enum(permissionStates))
      .optional()
      .describe('Of its site, such as notifications'),
  }),
  output: emulationOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ reset = false, permissions = {}, ...settings }, { page }) {
    const wanted = { ...(settings.geolocation && { geolocation: 'granted' as const }), ...permissions };
    const origin = Object.keys(wanted).length === 0 ? '' : originOf(page);
    if (reset) await Promise.all([page.emulation.reset(), page.page.browserContext().clearPermissionOverrides()]);
    if (origin !== '') await setPermissions(page.page, origin, wanted);
    await page.emulation.apply(settings);
    return answerEmulation(page, permissions);
  },
});

/** The site whose permissions are set: no person can answer its prompts. */
function originOf(page: SessionPage): string {
  const { origin, protocol } = new URL(page.url());
  if (protocol.startsWith('http')) return origin;
  throw new ToolError('Permissions are granted to one site at a time. Call navigate_page to the site first.');
}

const emulateCpuTool = definePageTool({
  name: 'emulate_cpu',
  title: 'Emulate CPU',
  group: 'emulation',
  description: 'Slow down the CPU for a page. With other settings: emulate',
  input: z.strictObject({ cpuThrottlingRate }),
  output: emulationOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler(args, { page }) {
    await page.emulation.apply(args);
    return answerEmulation(page);
  },
});

const emulateNetworkTool = definePageTool({
  name: 'emulate_network',
  title: 'Emulate network',
  group: 'emulation',
  description: 'Slow down or cut off the network of a page. Single requests: mock_network',
  input: z.strictObject({ networkConditions }),
  output: emulationOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler(args, { page }) {
    await page.emulation.apply(args);
    return answerEmulation(page);
  },
});

export const emulationTools: readonly Tool[] = [emulateTool, emulateCpuTool, emulateNetworkTool];
