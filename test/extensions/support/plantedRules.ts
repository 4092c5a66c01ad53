import type { AuditCase } from './extensionParts.js';

export const rules = (rule: object): AuditCase[0] => [
  {
    permissions: ['declarativeNetRequest'],
    declarative_net_request: { rule_resources: [{ id: 'r', enabled: true, path: 'rules.json' }] },
  },
  { 'rules.json': JSON.stringify([rule]) },
];

const ofCondition = (condition: object): object => ({ action: { type: 'block' }, condition });
const ofAction = (action: object): object => ({ action, condition: { urlFilter: 'a' } });
const append = { header: 'X-A', operation: 'append', value: '1' };

export const wrongRules: readonly (readonly [rule: object, line: string])[] = [
  [
    ofCondition({ requestMethods: ['POST'] }),
    'breaks rules.json:1 [0]: Chrome leaves the rule out: requestMethods has',
  ],
  [ofCondition({ domainType: 'firstparty' }), 'breaks rules.json:1 [0]: Chrome leaves the rule out: domainType has'],
  [ofCondition({ tabIds: [1] }), 'refused rules.json:1 [0]: The rule is wrong: tabIds is for rules of updateSession'],
  [
    ofCondition({ regexFilter: '(' }),
    'refused rules.json:1 [0]: The rule is wrong: regexFilter is no regular expression',
  ],
  [
    ofCondition({ regexFilter: `(${'a'.repeat(50)}){500}` }),
    'breaks rules.json:1 [0]: Chrome leaves the rule out: regexFilter needs more than 2 KB',
  ],
  [
    ofCondition({ requestDomains: ['https://a.example'] }),
    'breaks rules.json:1 [0]: requestDomains has "https://a.example", which is no domain',
  ],
  [
    ofAction({ type: 'redirect', redirect: { regexSubstitution: '\\1' } }),
    'refused rules.json:1 [0]: The rule is wrong: it has regexSubstitution',
  ],
  [
    ofAction({ type: 'redirect', redirect: { extensionPath: 'a.js' } }),
    'refused rules.json:1 [0]: The rule is wrong: extensionPath "a.js" does not begin with /',
  ],
  [
    ofAction({ type: 'redirect', redirect: { extensionPath: '/a.js' } }),
    'breaks rules.json:1 [0]: The file /a.js does not exist',
  ],
  [
    ofAction({ type: 'modifyHeaders', requestHeaders: [append] }),
    'refused rules.json:1 [0]: The rule is wrong: the request header "X-A" has one value',
  ],
];
