import type { AnyNode, CallExpression, NewExpression } from 'acorn';
import { parsePattern } from '../matchPattern.js';
import { takenValues } from './chromeApis.js';
import { ruleProblem } from './ruleFileRules.js';
import { forEachChild, isFunctionNode, keyOf, type FunctionNode, type Names, type Scope } from './scopes.js';

export interface Around {
  readonly names: Names;
  readonly scope: Scope;
}

/**
 * What is wrong in a call, whatever context it is in, as uses: a path, and in braces what it is. `eval` and `Function`
 * where the call amounts to one of them.
 */
export function faultsOfCall(call: CallExpression | NewExpression, path: string, around: Around): string[] {
  const [first, second] = call.arguments;
  const { names, scope } = around;
  if (path === 'setTimeout' || path === 'setInterval')
    return isText(first) ? ['eval'] : longTimer(path, writtenNumber(second, around));
  if (/^(?:eval|Function)\.(?:apply|bind|call)$/.test(path)) return [path.split('.', 1)[0] ?? ''];
  if (path === 'Reflect.construct' && first && names.valueOf(first, scope) === 'Function') return ['Function'];
  if (takesConstructor(call.callee, around)) return ['Function'];
  if (path === 'addEventListener') return workerEvent(first, around);
  if (!path.startsWith('chrome.')) return [];
  return [
    ...ruleFaults(path, first, around),
    ...menuFaults(path, first, around),
    ...answerFaults(path, first, around),
    ...commandFaults(path, first, around),
    ...valueFaults(path, call, around),
    ...blockingFaults(path, call, around),
    ...injectionFaults(path, call, around),
    ...notificationFaults(path, call, around),
    ...alarmFaults(path, call, around),
    ...patternFaults(path, call, around),
    ...(path === 'chrome.i18n.getMessage' ? messageName(first, around) : []),
  ];
}

/** Whether this is the constructor of a function, which makes code of a text: `(() => {}).constructor`. */
function takesConstructor(callee: AnyNode, around: Around): boolean {
  const value = heldBy(callee, around);
  return (
    value?.type === 'MemberExpression' &&
    keyOf(value.property, value.computed) === 'constructor' &&
    isFunction(value.object, around)
  );
}

function isFunction(node: AnyNode, around: Around): boolean {
  if (node.type === 'MemberExpression') return keyOf(node.property, node.computed) === 'constructor';
  const { names, scope } = around;
  if (node.type === 'CallExpression' && names.valueOf(node.callee, scope) === 'Object.getPrototypeOf')
    return node.arguments.some((each) => isFunction(each, around));
  const written = names.functionOf(node, scope);
  return written !== undefined && isFunctionNode(written);
}

/** Chrome takes listeners of these only while the worker's script runs for the first time. */
const workerEvents = new Set([
  ...['activate', 'fetch', 'install', 'message', 'notificationclick', 'notificationclose', 'push'],
  ...['pushsubscriptionchange', 'sync'],
]);

function workerEvent(first: AnyNode | undefined, around: Around): string[] {
  const name = first && writtenText(first, around);
  return name !== undefined && workerEvents.has(name) ? [`addEventListener{event ${name}}`] : [];
}

/** Rules that are written out and that Chrome does not take: the whole call fails. */
function ruleFaults(path: string, options: AnyNode | undefined, around: Around): string[] {
  const [, kind] = /^chrome\.declarativeNetRequest\.update(Dynamic|Session)Rules$/.exec(path) ?? [];
  if (kind === undefined) return [];
  const list = heldBy(propertyOf(options, 'addRules', around), around);
  const ids = new Set<unknown>();
  return (list?.type === 'ArrayExpression' ? itemsOf(list) : []).flatMap((item, index) => {
    const rule = writtenValue(item, around);
    const problem = rule === undefined ? undefined : ruleProblem(rule, ids, kind === 'Session');
    return problem === undefined ? [] : [fault(path, 'rule', `addRules[${index}]: ${problem}`)];
  });
}

/** A value that is written out as JSON could be; undefined if a part of it is not. */
function writtenValue(node: AnyNode | undefined, around: Around): unknown {
  const value = heldBy(node, around);
  if (value?.type === 'Literal') return value.value ?? undefined;
  if (value?.type === 'TemplateLiteral') return writtenText(value, around);
  if (value?.type === 'ArrayExpression') {
    const items = itemsOf(value).map((item) => writtenValue(item, around));
    return items.includes(undefined) ? undefined : items;
  }
  if (value?.type !== 'ObjectExpression') return undefined;
  const entries = value.properties.map((property): [string | undefined, unknown] =>
    property.type === 'Property'
      ? [keyOf(property.key, property.computed), writtenValue(property.value, around)]
      : [undefined, undefined],
  );
  const isKnown = entries.every(([key, item]) => key !== undefined && item !== undefined);
  return isKnown ? Object.fromEntries(entries) : undefined;
}

