import { z } from 'zod';
import { auditExtension } from '../browser/extensions/audit/auditExtension.js';
import type { ApiNeed } from '../browser/extensions/audit/findings.js';
import type { PermissionPrompt } from '../browser/extensions/callLog.js';
import { findEnabledExtension, type HostAccess } from '../browser/extensions/installedExtensions.js';
import { changePermissions, readPermissionState, type PermissionState } from '../browser/extensions/permissions.js';
import { withCdpScope } from '../browser/cdp/cdpScope.js';
import { ToolError } from '../errors/errors.js';
import { shortUrl, truncateAnswer } from './answers.js';
import { defineTool } from './defineTool.js';
import { extensionIdInput } from './extensionFields.js';
import { oneLine, timeText } from './pagination.js';

const hostChoices = ['on_click', 'on_specific_sites', 'on_all_sites'] as const;

const accessOf: Readonly<Record<(typeof hostChoices)[number], HostAccess>> = {
  on_click: 'ON_CLICK',
  on_specific_sites: 'ON_SPECIFIC_SITES',
  on_all_sites: 'ON_ALL_SITES',
};

const needRow = z.object({
  api: z.string(),
  at: z.string(),
  permission: z.string(),
  state: z.enum(['granted', 'optional', 'missing']),
});

const permissionList = z.array(z.string()).optional();

export const setPermissionsTool = defineTool({
  name: 'set_extension_permissions',
  title: 'Extension permissions',
  group: 'extension',
  needs: 'extension',
  description: 'Grant, revoke or refuse permissions; answers what an extension has and needs',
  input: z.strictObject({
    extensionId: extensionIdInput,
    grant: permissionList.describe('APIs, host patterns'),
    revoke: permissionList.describe('As grant'),
    hosts: z.enum(hostChoices).optional().describe('Site access'),
    prompts: z.enum(['refuse', 'ask']).optional().describe('To come'),
  }),
  output: z.object({
    granted: z.object({ apis: z.array(z.string()), hosts: z.array(z.string()) }),
    optional: z.array(z.string()),
    withheld: z.array(z.string()),
    hostAccess: z.string(),
    activeTab: z.boolean(),
    refusing: z.boolean(),
    asked: z.array(z.object({ permissions: z.string(), context: z.string(), answer: z.string() })),
    needs: z.array(needRow),
    /** It was loaded again, which granting took. */
    reloaded: z.boolean(),
    staleContentScripts: z.array(z.object({ pageId: z.int(), url: z.string() })),
  }),
  annotations: { readOnlyHint: false, idempotentHint: true },
  async handler({ extensionId: id, grant = [], revoke = [], hosts, prompts }, { browser, signal }) {
    const { activity } = browser;
    const both = grant.filter((name) => revoke.includes(name));
    if (both.length > 0) throw new ToolError(`Either grant or revoke ${both.join(', ')}.`);
    const hostAccess = hosts === undefined ? undefined : accessOf[hosts];
    const read = await withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findEnabledExtension(scope, id);
      if (prompts !== undefined) await activity.refusePrompts(scope, id, prompts === 'refuse');
      const change = { grant, revoke, hostAccess };
      const pages = browser.pages();
      const reload = await changePermissions(scope, extension, { change, pages, folder: () => browser.folder() });
      await activity.captureWorker(scope, id);
      return { extension, reload, state: await readPermissionState(scope, extension) };
    });
    const { extension, reload, state } = read;
    const needs = stateOfNeeds((await auditExtension(extension, signal).catch(noAudit)).needs, state);
    const refusing = activity.prompts.refusing.includes(id);
    const asked = activity.prompts.of(id);
    const stale = (reload?.stalePages ?? []).map((page) => ({ pageId: page.id, url: page.url() }));
    const text = [
      ...(reload === undefined ? [] : [`Chrome granted ${grant.join(', ')}. It loaded the extension again for that.`]),
      ...stale.map(({ pageId, url }) => `Page ${pageId} (${shortUrl(url)}) has the old content script: load it again.`),
      ...stateLines(extension.name, state),
      ...needLines(needs),
      ...promptLines(asked, refusing),
    ].join('\n');
    return {
      text: truncateAnswer(text, 'get_extension_details has the permissions alone'),
      structured: {
        granted: { apis: [...state.granted.apis], hosts: [...state.granted.hosts] },
        optional: [...state.open],
        withheld: [...state.withheld],
        hostAccess: (state.hostAccess ?? 'none').toLowerCase(),
        activeTab: state.hasActiveTab,
        refusing,
        asked: asked.map(({ asked: permissions, context, answer = 'open' }) => ({ permissions, context, answer })),
        needs,
        reloaded: reload !== undefined,
        staleContentScripts: stale,
      },
    };
  },
});

