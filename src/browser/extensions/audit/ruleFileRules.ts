import { messageOf } from '../../../errors/errors.js';
import { RE2JS, RE2JSException } from 're2js';
import { parseChromeJson } from '../chromeJson.js';
import { localPath } from '../extensionFiles.js';
import { isJsonObject, objectAt, objectsIn, stringsIn } from '../manifest.js';
import { atKey, type Audited, type Finding, type Findings } from './findings.js';

const ruleActions = ['block', 'allow', 'allowAllRequests', 'redirect', 'upgradeScheme', 'modifyHeaders'];
const resourceTypes = [
  ...['main_frame', 'sub_frame', 'stylesheet', 'script', 'image', 'font', 'object', 'xmlhttprequest', 'ping'],
  ...['csp_report', 'media', 'websocket', 'webtransport', 'webbundle', 'other'],
];
const conditionKeys = [
  ...['urlFilter', 'regexFilter', 'isUrlFilterCaseSensitive', 'initiatorDomains', 'excludedInitiatorDomains'],
  ...['requestDomains', 'excludedRequestDomains', 'topDomains', 'excludedTopDomains', 'domains', 'excludedDomains'],
  ...['resourceTypes', 'excludedResourceTypes', 'requestMethods', 'excludedRequestMethods', 'domainType', 'tabIds'],
  ...['excludedTabIds', 'responseHeaders', 'excludedResponseHeaders'],
];
const methods = ['connect', 'delete', 'get', 'head', 'options', 'patch', 'post', 'put', 'other'];
const conditionValues: readonly (readonly [string, readonly string[]])[] = [
  ['resourceTypes', resourceTypes],
  ['excludedResourceTypes', resourceTypes],
  ['requestMethods', methods],
  ['excludedRequestMethods', methods],
  ['domainType', ['firstParty', 'thirdParty']],
];
/** Request headers that may have more than one value. */
const appendable = new Set([
  ...['accept', 'accept-encoding', 'accept-language', 'access-control-request-headers', 'cache-control', 'connection'],
  ...['content-language', 'cookie', 'forwarded', 'if-match', 'if-none-match', 'keep-alive', 'range', 'te', 'trailer'],
  ...['transfer-encoding', 'upgrade', 'user-agent', 'via', 'want-digest', 'x-forwarded-for'],
]);
const maxRuleFindings = 20;

/** Reads a file of the extension as text; undefined if it is not there. */
type ReadText = (path: string) => string | undefined;

/** The files with rules of `declarativeNetRequest`. */
export function* ruleFindings(audited: Audited, read: ReadText): Findings {
  const resources = objectsIn(objectAt(audited.json, 'declarative_net_request')['rule_resources']);
  const permissions = stringsIn(audited.json['permissions']);
  if (
    resources.length > 0 &&
    !permissions.some((permission) => /^declarativeNetRequest(?:WithHostAccess)?$/.test(permission))
  )
    yield atKey(audited, 'declarative_net_request', [
      'refused',
      'It needs the permission declarativeNetRequest.',
      'Add "declarativeNetRequest" to permissions.',
    ]);
  yield* rulesetNames(audited, resources);
  const hosts = [
    ...stringsIn(audited.json['host_permissions']),
    ...stringsIn(audited.json['optional_host_permissions']),
  ];
  for (const { path } of resources) {
    const text = typeof path === 'string' ? read(path) : undefined;
    if (typeof path !== 'string' || text === undefined) continue;
    try {
      yield* fileFindings(localPath(path), text, { hasHosts: hosts.length > 0, paths: audited.paths });
    } catch (error) {
      yield {
        severity: 'refused',
        at: path,
        problem: `Chrome cannot parse it: ${messageOf(error)}.`,
        fix: 'Write a list of rules in JSON.',
      };
    }
  }
}

function* rulesetNames(audited: Audited, resources: readonly Record<string, unknown>[]): Findings {
  const seen = new Set<unknown>();
  for (const [index, { id }] of resources.entries()) {
    const isTwice = seen.has(id);
    seen.add(id);
    if (typeof id === 'string' && id !== '' && !id.startsWith('_') && !isTwice) continue;
    const problem = `The id ${JSON.stringify(id)} is ${isTwice ? 'there already' : 'empty, or begins with _'}.`;
    const key = `declarative_net_request.rule_resources[${index}].id`;
    yield atKey(audited, key, ['refused', problem, 'Give each ruleset an id of its own.']);
  }
}

interface Extension {
  readonly hasHosts: boolean;
  readonly paths: ReadonlySet<string>;
}

function fileFindings(path: string, text: string, extension: Extension): Finding[] {
  const { value, lineOf } = parseChromeJson(text);
  if (!Array.isArray(value)) throw new TypeError('it is no list');
  const found: Finding[] = [];
  const ids = new Set<unknown>();
  for (const [index, rule] of value.entries()) {
    const at = `${path}:${lineOf(`[${index}]`)} [${index}]`;
    found.push(...findingsOfRule(rule, ids, extension).map((finding) => ({ at, ...finding })));
    if (found.length >= maxRuleFindings) break;
  }
  return found;
}