const fault = (path: string, kind: string, detail: string): string =>
  `${path}{${kind} ${encodeURIComponent(detail).replaceAll('.', '%2E')}}`;

const isText = (node: AnyNode | undefined): boolean =>
  node?.type === 'TemplateLiteral' ||
  (node?.type === 'Literal' && typeof node.value === 'string') ||
  (node?.type === 'BinaryExpression' && node.operator === '+' && isText(node.left));

/** A number that is written out, perhaps as a product. */
function writtenNumber(node: AnyNode | undefined, around: Around): number | undefined {
  const value = heldBy(node, around);
  if (value?.type === 'Literal') return typeof value.value === 'number' ? value.value : undefined;
  if (value?.type !== 'BinaryExpression' || (value.operator !== '*' && value.operator !== '/')) return undefined;
  const [left, right] = [writtenNumber(value.left, around), writtenNumber(value.right, around)];
  if (left === undefined || right === undefined) return undefined;
  return value.operator === '*' ? left * right : left / right;
}

/** After that time without events a worker sleeps. */
export const idleMs = 30_000;

const longTimer = (path: string, ms = 0): string[] => (ms >= idleMs ? [fault(path, 'long', String(ms / 1000))] : []);

/** What service workers may not pass, and must. */
function menuFaults(path: string, entry: AnyNode | undefined, around: Around): string[] {
  const value = path === 'chrome.contextMenus.create' ? heldBy(entry, around) : undefined;
  if (value?.type !== 'ObjectExpression') return [];
  return [
    ...(propertyOf(value, 'onclick', around) ? [`${path}{onclick}`] : []),
    ...(isWhole(value) && !propertyOf(value, 'id', around) ? [`${path}{no id}`] : []),
  ];
}

type ObjectNode = Extract<AnyNode, { type: 'ObjectExpression' }>;

/** Whether all keys are written out. */
const isWhole = (value: ObjectNode): boolean =>
  value.properties.every(
    (property) => property.type === 'Property' && keyOf(property.key, property.computed) !== undefined,
  );

/** The function that is written out for a listener. */
function functionOf(listener: AnyNode | undefined, { names, scope }: Around): FunctionNode | undefined {
  const written = listener && names.functionOf(listener, scope);
  return written !== undefined && isFunctionNode(written) ? written : undefined;
}

function answerFaults(path: string, listener: AnyNode | undefined, around: Around): string[] {
  const { names, scope } = around;
  const isMessage = /^chrome\.runtime\.onMessage(?:External)?\.addListener$/.test(path);
  const isFilename = path === 'chrome.downloads.onDeterminingFilename.addListener';
  const written = isMessage || isFilename ? functionOf(listener, around) : undefined;
  if (written === undefined) return [];
  const reply = written.params[isMessage ? 2 : 1];
  if (reply?.type !== 'Identifier') return [];
  if (written.async) return answersAfterWait(written, reply.name) ? [`${path}{async}`] : [];
  const helpers = (node: AnyNode): AnyNode | undefined => names.functionOf(node, scope);
  return answersLate(written, reply.name, helpers) ? [`${path}{late}`] : [];
}

/** The names of commands with which a listener compares its first parameter: "command x". */
function commandFaults(path: string, listener: AnyNode | undefined, around: Around): string[] {
  const written = path === 'chrome.commands.onCommand.addListener' ? functionOf(listener, around) : undefined;
  const [first] = written?.params ?? [];
  if (written === undefined || first?.type !== 'Identifier') return [];
  const compared: (AnyNode | null | undefined)[] = [];
  const look = (node: AnyNode): void => {
    if (node.type === 'BinaryExpression' && /^===?$/.test(node.operator)) {
      if (nameOf(node.left) === first.name) compared.push(node.right);
      else if (nameOf(node.right) === first.name) compared.push(node.left);
    }
    if (node.type === 'SwitchStatement' && nameOf(node.discriminant) === first.name)
      compared.push(...node.cases.map(({ test }) => test));
    forEachChild(node, look);
  };
  look(written.body);
  const found = compared.flatMap((node) =>
    node?.type === 'Literal' && typeof node.value === 'string' ? node.value : [],
  );
  return [...new Set(found)].map((name) => fault(path, 'command', name));
}

