import { z } from 'zod';
import type { ActiveMock, MockRule, NetworkCollector } from '../browser/collectors/networkCollector.js';
import { bytesOf } from '../browser/collectors/requestMocks.js';
import { ToolError } from '../errors/errors.js';
import { definePageTool } from './defineTool.js';
import { oneLine } from './pagination.js';

/** Short names for Network.ErrorReason. */
const abortReasons = {
  failed: 'Failed',
  offline: 'InternetDisconnected',
  timeout: 'TimedOut',
  refused: 'ConnectionRefused',
  reset: 'ConnectionReset',
  dns: 'NameNotResolved',
  blocked: 'BlockedByClient',
} as const;

type AbortName = keyof typeof abortReasons;

export const mockNetworkTool = definePageTool({
  name: 'mock_network',
  title: 'Mock network',
  group: 'network',
  description:
    'Answer, abort or delay requests of a page by rules; the newest match acts. The whole network slow or offline: emulate_network',
  input: z.object({
    action: z.enum(['add', 'remove', 'clear', 'list']).describe('add: needs url and an effect'),
    url: z.string().optional().describe('For add: glob or /regex/'),
    method: z.string().optional().describe('Only this HTTP method'),
    status: z.int().min(200).max(599).optional().describe('Of the answer'),
    headers: z.record(z.string(), z.string()).optional().describe('Of the answer'),
    body: z.string().optional().describe('Of the answer'),
    abort: z
      .enum(Object.keys(abortReasons) as [AbortName, ...AbortName[]])
      .optional()
      .describe('Fail with this error'),
    delayMs: z.int().min(0).max(60_000).optional().describe('Wait first, in ms'),
    times: z.int().min(1).optional().describe('Ends after so many requests'),
    id: z.int().optional().describe('Rule to remove'),
  }),
  output: z.object({
    rules: z.array(
      z.object({
        id: z.int(),
        url: z.string(),
        method: z.string().optional(),
        does: z.string(),
        hits: z.int(),
        times: z.int().optional(),
      }),
    ),
  }),
  annotations: { readOnlyHint: false, destructiveHint: false },
  lock: false,
  handler: async (args, { page: { network }, browser }) => {
    const all = browser.pages().map((page) => page.network.mocks);
    const done = await applyMockAction(network, args, all);
    const rules = network.mocks.list();
    const lines = rules.length === 0 ? ['No rules: nothing is intercepted.'] : rules.map(ruleLine);
    return { text: [...done, ...lines].join('\n'), structured: { rules: rules.map(structuredRule) } };
  },
});

type MockArgs = Omit<MockRule, 'url' | 'abort'> & {
  readonly action: 'add' | 'remove' | 'clear' | 'list';
  readonly url?: string | undefined;
  readonly abort?: AbortName | undefined;
  readonly id?: number | undefined;
};

type Mocks = NetworkCollector['mocks'];

async function applyMockAction(
  { mocks }: NetworkCollector,
  { action, id, ...rule }: MockArgs,
  all: readonly Mocks[],
): Promise<string[]> {
  if (action === 'list') return [];
  if (action === 'clear') return [`Removed ${await mocks.remove()} rules.`];
  if (action === 'remove') {
    if (id === undefined)
      throw new ToolError('remove needs the id of a rule. Call mock_network with action: list to see the rules.');
    if ((await mocks.remove(id)) === 0)
      throw new ToolError(`There is no rule ${id}. Call mock_network with action: list to see the rules.`);
    return [`Removed rule ${id}.`];
  }
  const wanted = ruleOf(rule);
  requireRoom(wanted, all);
  const added = await mocks.add(wanted);
  return [`Added rule ${added.id}. list_network_requests marks the requests that it acts on.`];
}

/** Bounds for all pages of a session together. */
const maxRules = 200;
const maxRuleBytes = 16 * 1024 ** 2;

function requireRoom(rule: MockRule, all: readonly Mocks[]): void {
  const rules = all.reduce((sum, mocks) => sum + mocks.list().length, 0);
  if (rules >= maxRules)
    throw new ToolError(`This session has ${maxRules} rules, the maximum. Remove some with action: remove or clear.`);
  const bytes = all.reduce((sum, mocks) => sum + mocks.bytes, bytesOf(rule));
  if (bytes > maxRuleBytes) {
    throw new ToolError(
      `The rules of this session would take ${bytes} bytes; the maximum is ${maxRuleBytes}. Remove some with action: remove or clear.`,
    );
  }
}

function ruleOf({ url, abort, ...rest }: Omit<MockArgs, 'action' | 'id'>): MockRule {
  if (url === undefined) throw new ToolError('add needs url, for example *://*/api/users*.');
  const effects = [rest.status, rest.headers, rest.body, rest.delayMs, abort];
  if (effects.every((effect) => effect === undefined)) {
    throw new ToolError('add needs an effect: status, headers, body, abort or delayMs.');
  }
  if (abort !== undefined && [rest.status, rest.headers, rest.body].some((effect) => effect !== undefined)) {
    throw new ToolError('A rule either answers (status, headers, body) or aborts. Leave out one of the two.');
  }
  for (const [name, value] of Object.entries(rest.headers ?? {})) requireHeader(name, value);
  return { ...rest, url, abort: abort === undefined ? undefined : abortReasons[abort] };
}

/** Checks name and value by RFC 9110, section 5; values in Latin-1. */
function requireHeader(name: string, value: string): void {
  const quoted = JSON.stringify(name);
  if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) {
    throw new ToolError(`${quoted} is not the name of a header. Use letters, digits and -, as in Content-Type.`);
  }
  if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
    throw new ToolError(
      `The value of the header ${quoted} has line ends, control characters or letters outside Latin-1. Leave them out.`,
    );
  }
}

function ruleLine(mock: ActiveMock): string {
  const times = mock.times === undefined ? '' : ` of at most ${mock.times}`;
  return `Rule ${mock.id}: ${mock.method ?? 'any method'} ${mock.url}: ${effectText(mock)}; hits: ${mock.hits}${times}`;
}

function effectText({ abort, status, headers, body, delayMs }: MockRule): string {
  const wait = delayMs === undefined ? [] : [`waits ${delayMs} ms`];
  if (abort !== undefined) return [...wait, `aborts with ${abort}`].join(', ');
  if (status === undefined && headers === undefined && body === undefined)
    return [...wait, 'lets it continue'].join(', ');
  const names = headers === undefined ? [] : [`headers ${Object.keys(headers).join(', ')}`];
  return [...wait, `answers ${status ?? 200}`, ...names, ...(body === undefined ? [] : [oneLine(body, 80)])].join(', ');
}

function structuredRule(mock: ActiveMock) {
  const { id, url, method, hits, times } = mock;
  return {
    ...{ id, url, hits, does: effectText(mock) },
    ...(method === undefined ? {} : { method }),
    ...(times === undefined ? {} : { times }),
  };
}
