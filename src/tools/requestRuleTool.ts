import { z } from 'zod';
import {
  actionText,
  matchRequests,
  needsHost,
  readRequestRules,
  requestTypes,
  ruleText,
  withoutHost,
  type ExtensionRules,
  type RequestRule,
  type RequestToTest,
} from '../browser/extensions/requestRules.js';
import { findEnabledExtension, type Extension } from '../browser/extensions/installedExtensions.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';
import { truncateAnswer } from './answers.js';
import { defineTool } from './defineTool.js';
import { count, extensionIdInput } from './extensionFields.js';
import { oneLine } from './pagination.js';

const rowsShown = 100;
/** Of the newest requests the matches are counted. */
const maxCounted = 300;

const ruleRow = z.object({
  extensionId: z.string(),
  ruleset: z.string(),
  id: z.number(),
  at: z.string().optional(),
  enabled: z.boolean(),
  priority: z.number(),
  action: z.string(),
  condition: z.string(),
  /** Recorded requests of the session's pages that it acts on. */
  matches: z.int().optional(),
});

export const listRequestRulesTool = defineTool({
  name: 'list_request_rules',
  title: 'Request rules',
  group: 'extension',
  needs: 'extension',
  description: 'declarativeNetRequest rules, matches, broken ones; with url: what they would do to that request',
  input: z.strictObject({
    extensionId: extensionIdInput.optional(),
    text: z.string().optional().describe('Text in a rule'),
    url: z.string().optional().describe('To test'),
    type: z.string().optional().describe('Such as script'),
    initiator: z.string().optional().describe('Its page'),
  }),
  output: z.object({
    rules: z.array(ruleRow),
    total: z.int(),
    problems: z.array(z.string()),
    outcomes: z.array(z.object({ types: z.array(z.string()), rules: z.array(z.string()) })),
  }),
  annotations: { readOnlyHint: true },
  async handler({ extensionId, text: wanted, ...question }, { browser, signal }) {
    const { pages, selected } = { pages: browser.pages(), selected: browser.selected };
    return withCdpScope(browser.browser, signal, async (scope) => {
      if (extensionId !== undefined) await findEnabledExtension(scope, extensionId);
      const all = await readRequestRules(scope, extensionId);
      const problems = all.flatMap(({ extension, problems: own }) => own.map((line) => `"${extension.name}": ${line}`));
      if (question.url !== undefined) {
        const initiator = question.initiator ?? selected?.url() ?? '';
        const { url } = question;
        if (!URL.canParse(url))
          throw new ToolError(`${url} is no address. Pass a whole one, as https://example.com/a.js.`);
        const powerless = await withoutHost(scope, all, url);
        const outcomes = await outcomesOf(scope, all, { ...question, url, initiator, powerless });
        const lines = outcomes.map(outcomeLine);
        if (lines.length === 0) lines.push(`No rule acts on ${url}${sentBy(initiator)}.`);
        lines.push(...powerless.map((extension) => powerlessLine(extension, new URL(url))));
        return { text: [...lines, ...problems].join('\n'), structured: { rules: [], total: 0, problems, outcomes } };
      }
      const requests = newestRequests(pages);
      const rows = (await Promise.all(all.map((rules) => countedRows(scope, rules, requests)))).flat();
      const found = rows.filter((row) => wanted === undefined || rowText(row).includes(wanted));
      found.sort((a, b) => (b.matches ?? 0) - (a.matches ?? 0));
      const shown = found.slice(0, rowsShown);
      return {
        text: truncateAnswer(
          listText(all, { shown, total: found.length, requests: requests.length, problems }),
          'pass text to find a rule',
        ),
        structured: { rules: shown, total: found.length, problems, outcomes: [] },
      };
    });
  },
});

interface Question {
  readonly url: string;
  readonly initiator: string;
  readonly type?: string | undefined;
  readonly powerless: readonly Extension[];
}

const powerlessLine = ({ name, id }: Extension, { host }: URL): string =>
  `"${name}" (${id}) has no access to ${host}, so its rules that redirect or change headers do nothing there: add the host to host_permissions, or grant it with set_extension_permissions.`;

interface Outcome {
  types: string[];
  readonly rules: string[];
}