function valueFaults(path: string, { arguments: [first] }: Call, around: Around): string[] {
  const keys = Object.hasOwn(takenValues, path) ? (takenValues[path] ?? []) : [];
  return keys.flatMap(([key, values]) => {
    const given = itemsOf(heldBy(propertyOf(first, key, around), around));
    const wrong = given.flatMap((item) =>
      item.type === 'Literal' && typeof item.value === 'string' && !values.includes(item.value) ? [item.value] : [],
    );
    return wrong.map((value) => fault(path, 'value', `${key} "${value}"`));
  });
}

/**
 * Whether a listener of messages answers in a callback and returns nothing, so that its answer comes too late. One that
 * returns a value is not judged.
 */
function answersLate({ body }: FunctionNode, reply: string, helpers: (node: AnyNode) => AnyNode | undefined): boolean {
  if (body.type !== 'BlockStatement') return false;
  let [isLate, returnsValue] = [false, false];
  const look = (node: AnyNode): void => {
    if (isFunctionNode(node)) return;
    if (node.type === 'ReturnStatement' && node.argument) returnsValue = true;
    if (node.type === 'CallExpression') isLate ||= handsOn(node, reply) || waitsFirst(node, reply, helpers);
    forEachChild(node, look);
  };
  forEachChild(body, look);
  return isLate && !returnsValue;
}

/** Whether a call gets a callback, and with it a name, that it does not call at once. */
function handsOn({ callee, arguments: given }: CallExpression, name: string): boolean {
  const method = callee.type === 'MemberExpression' ? keyOf(callee.property, callee.computed) : undefined;
  let root: AnyNode = callee;
  while (root.type === 'MemberExpression' && root.object.type !== 'Super') root = root.object;
  const isChrome = root.type === 'Identifier' && (root.name === 'chrome' || root.name === 'browser');
  if (!isChrome && !(method !== undefined && ['then', 'finally'].includes(method)) && nameOf(callee) !== 'setTimeout')
    return false;
  return given.some((each) =>
    each.type === 'Identifier' ? each.name === name : isFunctionNode(each) && isNamed(each.body, name),
  );
}

/** Whether an async function is called that answers only after it has waited: one in brackets, or one of this file. */
function waitsFirst(
  { callee, arguments: given }: CallExpression,
  reply: string,
  helpers: (node: AnyNode) => AnyNode | undefined,
): boolean {
  const called = isFunctionNode(callee) ? callee : helpers(callee);
  if (called === undefined || !isFunctionNode(called) || !called.async) return false;
  if (called === callee && given.length === 0) return answersAfterWait(called, reply);
  const index = given.findIndex((each) => each.type === 'Identifier' && each.name === reply);
  const parameter = called.params[index];
  return parameter?.type === 'Identifier' && answersAfterWait(called, parameter.name);
}

/** Whether each use of a name in an async function comes after an `await`. */
function answersAfterWait(listener: FunctionNode, reply: string): boolean {
  let [waited, uses, early] = [Infinity, 0, 0];
  const look = (node: AnyNode): void => {
    if (node.type === 'AwaitExpression') waited = Math.min(waited, node.start);
    if (node.type === 'CallExpression' && nameOf(node.callee) === reply) {
      // The arguments are worked out before the call.
      for (const argument of node.arguments) look(argument);
      uses += 1;
      if (node.end < waited) early += 1;
      return;
    }
    if (node.type === 'Identifier' && node.name === reply) uses += 1;
    forEachChild(node, look);
  };
  look(listener.body);
  return uses > 0 && early === 0 && waited < Infinity;
}

const nameOf = (node: AnyNode): string => (node.type === 'Identifier' ? node.name : '');

function isNamed(node: AnyNode, name: string): boolean {
  let isThere = node.type === 'Identifier' && node.name === name;
  forEachChild(node, (child) => (isThere ||= isNamed(child, name)));
  return isThere;
}

type Call = CallExpression | NewExpression;

function blockingFaults(path: string, { arguments: [, , extra] }: Call, around: Around): string[] {
  if (!/^chrome\.webRequest\.on\w+\.addListener$/.test(path)) return [];
  const wanted = itemsOf(heldBy(extra, around)).map((item) => writtenText(item, around) ?? '');
  return wanted.some((each) => /^(?:async)?blocking$/i.test(each))
    ? [`${path}{${path.includes('.onAuthRequired.') ? 'auth' : 'blocking'}}`]
    : [];
}

const injectionKeys: Readonly<Record<string, readonly string[]>> = {
  'chrome.scripting.executeScript': ['target', 'func', 'function', 'args', 'files', 'world', 'injectImmediately'],
  'chrome.scripting.insertCSS': ['target', 'css', 'files', 'origin'],
  'chrome.scripting.removeCSS': ['target', 'css', 'files', 'origin'],
};