type RuleFinding = Omit<Finding, 'at'>;

const mend = 'Mend or remove the rule.';

/** Chrome leaves out a rule with values of a wrong type, and refuses the extension for other mistakes in one. */
function findingsOfRule(rule: unknown, ids: Set<unknown>, { hasHosts, paths }: Extension): RuleFinding[] {
  const unread = isJsonObject(rule) ? unreadable(rule) : 'it is no object';
  if (unread !== undefined)
    return [{ severity: 'breaks', problem: `Chrome leaves the rule out: ${unread}.`, fix: mend }];
  const known = isJsonObject(rule) ? rule : {};
  const [action, condition] = [objectAt(known, 'action'), objectAt(known, 'condition')];
  const wrong = [identityProblem(known, ids), conditionProblem(condition), actionProblem(action, condition)].find(
    (problem) => problem !== undefined,
  );
  if (wrong !== undefined) return [{ severity: 'refused', problem: `The rule is wrong: ${wrong}.`, fix: mend }];
  const unknown = Object.keys(condition).filter((key) => !conditionKeys.includes(key));
  const findings: RuleFinding[] = unknown.map((key) => ({
    severity: 'breaks',
    problem: `Chrome does not know "${key}" in a condition and ignores it, so the rule matches more.`,
    fix: `Write one of ${conditionKeys.slice(0, 3).join(', ')}, …, or remove it.`,
  }));
  findings.push(...lostFilters(condition));
  const { extensionPath } = objectAt(action, 'redirect');
  if (typeof extensionPath === 'string' && !paths.has(localPath(extensionPath.split(/[?#]/, 1)[0] ?? '')))
    findings.push({
      severity: 'breaks',
      problem: `The file ${extensionPath} does not exist; the rule redirects to it.`,
      fix: 'Add it, or mend extensionPath, which begins with / at the folder of the extension.',
    });
  if (!hasHosts && ['redirect', 'modifyHeaders'].includes(String(action['type'])))
    findings.push({
      severity: 'breaks',
      problem: `A rule with ${String(action['type'])} works only on hosts of host_permissions, and there are none.`,
      fix: 'Add the hosts of request and initiator to host_permissions.',
    });
  return findings;
}

/** Why Chrome does not take a rule from code; undefined if it does. */
export function ruleProblem(rule: unknown, ids: Set<unknown>, isOfSession: boolean): string | undefined {
  if (!isJsonObject(rule)) return 'it is no object';
  const [action, condition] = [objectAt(rule, 'action'), objectAt(rule, 'condition')];
  return (
    unreadable(rule) ??
    identityProblem(rule, ids) ??
    conditionProblem(condition, isOfSession) ??
    actionProblem(action, condition)
  );
}

/** What is read, and matches nothing. */
function* lostFilters(condition: Record<string, unknown>): Iterable<RuleFinding> {
  for (const [key, value] of Object.entries(condition)) {
    const wrong = /domains$/i.test(key) ? stringsIn(value).find((name) => /[^\w.-]/.test(name)) : undefined;
    if (wrong === undefined) continue;
    const problem = `${key} has ${JSON.stringify(wrong)}, which is no domain and never matches.`;
    yield { severity: 'breaks', problem, fix: 'Write the host alone, as example.com: subdomains are included.' };
  }
  if (typeof condition['regexFilter'] === 'string' && sizeOf(condition['regexFilter']) > maxRegexSize)
    yield {
      severity: 'breaks',
      problem: 'Chrome leaves the rule out: regexFilter needs more than 2 KB of memory.',
      fix: 'Shorten it, with fewer and smaller repetitions, or use urlFilter.',
    };
}

/** Far beyond what fits into Chrome's 2 KB. */
const maxRegexSize = 2_000;

/** The characters of a regular expression, those of a repetition as often as it says. */
function sizeOf(filter: string): number {
  const counts = Array.from(filter.matchAll(/\{(\d{1,6})(?:,(\d{0,6}))?\}/g), ([, least = '', most]) =>
    Number(most || least),
  );
  return counts.reduce((size, each) => size + each, filter.length) + Math.max(0, ...counts) * longestRepeated(filter);
}

function longestRepeated(filter: string): number {
  const groups = Array.from(filter.matchAll(/\(([^()]*)\)\{\d/g), ([, group = '']) => group.length);
  return Math.max(0, ...groups);
}

/** Why Chrome cannot read the rule. */
function unreadable(rule: Record<string, unknown>): string | undefined {
  const { id, condition } = rule;
  if (typeof id !== 'number' || !Number.isInteger(id)) return 'its id is no whole number';
  if (!isJsonObject(rule['action'])) return 'it has no action';
  if (!isJsonObject(condition)) return 'it has no condition';
  const { type } = rule['action'];
  if (typeof type !== 'string' || !ruleActions.includes(type))
    return `action.type is ${JSON.stringify(type)}, and may be ${ruleActions.join(', ')}`;
  for (const [key, allowed] of conditionValues) {
    const given = typeof condition[key] === 'string' ? [condition[key]] : stringsIn(condition[key]);
    const other = given.find((name) => !allowed.includes(name));
    if (other !== undefined) return `${key} has ${JSON.stringify(other)}, and may have ${allowed.join(', ')}`;
  }
  return undefined;
}

function identityProblem({ id, priority }: Record<string, unknown>, ids: Set<unknown>): string | undefined {
  if (Number(id) < 1) return 'its id is below 1';
  if (ids.has(id)) return `its id ${String(id)} was there before`;
  ids.add(id);
  return typeof priority === 'number' && priority < 1 ? 'its priority is below 1' : undefined;
}

function conditionProblem(condition: Record<string, unknown>, isOfSession = false): string | undefined {
  if ('urlFilter' in condition && 'regexFilter' in condition) return 'it has both urlFilter and regexFilter';
  const tabs = ['tabIds', 'excludedTabIds'].find((key) => key in condition);
  if (tabs !== undefined && !isOfSession) return `${tabs} is for rules of updateSessionRules alone`;
  for (const key of ['urlFilter', 'regexFilter']) {
    const problem = filterProblem(key, condition[key]);
    if (problem !== undefined) return problem;
  }
  for (const [key, value] of Object.entries(condition)) {
    if (Array.isArray(value) && value.length === 0 && !key.startsWith('excluded')) return `${key} is an empty list`;
    if (/domains$/i.test(key) && stringsIn(value).some((name) => /[^ -~]/.test(name)))
      return `${key} has characters beyond ASCII: write punycode`;
  }
  const excluded = stringsIn(condition['excludedResourceTypes']);
  const both = stringsIn(condition['resourceTypes']).find((type) => excluded.includes(type));
  return both === undefined ? undefined : `it includes and excludes ${both}`;
}

function filterProblem(key: string, filter: unknown): string | undefined {
  if (typeof filter !== 'string') return undefined;
  if (filter === '') return `${key} is empty`;
  if (/[^ -~]/.test(filter)) return `${key} has characters beyond ASCII`;
  if (key === 'urlFilter') return filter.startsWith('||*') ? 'urlFilter begins with ||*' : undefined;
  if (/\(\?(?:[=!]|<[=!])|\\[1-9]/.test(filter.replaceAll('\\\\', '')))
    return 'regexFilter has a lookaround or a back reference, which RE2 lacks';
  return isExpression(filter) ? undefined : 'regexFilter is no regular expression';
}

/** Longer ones are taken for right. */
const maxFilterChars = 1_000;

/** Chrome's engine is RE2. */
function isExpression(filter: string): boolean {
  if (filter.length > maxFilterChars || sizeOf(filter) > maxRegexSize) return true;
  try {
    return RE2JS.compile(filter) instanceof RE2JS;
  } catch (error) {
    if (error instanceof RE2JSException) return false;
    throw error;
  }
}

function actionProblem(action: Record<string, unknown>, condition: Record<string, unknown>): string | undefined {
  const { type, redirect } = action;
  if (type === 'redirect') return redirectProblem(redirect, condition);
  if (type === 'modifyHeaders') {
    const headers = ['requestHeaders', 'responseHeaders'].flatMap((key) => objectsIn(action[key]));
    if (headers.length === 0) return 'it changes headers, and has no action.requestHeaders or action.responseHeaders';
    const empty = headers.find(({ operation, value }) => operation !== 'remove' && value === undefined);
    if (empty !== undefined) return `the header ${JSON.stringify(empty['header'])} has no value`;
    const single = objectsIn(action['requestHeaders']).find(
      ({ operation, header }) => operation === 'append' && !appendable.has(String(header).toLowerCase()),
    );
    return (
      single &&
      `the request header ${JSON.stringify(single['header'])} has one value and cannot be appended to: use set`
    );
  }
  const types = stringsIn(condition['resourceTypes']);
  const isForFrames = types.length > 0 && types.every((name) => /^(?:main|sub)_frame$/.test(name));
  return type === 'allowAllRequests' && !isForFrames
    ? 'allowAllRequests needs resourceTypes with main_frame or sub_frame alone'
    : undefined;
}

function redirectProblem(redirect: unknown, condition: Record<string, unknown>): string | undefined {
  if (!isJsonObject(redirect) || Object.keys(redirect).length === 0) return 'it redirects, and has no action.redirect';
  const { url, extensionPath } = redirect;
  if ('regexSubstitution' in redirect && !('regexFilter' in condition))
    return 'it has regexSubstitution, and no regexFilter to substitute in';
  if (typeof extensionPath === 'string' && !extensionPath.startsWith('/'))
    return `extensionPath ${JSON.stringify(extensionPath)} does not begin with /`;
  if (typeof url !== 'string') return undefined;
  if (!URL.canParse(url)) return `action.redirect.url ${JSON.stringify(url)} is no absolute address`;
  return url.startsWith('javascript:') ? 'it redirects to javascript:' : undefined;
}