async function outcomesOf(
  scope: CdpScope,
  all: readonly ExtensionRules[],
  { url, type, initiator, powerless }: Question,
): Promise<Outcome[]> {
  if (type !== undefined && !requestTypes.includes(type))
    throw new ToolError(`There is no type ${type}. Types: ${requestTypes.join(', ')}.`);
  const types = type === undefined ? requestTypes : [type];
  const requests = types.map((each) => ({ url, method: 'GET', type: each, documentUrl: initiator }));
  const byExtension = await Promise.all(all.map((rules) => matchRequests(scope, rules, requests)));
  const hasPower = (rule: RequestRule): boolean =>
    !needsHost(rule) || powerless.every(({ id }) => id !== rule.extensionId);
  const outcomes = new Map<string, Outcome>();
  types.forEach((each, index) => {
    const acting = byExtension.flatMap((matches) => matches[index] ?? []).filter(hasPower);
    const rules = acting.map(ruleText);
    if (rules.length === 0) return;
    const key = rules.join('\n');
    const known = outcomes.get(key) ?? { types: [], rules };
    outcomes.set(key, { rules, types: [...known.types, each] });
  });
  return [...outcomes.values()];
}

const sentBy = (initiator: string): string =>
  /^https?:/.test(initiator) ? `, sent by ${new URL(initiator).origin}` : '';

const outcomeLine = ({ types, rules }: Outcome): string => `As ${types.join(', ')}: ${rules.join('; ')}.`;

function newestRequests(pages: readonly SessionPage[]): RequestToTest[] {
  const entries = pages.flatMap(({ network }) => network.read().entries.map(({ value }) => value));
  return entries.sort((a, b) => a.startedAt - b.startedAt).slice(-maxCounted);
}

type RuleRow = z.infer<typeof ruleRow>;

async function countedRows(
  scope: CdpScope,
  rules: ExtensionRules,
  requests: readonly RequestToTest[],
): Promise<RuleRow[]> {
  const counts = new Map<string, number>();
  const keyOf = ({ ruleset, id }: Pick<RequestRule, 'ruleset' | 'id'>): string => `${ruleset} ${id}`;
  const matches = rules.rules.length === 0 ? [] : await matchRequests(scope, rules, requests);
  for (const rule of matches.flat()) counts.set(keyOf(rule), (counts.get(keyOf(rule)) ?? 0) + 1);
  return rules.rules.map((rule) => ({
    ...{ extensionId: rule.extensionId, ruleset: rule.ruleset, id: rule.id, priority: rule.priority },
    ...(rule.at !== undefined && { at: rule.at }),
    enabled: rule.isEnabled,
    action: oneLine(actionText(rule), 200),
    condition: oneLine(JSON.stringify(rule.condition), 300),
    matches: counts.get(keyOf(rule)) ?? 0,
  }));
}

function rowText({ ruleset, id, at, enabled, priority, action, condition, matches = 0 }: RuleRow): string {
  const place = at === undefined ? '' : ` (${at})`;
  const state = enabled ? `matches ${count(matches, 'request')}` : 'off';
  const order = priority === 1 ? '' : `, priority ${priority}`;
  return `  ${ruleset} #${id}${place}: ${action} ${condition}${order}, ${state}`;
}

function listText(
  all: readonly ExtensionRules[],
  found: {
    readonly shown: readonly RuleRow[];
    readonly total: number;
    readonly requests: number;
    readonly problems: readonly string[];
  },
): string {
  const { shown, total, requests, problems } = found;
  if (all.length === 0) return 'No enabled extension has the permission declarativeNetRequest, so there are no rules.';
  const ofExtension = ({ extension, rules }: ExtensionRules): string[] => [
    `"${extension.name}" (${extension.id}), ${count(rules.length, 'rule')}:`,
    ...shown.filter((row) => row.extensionId === extension.id).map(rowText),
  ];
  const more = total > shown.length ? [`${total - shown.length} more: pass text to find one.`] : [];
  return [
    ...all.flatMap(ofExtension),
    ...more,
    `Matches are counted over the newest ${count(requests, 'request')} of the session's pages, by the rules as they are now.`,
    ...problems,
  ].join('\n');
}
