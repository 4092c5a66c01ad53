import { z } from 'zod';
import type { Tool } from '../tools/defineTool.js';
import { hasTooManyValues } from './messageText.js';
import { isObject, isShallow, valueAt } from './protocol.js';
import { shortenText } from '../text.js';

/** The kinds of accepted deviations from a schema. A closed set: labels of a metric. */
export const toleranceKinds = ['text', 'omitted', 'extra_key', 'null', 'peer'] as const;
export type ToleranceKind = (typeof toleranceKinds)[number];

type Args = Record<string, unknown>;

interface Reading {
  readonly args: Args;
  readonly tolerated: ReadonlySet<ToleranceKind>;
  /** For the answer, where a reading is not the only one that one may have meant. */
  readonly remarks: readonly string[];
}

/** Arguments that could not be read; `args` and `error` are those of the last try. */
interface Misreading {
  readonly args: unknown;
  readonly error: z.ZodError;
}

/** Wrong values of one call that are examined: far more than a model ever sends. */
const maxRepairs = 100;
/** Values of a call up to which wrong ones are examined: each examination checks all of them. */
const maxValues = 2_000;

function hasFewValues(args: object): boolean {
  const waiting: unknown[] = [args];
  for (let seen = 0; waiting.length > 0; seen += 1) {
    const value = waiting.pop();
    if (typeof value !== 'object' || value === null) continue;
    const inner: unknown[] = Object.values(value);
    if (seen + waiting.length + inner.length > maxValues) return false;
    waiting.push(...inner);
  }
  return true;
}

/**
 * Reads the arguments of a call as the tool's schema wants them. Where they differ and have exactly one reading, it is taken:
 * `"2"` for a number, `null` for an optional argument, a key that an agent's framework adds. Everything else stays wrong.
 */
export function readArguments(tool: Tool, given: unknown, isTolerant: boolean): Reading | Misreading {
  const early = isObject(given) && !hasFewValues(given) ? earlyError(tool, given) : undefined;
  if (early !== undefined) return { args: given ?? {}, error: early };
  const first = tool.input.safeParse(given ?? {});
  if (first.success) return { args: first.data, tolerated: new Set(), remarks: remarksOn(tool, given) };
  if (!isTolerant || !isObject(given) || !hasFewValues(given)) return { args: given ?? {}, error: first.error };
  const repair = new Repair(tool, structuredClone(given));
  return repair.run(first.error);
}

/**
 * The first wrong values of many: a wrong one costs far more than one that is right, so that not all of them are looked at.
 * Lists are checked in parts, and objects have a bound where their values are checked.
 */
function earlyError({ input }: Tool, given: Args): z.ZodError | undefined {
  if (Object.keys(given).length > maxValues) return tooMany([]);
  const shape: Record<string, z.ZodType> = input.shape;
  for (const [key, value] of Object.entries(given)) {
    if (Object.hasOwn(shape, key) && takesAnything(shape[key])) continue;
    const items = Array.isArray(value) ? value : [value];
    const large = items.findIndex(isLarge);
    if (large !== -1) return tooMany(Array.isArray(value) ? [key, large] : [key]);
    for (let at = 0; Array.isArray(value) && at < items.length; at += itemsAtOnce) {
      const issues = input.safeParse({ [key]: items.slice(at, at + itemsAtOnce) }).error?.issues ?? [];
      const wrong = issues.filter(({ path }) => path[0] === key && typeof path[1] === 'number');
      if (wrong.length > 0) return new z.ZodError(wrong.map((issue) => ({ ...issue, path: movedBy(at, issue.path) })));
    }
  }
  return undefined;
}

const itemsAtOnce = 100;

const movedBy = (by: number, [key = '', index, ...rest]: readonly PropertyKey[]): PropertyKey[] => [
  key,
  Number(index) + by,
  ...rest,
];

const tooMany = (path: PropertyKey[]): z.ZodError =>
  new z.ZodError([{ code: 'custom', path, message: `more than ${maxValues} values: pass fewer`, input: undefined }]);

/** Whether one object or list has many values. */
const isLarge = (value: unknown): boolean => typeof value === 'object' && value !== null && !hasFewValues(value);

