import { messageOf } from '../../../errors/errors.js';
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
  const hosts = [
    ...stringsIn(audited.json['host_permissions']),
    ...stringsIn(audited.json['optional_host_permissions']),
  ];
  for (const { path } of resources) {
    const text = typeof path === 'string' ? read(path) : undefined;
    if (typeof path !== 'string' || text === undefined) continue;
    try {
      yield* fileFindings(localPath(path), text, hosts.length > 0);
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

function fileFindings(path: string, text: string, hasHosts: boolean): Finding[] {
  const { value, lineOf } = parseChromeJson(text);
  if (!Array.isArray(value)) throw new TypeError('it is no list');
  const found: Finding[] = [];
  const ids = new Set<unknown>();
  for (const [index, rule] of value.entries()) {
    const at = `${path}:${lineOf(`[${index}]`)} [${index}]`;
    found.push(...findingsOfRule(rule, ids, hasHosts).map((finding) => ({ at, ...finding })));
    if (found.length >= maxRuleFindings) break;
  }
  return found;
}

type RuleFinding = Omit<Finding, 'at'>;

const mend = 'Mend or remove the rule.';

/** Chrome leaves out a rule with values of a wrong type, and refuses the extension for other mistakes in one. */
function findingsOfRule(rule: unknown, ids: Set<unknown>, hasHosts: boolean): RuleFinding[] {
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
  if (!hasHosts && ['redirect', 'modifyHeaders'].includes(String(action['type'])))
    findings.push({
      severity: 'breaks',
      problem: `A rule with ${String(action['type'])} works only on hosts of host_permissions, and there are none.`,
      fix: 'Add the hosts of request and initiator to host_permissions.',
    });
  return findings;
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
  for (const key of ['resourceTypes', 'excludedResourceTypes']) {
    const other = stringsIn(condition[key]).find((name) => !resourceTypes.includes(name));
    if (other !== undefined) return `${key} has ${JSON.stringify(other)}, and may have ${resourceTypes.join(', ')}`;
  }
  return undefined;
}

function identityProblem({ id, priority }: Record<string, unknown>, ids: Set<unknown>): string | undefined {
  if (Number(id) < 1) return 'its id is below 1';
  if (ids.has(id)) return `its id ${String(id)} was there before`;
  ids.add(id);
  return typeof priority === 'number' && priority < 1 ? 'its priority is below 1' : undefined;
}

function conditionProblem(condition: Record<string, unknown>): string | undefined {
  if ('urlFilter' in condition && 'regexFilter' in condition) return 'it has both urlFilter and regexFilter';
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
  return /\(\?(?:[=!]|<[=!])|\\[1-9]/.test(filter.replaceAll('\\\\', ''))
    ? 'regexFilter has a lookaround or a back reference, which RE2 lacks'
    : undefined;
}

function actionProblem(action: Record<string, unknown>, condition: Record<string, unknown>): string | undefined {
  const { type, redirect } = action;
  if (type === 'redirect') return redirectProblem(redirect);
  if (type === 'modifyHeaders') {
    const headers = ['requestHeaders', 'responseHeaders'].flatMap((key) => objectsIn(action[key]));
    if (headers.length === 0) return 'it changes headers, and has no action.requestHeaders or action.responseHeaders';
    const empty = headers.find(({ operation, value }) => operation !== 'remove' && value === undefined);
    return empty === undefined ? undefined : `the header ${JSON.stringify(empty['header'])} has no value`;
  }
  const types = stringsIn(condition['resourceTypes']);
  const isForFrames = types.length > 0 && types.every((name) => /^(?:main|sub)_frame$/.test(name));
  return type === 'allowAllRequests' && !isForFrames
    ? 'allowAllRequests needs resourceTypes with main_frame or sub_frame alone'
    : undefined;
}

function redirectProblem(redirect: unknown): string | undefined {
  if (!isJsonObject(redirect) || Object.keys(redirect).length === 0) return 'it redirects, and has no action.redirect';
  const { url } = redirect;
  if (typeof url !== 'string') return undefined;
  if (!URL.canParse(url)) return `action.redirect.url ${JSON.stringify(url)} is no absolute address`;
  return url.startsWith('javascript:') ? 'it redirects to javascript:' : undefined;
}
