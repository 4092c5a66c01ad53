import { ToolError } from '../../errors/errors.js';

/** The tokens of a JavaScript regular expression. */
const token =
  /\\[pP]\{[\w=]{0,60}\}|\\k<\w{0,60}>?|\\u\{[\da-f]{1,6}\}|\\u[\da-f]{4}|\\x[\da-f]{2}|\\c[a-z]|\\[^]|\{\d{1,9}(?:,\d{0,9})?\}|\(\?<?[=!]|\[\^?\]?|[^]/giu;

const missing: Readonly<Record<string, string>> = {
  '(?=': 'a look-ahead',
  '(?!': 'a look-ahead',
  '(?<=': 'a look-behind',
  '(?<!': 'a look-behind',
};

/** `\s` of JavaScript; that of RE2 is ASCII only. */
const blanks =
  String.raw`\t-\r \x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}` + String.raw`\x{feff}`;

/** Escapes with the same meaning in both dialects. Other letters stand for themselves, as in JavaScript. */
const sameEscapes = 'dDwWBbnrtfvS';

const longCategories: Readonly<Record<string, string>> = {
  Letter: 'L',
  Lowercase_Letter: 'Ll',
  Uppercase_Letter: 'Lu',
  Mark: 'M',
  Number: 'N',
  Decimal_Number: 'Nd',
  Punctuation: 'P',
  Symbol: 'S',
  Separator: 'Z',
  Other: 'C',
};

/** A regular expression for RE2, with its approximate number of RE2 instructions. */
export interface RegexSource {
  readonly source: string;
  readonly size: number;
}

/** Translates a JavaScript regular expression for RE2. Throws a ToolError that names what RE2 does not support. */
export function translate(source: string): RegexSource {
  const weight = new Weight();
  let inClass = false;
  let translated = '';
  for (const [part] of source.matchAll(token)) {
    if (inClass) {
      translated += insideClass(part);
      inClass = !part.endsWith(']') || part === '\\]';
    } else {
      inClass = part === '[' || part === '[^';
      weight.add(part);
      translated += outsideClass(part);
    }
  }
  return { source: translated, size: weight.total };
}

function outsideClass(part: string): string {
  const name = missing[part];
  if (name !== undefined) throw unsupported(part, name);
  if (/^\\(?:k<|[1-9])/.test(part)) throw unsupported(part, 'a back-reference');
  if (part === '[]') return String.raw`[^\x{0}-\x{10ffff}]`;
  if (part === '[^]') return String.raw`[\x{0}-\x{10ffff}]`;
  if (part === '\\s') return `[${blanks}]`;
  if (part === '\\S') return `[^${blanks}]`;
  return part.startsWith('\\') ? escape(part) : part;
}

function insideClass(part: string): string {
  if (part === '\\s') return blanks;
  if (part === '\\b') return String.raw`\x08`;
  if (part.startsWith('\\')) return escape(part);
  // A bracket in a character class is a character; RE2 would parse the name of a class.
  return part.startsWith('[') ? `\\${part}` : part;
}

function escape(part: string): string {
  const body = part.slice(1);
  const code = /^(?:u\{?|x)([\da-f]{1,6})\}?$/i.exec(body)?.[1];
  if (code !== undefined) return `\\x{${code}}`;
  if (/^[pP]\{/.test(body)) return property(part);
  if (/^c[a-z]$/i.test(body)) return `\\x{${(body.charCodeAt(1) % 32).toString(16)}}`;
  if (body === '0') return String.raw`\x{0}`;
  return /^[A-Za-z]$/.test(body) && !sameEscapes.includes(body) ? body : part;
}

/** `\p{Script=Hebrew}` is `\p{Hebrew}` in RE2. */
function property(part: string): string {
  const value = part.slice(3, -1);
  const name = value.slice(value.indexOf('=') + 1);
  return `${part.slice(0, 3)}${longCategories[name] ?? name}}`;
}

function unsupported(part: string, name: string): ToolError {
  return new ToolError(
    `it has ${name}, ${part}, which patterns do not have here: they run in linear time, as in RE2. Write it without.`,
  );
}

/** Counts instructions: RE2 expands a repetition `{n}` n times. */
class Weight {
  readonly #outer: number[] = [];
  #group = 0;
  #last = 0;

  get total(): number {
    return this.#outer.reduce((sum, group) => sum + group, this.#group);
  }

  add(part: string): void {
    const times = /^\{(\d+)(?:,(\d*))?\}$/.exec(part);
    if (times !== null) this.#repeat(Math.max(Number(times[1]), Number(times[2] ?? 0)));
    else if (part === '(') {
      this.#outer.push(this.#group);
      this.#group = 0;
    } else if (part === ')') {
      this.#last = this.#group;
      this.#group += this.#outer.pop() ?? 0;
    } else if (!['*', '+', '?', '|'].includes(part)) {
      this.#last = 1;
      this.#group += 1;
    }
  }

  #repeat(times: number): void {
    this.#group += this.#last * Math.max(0, times - 1);
    this.#last *= Math.max(1, times);
  }
}
