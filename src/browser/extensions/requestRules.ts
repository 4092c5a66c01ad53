import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { RuleMatch, RuleState } from '../injected/extensionContract.js';
import { readRuleState, testRequestRules } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { parseChromeJson } from './chromeJson.js';
import { ExtensionDocument } from './evaluateInTarget.js';
import { localPath } from './extensionFiles.js';
import { ExtensionsPage, listExtensions, type Extension } from './installedExtensions.js';
import { objectAt, objectsIn, readManifestFile } from './manifest.js';
import { matchesAny } from './matchPattern.js';
import { readPermissionState } from './permissions.js';

export interface RequestToTest {
  readonly url: string;
  readonly method: string;
  /** As CDP names it, `Script`, `XHR`, or as `declarativeNetRequest` does. */
  readonly type: string;
  /** The document that sends it; empty if it is not known. */
  readonly documentUrl: string;
}

/** The values of `declarativeNetRequest.ResourceType` that a page can send. */
export const requestTypes: readonly string[] = [
  ...['main_frame', 'sub_frame', 'stylesheet', 'script', 'image', 'font', 'object', 'xmlhttprequest'],
  ...['ping', 'csp_report', 'media', 'websocket', 'other'],
];

/** Their names in CDP, where they differ. */
const cdpTypes: Readonly<Record<string, string>> = {
  document: 'main_frame',
  xhr: 'xmlhttprequest',
  fetch: 'xmlhttprequest',
  cspviolationreport: 'csp_report',
};

/** One rule of an extension. */
export interface RequestRule {
  readonly extensionId: string;
  readonly extension: string;
  /** Of the manifest, or `_dynamic`, `_session`. */
  readonly ruleset: string;
  readonly id: number;
  /** File and index of a rule of the manifest. */
  readonly at: string | undefined;
  readonly isEnabled: boolean;
  readonly priority: number;
  readonly action: Readonly<Record<string, unknown>>;
  readonly condition: Readonly<Record<string, unknown>>;
}

/** The rules of an extension, and what Chrome could not use. */
export interface ExtensionRules {
  readonly extension: Extension;
  readonly rules: readonly RequestRule[];
  readonly problems: readonly string[];
}

const matchesSchema = z.array(z.array(z.object({ ruleId: z.number(), rulesetId: z.string() }))) satisfies z.ZodType<
  readonly (readonly RuleMatch[])[]
>;

const stateSchema = z
  .object({
    enabled: z.array(z.string()),
    disabled: z.record(z.string(), z.array(z.number())),
    dynamic: z.array(z.looseObject({})),
    session: z.array(z.looseObject({})),
  })
  .nullable() satisfies z.ZodType<RuleState | null>;

const maxRuleFileBytes = 32 * 1024 ** 2;
/** Of longer files the lines are not told. */
const maxPlacedBytes = 1024 ** 2;

/** Every rule of the extensions that have some; of one extension, if that is named. */
export async function readRequestRules(scope: CdpScope, only?: string): Promise<ExtensionRules[]> {
  const extensions = (await listExtensions(scope)).filter(({ enabled, id }) => enabled && (only ?? id) === id);
  const found = await Promise.all(extensions.map((extension) => rulesOfExtension(scope, extension)));
  return found.filter((each) => each !== undefined);
}

async function rulesOfExtension(scope: CdpScope, extension: Extension): Promise<ExtensionRules | undefined> {
  const document = await ExtensionDocument.open(scope, extension);
  const state = await document.call(readRuleState, [], stateSchema);
  if (state === null) return undefined;
  const { manifestErrors } = await (await ExtensionsPage.open(scope)).info(extension.id);
  const problems = manifestErrors
    .filter(({ manifestKey }) => manifestKey === 'declarative_net_request')
    .map(({ message }) => message);
  const files = await rulesOfFiles(extension, state, problems);
  const ofCode = (['dynamic', 'session'] as const).flatMap((kind) =>
    objectsIn(state[kind]).map((rule) => toRule(extension, rule, { ruleset: `_${kind}`, isEnabled: true })),
  );
  return { extension, rules: [...files, ...ofCode], problems };
}