function injectionFaults(path: string, { arguments: given }: Call, around: Around): string[] {
  const known = Object.hasOwn(injectionKeys, path) ? injectionKeys[path] : undefined;
  const value = heldBy(given[0], around);
  if (known === undefined || value?.type !== 'ObjectExpression') return [];
  return value.properties.flatMap((property) => {
    const key = property.type === 'Property' ? keyOf(property.key, property.computed) : undefined;
    return key === undefined || known.includes(key) ? [] : [fault(path, 'key', key)];
  });
}

function notificationFaults(path: string, { arguments: given }: Call, around: Around): string[] {
  if (path !== 'chrome.notifications.create') return [];
  const value = given.map((each) => heldBy(each, around)).find((each) => each?.type === 'ObjectExpression');
  if (value?.type !== 'ObjectExpression' || !isWhole(value)) return [];
  const missing = ['type', 'iconUrl', 'title', 'message'].find((key) => propertyOf(value, key, around) === undefined);
  return missing === undefined ? [] : [fault(path, 'missing', missing)];
}

/** Shorter ones are made as long by Chrome, but for extensions that are unpacked. */
export const shortestMinutes = 0.5;

function alarmFaults(path: string, { arguments: given }: Call, around: Around): string[] {
  if (path !== 'chrome.alarms.create') return [];
  const minutes = given.flatMap((each) =>
    ['periodInMinutes', 'delayInMinutes'].map((key) => writtenNumber(propertyOf(each, key, around), around)),
  );
  const short = minutes.find((each) => each !== undefined && each < shortestMinutes && each > 0);
  return short === undefined ? [] : [fault(path, 'short', String(short))];
}

/** Where match patterns stand: the argument, or those in its list, and its key. */
const patternKeys: readonly (readonly [RegExp, number, readonly string[]])[] = [
  [
    /^chrome\.(?:scripting\.(?:register|update)ContentScripts|userScripts\.(?:register|update))$/,
    0,
    ['matches', 'excludeMatches'],
  ],
  [/^chrome\.tabs\.query$/, 0, ['url']],
  [/^chrome\.webRequest\.on\w+\.addListener$/, 1, ['urls']],
  [/^chrome\.contextMenus\.create$/, 0, ['documentUrlPatterns', 'targetUrlPatterns']],
  [/^chrome\.permissions\.(?:request|contains|remove)$/, 0, ['origins']],
];

function patternFaults(path: string, { arguments: given }: Call, around: Around): string[] {
  const [, index = 0, keys = []] = patternKeys.find(([of]) => of.test(path)) ?? [];
  const argument = heldBy(given[index], around);
  const entries = argument?.type === 'ArrayExpression' ? itemsOf(argument) : [argument];
  const texts = entries.flatMap((entry) =>
    keys.flatMap((key) =>
      itemsOf(heldBy(propertyOf(entry, key, around), around)).map((item) => writtenText(item, around)),
    ),
  );
  return texts.flatMap((text) => {
    const problem = text === undefined ? undefined : parsePattern(text);
    // Here Chrome takes addresses of its own, too.
    return typeof problem === 'string' && !problem.startsWith('the scheme')
      ? [fault(path, 'pattern', `"${text ?? ''}" is no match pattern: ${problem}`)]
      : [];
  });
}

function messageName(first: AnyNode | undefined, around: Around): string[] {
  const name = first && writtenText(first, around);
  return name === undefined || name.startsWith('@@') ? [] : [fault('chrome.i18n.getMessage', 'message', name)];
}

/** The expression that a constant name holds, or the expression itself. */
export function heldBy(node: AnyNode | undefined, { scope }: Around): AnyNode | undefined {
  if (node?.type !== 'Identifier') return node;
  const binding = scope.find(node.name)?.binding;
  const [only, ...others] = binding?.sources ?? [];
  return binding?.kind === 'const' && only?.keys.length === 0 && others.length === 0 ? only.node : undefined;
}

export function propertyOf(node: AnyNode | undefined, key: string, around: Around): AnyNode | undefined {
  const value = heldBy(node, around);
  if (value?.type !== 'ObjectExpression') return undefined;
  for (const property of value.properties) {
    if (property.type === 'Property' && keyOf(property.key, property.computed) === key) return property.value;
  }
  return undefined;
}

/** The items of a list, the values of an object, or the value itself. */
export function itemsOf(value: AnyNode | undefined): AnyNode[] {
  if (value?.type === 'ArrayExpression') return value.elements.filter((element) => element !== null);
  if (value?.type === 'ObjectExpression')
    return value.properties.map((property) => (property.type === 'Property' ? property.value : property));
  return value === undefined ? [] : [value];
}

/** A text that is written out, perhaps as a constant. */
export const writtenText = (node: AnyNode, around: Around): string | undefined => {
  const value = heldBy(node, around);
  return value && keyOf(value, true);
};