/** The folder of an extension in a browser elsewhere cannot be read. */
const noAudit = (error: unknown): { readonly needs: readonly ApiNeed[] } => {
  if (error instanceof ToolError) return { needs: [] };
  throw error;
};

type Need = z.infer<typeof needRow>;

function stateOfNeeds(needs: readonly ApiNeed[], { granted, open }: PermissionState): Need[] {
  const stateOf = (permission: string): Need['state'] => {
    const names = permission === 'declarativeNetRequest' ? [permission, `${permission}WithHostAccess`] : [permission];
    if (names.some((name) => granted.apis.includes(name))) return 'granted';
    return open.includes(permission) ? 'optional' : 'missing';
  };
  return needs.map(({ api, at, permission }) => ({ api, at, permission, state: stateOf(permission) }));
}

const list = (values: readonly string[]): string => (values.length === 0 ? 'none' : values.join(', '));

function stateLines(name: string, { granted, open, withheld, hostAccess, hasActiveTab }: PermissionState): string[] {
  const choice = hostAccess === undefined ? '' : ` (${hostAccess.toLowerCase()})`;
  return [
    `Granted to "${name}": ${list(granted.apis)}; hosts${choice}: ${list(granted.hosts)}.`,
    `It may ask for: ${list(open)}.`,
    ...(withheld.length === 0
      ? []
      : [
          `Withheld by the choice of sites: ${list(withheld)}. There executeScript waits for trigger_extension_action.`,
        ]),
    ...(hasActiveTab
      ? ['activeTab: trigger_extension_action grants it for a tab, until that leaves the site or closes.']
      : []),
  ];
}

function needLines(needs: readonly Need[]): string[] {
  const fine = new Set(needs.filter(({ state }) => state === 'granted').map(({ permission }) => permission));
  const lacking = needs.filter(({ permission }) => !fine.has(permission));
  return [
    ...[...new Set(lacking.map(({ permission }) => permission))].map((permission) => {
      const uses = lacking.filter((need) => need.permission === permission);
      const why = uses[0]?.state === 'optional' ? 'not granted yet' : 'not in the manifest';
      return `"${permission}" is ${why}: ${uses.map(({ api, at }) => `${api} (${at})`).join(', ')} cannot be used now.`;
    }),
    ...(fine.size === 0 ? [] : [`Its code uses and has: ${[...fine].join(', ')}.`]),
  ];
}

function promptLines(asked: readonly PermissionPrompt[], refusing: boolean): string[] {
  const answers = refusing
    ? 'permissions.request is refused without a prompt, by a replaced function, for what is not granted.'
    : 'For what is not granted permissions.request opens a prompt of Chrome, which no tool can answer: grant before, or prompts refuse.';
  return [
    answers,
    ...asked.map(({ context, asked: what, answer, at }) => {
      const end = answer === undefined ? 'its prompt is open' : `answered ${answer}`;
      return `${timeText(at)} ${context} asked for ${oneLine(what, 300)}: ${end}.`;
    }),
  ];
}