/** Whether no value within is checked. */
function takesAnything(schema: z.ZodType | undefined): boolean {
  const type = innerType(schema);
  if (type !== 'record') return type === 'unknown' || type === 'any';
  return takesAnything((unwrapped(schema) as z.ZodRecord<z.ZodString, z.ZodType>).valueType);
}

class Repair {
  readonly #tool: Tool;
  #args: Args;
  readonly #tolerated = new Set<ToleranceKind>();
  readonly #remarks: string[] = [];
  #repairs = 0;

  constructor(tool: Tool, args: Args) {
    this.#tool = tool;
    this.#args = args;
  }

  run(firstError: z.ZodError): Reading | Misreading {
    this.#unwrap();
    this.#readPeerArguments();
    let error = firstError;
    for (;;) {
      const checked = this.#tool.input.safeParse(this.#args);
      if (checked.success) {
        const remarks = [...this.#remarks, ...remarksOn(this.#tool, this.#args)];
        return { args: checked.data, tolerated: this.#tolerated, remarks };
      }
      error = checked.error;
      const isChanged = error.issues.map((issue) => this.#repair(issue)).some(Boolean);
      if (!isChanged) return { args: this.#args, error };
    }
  }

  /** Whether the issue could be repaired. */
  #repair(issue: z.core.$ZodIssue): boolean {
    if (this.#repairs >= maxRepairs) return false;
    this.#repairs += 1;
    const kind = issue.code === 'unrecognized_keys' ? this.#dropKeys(issue) : this.#readValue(issue);
    if (kind === undefined) return false;
    this.#tolerated.add(kind);
    return true;
  }

  #dropKeys({ path, keys }: z.core.$ZodIssueUnrecognizedKeys): ToleranceKind | undefined {
    const parent = valueAt(this.#args, path);
    if (!isObject(parent)) return undefined;
    const known = path.length === 0 ? Object.keys(this.#tool.input.shape) : [];
    const added = keys.filter((key) => isFrameworkKey(key) && nearestName(key, known, 0) === undefined);
    for (const key of added) Reflect.deleteProperty(parent, key);
    return added.length > 0 ? 'extra_key' : undefined;
  }

  #readValue({ path }: z.core.$ZodIssue): ToleranceKind | undefined {
    const key = path.at(-1);
    const parent = valueAt(this.#args, path.slice(0, -1));
    if (key === undefined || typeof parent !== 'object' || parent === null) return undefined;
    const value: unknown = Reflect.get(parent, key);
    if (value === undefined) return undefined;
    if (isEmpty(value) && isObject(parent) && this.#accepts(parent, key, undefined, path)) {
      Reflect.deleteProperty(parent, key);
      if (value === 0) this.#remarks.push(`"${path.join('.')}": 0 was taken as left out.`);
      return 'omitted';
    }
    const readings = [...otherReadings(value), ...textsOfList(key, value)].filter((reading) =>
      this.#accepts(parent, key, reading, path),
    );
    const [only] = readings;
    if (readings.length !== 1) return undefined;
    Reflect.set(parent, key, only);
    return 'text';
  }

  /** Whether the schema has nothing against `value` at `path`; undefined: left out. Changes nothing. */
  #accepts(parent: object, key: PropertyKey, value: unknown, path: readonly PropertyKey[]): boolean {
    const before: unknown = Reflect.get(parent, key);
    if (value === undefined) Reflect.deleteProperty(parent, key);
    else Reflect.set(parent, key, value);
    const checked = this.#tool.input.safeParse(this.#args);
    Reflect.set(parent, key, before);
    const isAtPath = (issue: z.core.$ZodIssue): boolean => path.every((part, index) => issue.path[index] === part);
    // Wrong values within a list or an object are repaired afterwards.
    const isAccepted = (issue: z.core.$ZodIssue): boolean =>
      !isAtPath(issue) || (issue.path.length > path.length && isContainer(value));
    return checked.success || checked.error.issues.every(isAccepted);
  }

  /** Some frameworks put all arguments of a tool below one key. */
  #unwrap(): void {
    const keys = Object.keys(this.#args).filter((key) => !isFrameworkKey(key) || wrappers.has(plainName(key)));
    const [key = ''] = keys;
    if (keys.length !== 1 || !wrappers.has(plainName(key)) || Object.hasOwn(this.#tool.input.shape, key)) return;
    const given = this.#args[key];
    const [within] = typeof given === 'string' ? parsedText(given) : [given];
    if (!isObject(within)) return;
    const { [key]: _, ...others } = this.#args;
    this.#args = { ...others, ...within };
    this.#tolerated.add('extra_key');
  }

  /** `navigate_page` of another server has a `type`: `url` is the only kind that ours has no other tool for. */
  #readPeerArguments(): void {
    if (this.#tool.name !== 'navigate_page' || 'type' in this.#tool.input.shape) return;
    const { type } = this.#args;
    if (type !== 'url' && type !== 'reload') return;
    delete this.#args['type'];
    if (type === 'reload') this.#args['reload'] = true;
    this.#tolerated.add('peer');
  }
}

const isContainer = (value: unknown): boolean => typeof value === 'object' && value !== null;

/** What clients send for an argument that they leave out. */
function isEmpty(value: unknown): boolean {
  return value === null || value === 0 || value === '' || (Array.isArray(value) && value.length === 0);
}

/**
 * What else a value can mean. A text: the JSON in it, a truth value, a number, one item of a list, another case. A number or a
 * truth value: its text, or one item of a list; 1: true.
 */
function otherReadings(value: unknown): unknown[] {
  if (typeof value === 'number' || typeof value === 'boolean')
    return [String(value), [value], ...(value === 1 ? [true] : [])];
  if (typeof value !== 'string') return [];
  const text = value.trim();
  if (/^(true|false)$/i.test(text)) return [text.toLowerCase() === 'true', [value]];
  if (/^[[{]/.test(text)) return parsedText(text);
  if (/^-?\d{1,15}(\.\d{1,15})?$/.test(text)) return [Number(text), [value]];
  const cased = [value.toLowerCase(), value.toUpperCase()].filter((other) => other !== value);
  return text === '' ? [] : [...cased, [value]];
}

/** A list of texts for one text: the only item; for the `value` of a field that takes several, the list as JSON. */
function textsOfList(key: PropertyKey, value: unknown): string[] {
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) return [];
  const [only] = value;
  if (value.length === 1 && only !== undefined) return [only];
  return key === 'value' ? [JSON.stringify(value)] : [];
}

function parsedText(text: string): unknown[] {
  if (hasTooManyValues(text)) return [];
  try {
    const parsed: unknown = JSON.parse(text);
    return isShallow(parsed) ? [parsed] : [];
  } catch {
    return [];
  }
}

/** A text remains a text if the schema accepts anything; a remark says so, since an object was probably meant. */
function remarksOn({ input }: Tool, args: unknown): string[] {
  if (!isObject(args)) return [];
  const shape: Record<string, z.ZodType> = input.shape;
  return Object.entries(args).flatMap(([name, value]) => {
    const type = Object.hasOwn(shape, name) ? innerType(shape[name]) : undefined;
    const isJsonText = typeof value === 'string' && /^\s*[[{]/.test(value) && parsedText(value).length > 0;
    if (!isJsonText || (type !== 'unknown' && type !== 'any')) return [];
    return [`"${name}" was taken as text, as it was sent. To pass what it says, pass JSON that is no text.`];
  });
}

const innerType = (schema: z.ZodType | undefined): string | undefined => unwrapped(schema)?.def.type;

const unwrapped = (schema: z.ZodType | undefined): z.ZodType | undefined =>
  schema !== undefined && 'unwrap' in schema ? (schema.unwrap as () => z.ZodType).call(schema) : schema;

const wrappers = new Set('input args arguments params parameters kwargs toolinput toolarguments'.split(' '));

/** Keys that frameworks of agents add to the arguments of every tool. */
const frameworkKeys = new Set(
  (
    'action chatinput tool toolname toolinput servername mcpserver randomstring dummy kwargs vargs metadata meta ' +
    'explanation reasoning thought thoughts taskprogress securityrisk toolsummary toolaction waitforprevioustools ' +
    'waitforprevious requiresapproval'
  ).split(' '),
);

function isFrameworkKey(key: string): boolean {
  if (key.startsWith('_')) return true;
  const plain = plainName(key);
  const isId =
    /^(tool|toolcall|call|function|session|chat|thread|run|request|message|conversation|user|agent|trace|span|workflow|execution|task|turn|client)id$/;
  return isId.test(plain) || frameworkKeys.has(plain);
}

const plainName = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** The name that differs from `name` in case and punctuation, and in at most `maxEdits` letters. */
export function nearestName(name: string, names: readonly string[], maxEdits: number): string | undefined {
  const wanted = plainName(name.slice(0, 100));
  let nearest: { name: string; edits: number } | undefined;
  for (const candidate of names) {
    const edits = editsBetween(wanted, plainName(candidate));
    if (edits <= maxEdits && edits < (nearest?.edits ?? Infinity)) nearest = { name: candidate, edits };
  }
  return nearest?.name;
}

/** At most three names that a wrong one may stand for: by their letters, then by common words. */
export function nearestNames(name: string, names: readonly string[]): string[] {
  const named = names.filter((candidate) => isPrefixed(name, candidate)).toSorted((a, b) => b.length - a.length);
  const nearest = named[0] ?? nearestName(name, names, Math.max(2, Math.floor(name.length / 4)));
  const words = wordsOf(name.slice(0, 100));
  const shared = (candidate: string): number => wordsOf(candidate).filter((word) => words.includes(word)).length;
  const related = names
    .filter((candidate) => candidate !== nearest && words.length > 0 && shared(candidate) >= Math.min(2, words.length))
    .toSorted((one, other) => shared(other) - shared(one));
  return [...(nearest === undefined ? [] : [nearest]), ...related].slice(0, 3);
}

/** Whether `name` is `candidate` with the name of a server before it, as gateways and clients list it. */
const isPrefixed = (name: string, candidate: string): boolean =>
  name.endsWith(candidate) && /[^a-zA-Z0-9]$/.test(name.slice(0, -candidate.length));

/** Lower-case words, without the end of a plural. */
const wordsOf = (name: string): string[] =>
  (name.match(/[A-Z]?[a-z]+/g) ?? []).map((word) => word.toLowerCase().replace(/s$/, ''));

/** Levenshtein distance. */
function editsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const changed = (row[j - 1] ?? 0) + Number(from[i - 1] !== to[j - 1]);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

/** Names each wrong or missing argument, and the arguments that exist. */
export function describeArguments(tool: Tool, error: z.ZodError, args: unknown): string {
  const known = Object.keys(tool.input.shape);
  const problems = error.issues.slice(0, maxNamed).map((issue) => {
    if (issue.code === 'unrecognized_keys') return describeUnknown(issue.keys, issue.path.length === 0 ? known : []);
    const name = issue.path.length === 0 ? 'arguments' : `"${shortenText(issue.path.join('.'), maxNameChars)}"`;
    return valueAt(args, issue.path) === undefined ? `${name} is missing` : `${name}: ${issue.message}`;
  });
  const expected = known.length === 0 ? 'It takes no arguments.' : `Its arguments: ${known.join(', ')}.`;
  return `Wrong arguments for ${tool.name}: ${problems.join('; ')}${others(error.issues)}. ${expected}`;
}

/** Problems, and unknown arguments, that an answer names, and characters of a name. */
const maxNamed = 20;
const maxNameChars = 100;

const others = ({ length }: readonly unknown[]): string => (length > maxNamed ? ` and ${length - maxNamed} more` : '');

function describeUnknown(keys: readonly string[], known: readonly string[]): string {
  const names = keys.slice(0, maxNamed).map((key) => {
    const meant = key.length > maxNameChars ? undefined : nearestName(key, known, 2);
    return `"${shortenText(key, maxNameChars)}"${meant === undefined ? '' : ` (did you mean "${meant}"?)`}`;
  });
  return `unknown argument ${names.join(', ')}${others(keys)}`;
}