/** Adds what it could not read to the problems. */
async function rulesOfFiles(
  extension: Extension,
  { enabled, disabled }: RuleState,
  problems: string[],
): Promise<RequestRule[]> {
  const { json } = await readManifestFile(extension.path).catch(() => ({ json: undefined }));
  const rules: RequestRule[] = [];
  for (const { id, path } of objectsIn(objectAt(json, 'declarative_net_request')['rule_resources'])) {
    if (typeof id !== 'string' || typeof path !== 'string') continue;
    const file = localPath(path);
    try {
      const { rules: found, lineOf } = await readRuleFile(join(extension.path, file));
      for (const [index, rule] of found.entries()) {
        const isEnabled = enabled.includes(id) && disabled[id]?.includes(Number(rule['id'])) !== true;
        rules.push(toRule(extension, rule, { ruleset: id, isEnabled, at: `${file}${lineOf(index)} [${index}]` }));
      }
    } catch (error) {
      problems.push(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}.`);
    }
  }
  return rules;
}

interface RuleFile {
  readonly rules: Record<string, unknown>[];
  /** As `:3`; empty in a long file. */
  lineOf(index: number): string;
}

async function readRuleFile(path: string): Promise<RuleFile> {
  const { size } = await stat(path);
  if (size > maxRuleFileBytes) throw new Error(`it has ${size} bytes, and at most ${maxRuleFileBytes} are read`);
  const text = await readFile(path, 'utf8');
  // Chrome's own way of reading is slower.
  const placed = size > maxPlacedBytes ? undefined : parseChromeJson(text);
  return {
    rules: rulesIn(placed === undefined ? parseLong(text) : placed.value),
    lineOf: (index) => (placed === undefined ? '' : `:${placed.lineOf(`[${index}]`)}`),
  };
}

function parseLong(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return parseChromeJson(text).value;
  }
}

/** What is no object keeps its place. */
const rulesIn = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.map((rule: unknown) => objectAt({ rule }, 'rule')) : [];

function toRule(
  { id: extensionId, name: extension }: Extension,
  rule: Record<string, unknown>,
  place: { readonly ruleset: string; readonly isEnabled: boolean; readonly at?: string },
): RequestRule {
  const { id, priority = 1 } = rule;
  return {
    ...{ extensionId, extension, at: undefined, ...place, id: Number(id), priority: Number(priority) },
    action: objectAt(rule, 'action'),
    condition: objectAt(rule, 'condition'),
  };
}

/** The rules of an extension that would act on each request. */
export async function matchRequests(
  scope: CdpScope,
  rules: ExtensionRules,
  requests: readonly RequestToTest[],
): Promise<(readonly RequestRule[])[]> {
  const matches = await matchesOf(scope, rules.extension, requests);
  return matches.map((found) => rulesNamed(rules, found));
}

/** Whether a rule needs access to the host of a request: without it Chrome does not apply it. */
export const needsHost = ({ action }: RequestRule): boolean =>
  action['type'] === 'redirect' || action['type'] === 'modifyHeaders';

/** Those whose rules that need it have no access to the host of an address. */
export async function withoutHost(
  scope: CdpScope,
  all: readonly ExtensionRules[],
  url: string,
): Promise<readonly Extension[]> {
  const extensions = all.filter(({ rules }) => rules.some(needsHost)).map(({ extension }) => extension);
  const states = await Promise.all(extensions.map((extension) => readPermissionState(scope, extension)));
  return extensions.filter((_, index) => !matchesAny(states[index]?.granted.hosts ?? [], new URL(url)));
}

/** Chrome's own answer (`declarativeNetRequest.testMatchOutcome`). */
async function matchesOf(
  scope: CdpScope,
  extension: Extension,
  requests: readonly RequestToTest[],
): Promise<(readonly RuleMatch[])[]> {
  const document = await ExtensionDocument.open(scope, extension);
  const questions = requests.map(({ url, method, type, documentUrl }) => ({
    url,
    method: method.toLowerCase(),
    type: typeOf(type),
    ...(/^https?:/.test(documentUrl) && typeOf(type) !== 'main_frame' && { initiator: new URL(documentUrl).origin }),
  }));
  return document.call(testRequestRules, [questions], matchesSchema);
}

function rulesNamed({ extension, rules }: ExtensionRules, matches: readonly RuleMatch[]): RequestRule[] {
  const byName = new Map(rules.map((rule) => [`${rule.ruleset} ${rule.id}`, rule]));
  return matches.map(({ rulesetId, ruleId }) => {
    const known = byName.get(`${rulesetId} ${ruleId}`);
    // The file may have changed since it was loaded.
    return known ?? toRule(extension, { id: ruleId }, { ruleset: rulesetId, isEnabled: true });
  });
}

function typeOf(name: string): string {
  const lower = name.toLowerCase();
  return cdpTypes[lower] ?? (requestTypes.includes(lower) ? lower : 'other');
}

/** The rules that act on a request, of every extension. */
export async function matchingRules(scope: CdpScope, request: RequestToTest): Promise<RequestRule[]> {
  const extensions = (await listExtensions(scope)).filter(({ enabled }) => enabled);
  const found = extensions.map(async (extension) => {
    const [matches = []] = await matchesOf(scope, extension, [request]);
    // Reading long lists takes time.
    const rules = matches.length === 0 ? undefined : await rulesOfExtension(scope, extension);
    return rules === undefined ? [] : rulesNamed(rules, matches);
  });
  return (await Promise.all(found)).flat();
}

/** `rule 7 of ruleset ads (rules.json [0]) of extension "Blocker" (id): block`. */
export function ruleText(rule: RequestRule): string {
  const { id, ruleset, at, extension, extensionId } = rule;
  const place = at === undefined ? '' : ` (${at})`;
  return `rule ${id} of ruleset ${ruleset}${place} of extension "${extension}" (${extensionId}): ${actionText(rule)}`;
}

/** What a rule does to a request. */
export function actionText({ action }: RequestRule): string {
  const { type, redirect } = action;
  if (type === 'redirect') return `redirect to ${JSON.stringify(Object.values(objectAt({ redirect }, 'redirect'))[0])}`;
  if (type !== 'modifyHeaders') return String(type);
  const changes = (['requestHeaders', 'responseHeaders'] as const).flatMap((key) =>
    objectsIn(action[key]).map(
      ({ header, operation, value }) =>
        `${String(operation)} ${key === 'requestHeaders' ? 'request' : 'response'} header ${String(header)}` +
        (typeof value === 'string' ? `: ${value}` : ''),
    ),
  );
  return changes.join(', ');
}
