/** A JSON text that Chrome refuses, and where. */
export class ChromeJsonError extends Error {
  readonly line: number;

  constructor(problem: string, line: number, column: number) {
    super(`${problem} at line ${line}, column ${column}`);
    this.line = line;
  }
}

export interface ChromeJson {
  readonly value: unknown;
  /** The line of a value, as of `content_scripts[0].js`; where it is not there, of what it would stand in. */
  lineOf(path: string): number;
}

/** Chrome nests values at most that deep. */
const maxDepth = 199;

const escapes: Readonly<Record<string, string>> = {
  ...{ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' },
};

/** `file:line:column` counts from 1. */
export function positionIn(text: string, index: number): { readonly line: number; readonly column: number } {
  let [line, begin] = [1, 0];
  for (let at = text.indexOf('\n'); at !== -1 && at < index; at = text.indexOf('\n', at + 1)) {
    line += 1;
    begin = at + 1;
  }
  return { line, column: index - begin + 1 };
}

/**
 * Parses JSON as Chrome parses manifests and translations. Beyond JSON it takes comments of both kinds, line ends in
 * strings, `\xHH` and a byte order mark; it refuses half surrogate pairs, numbers out of range and nesting deeper than
 * 199. Throws a ChromeJsonError.
 */
export function parseChromeJson(text: string): ChromeJson {
  const parser = new Parser(text);
  const value = parser.document();
  let lines: Map<string, number> | undefined;
  return {
    value,
    lineOf(path) {
      lines ??= linesAt(text, parser.places);
      for (let at = path; at !== ''; at = parentOf(at)) {
        const line = lines.get(at);
        if (line !== undefined) return line;
      }
      return 1;
    },
  };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('.'), path.lastIndexOf('['), 0));
}

/** Places come in the order of the text, so one pass is enough. */
function linesAt(text: string, places: ReadonlyMap<string, number>): Map<string, number> {
  const lines = new Map<string, number>();
  let [line, from] = [1, 0];
  for (const [path, index] of [...places].sort(([, a], [, b]) => a - b)) {
    for (let at = text.indexOf('\n', from); at !== -1 && at < index; at = text.indexOf('\n', from)) {
      line += 1;
      from = at + 1;
    }
    lines.set(path, line);
  }
  return lines;
}

class Parser {
  /** Where the key of a property, or an item, begins. */
  readonly places = new Map<string, number>();
  readonly text: string;
  #at = 0;

  constructor(text: string) {
    this.text = text;
    if (text.startsWith('\uFEFF')) this.#at = 1;
  }

  document(): unknown {
    this.#blank();
    const value = this.#value('', 0);
    this.#blank();
    return this.#at < this.text.length ? this.#fail('trailing characters') : value;
  }

  #fail(problem: string, index = this.#at): never {
    const { line, column } = positionIn(this.text, index);
    throw new ChromeJsonError(index >= this.text.length ? 'it ends too early' : problem, line, column);
  }

  #blank(): void {
    for (;;) {
      const character = this.text[this.#at];
      if (character === '/') this.#comment();
      else if (character === ' ' || character === '\n' || character === '\r' || character === '\t') this.#at += 1;
      else return;
    }
  }

  #comment(): void {
    const kind = this.text[this.#at + 1];
    if (kind !== '/' && kind !== '*') this.#fail('expected a comment after /');
    const end = kind === '/' ? this.text.indexOf('\n', this.#at) : this.text.indexOf('*/', this.#at + 2);
    if (end === -1 && kind === '*') this.#fail('a comment without an end', this.text.length);
    if (end === -1) this.#at = this.text.length;
    else this.#at = kind === '/' ? end : end + 2;
  }

  #value(path: string, depth: number): unknown {
    if (depth > maxDepth) this.#fail('it nests too deep');
    const character = this.text[this.#at];
    if (character === '{') return this.#object(path, depth + 1);
    if (character === '[') return this.#array(path, depth + 1);
    if (character === '"') return this.#string();
    if (character === '-' || (character !== undefined && character >= '0' && character <= '9')) return this.#number();
    for (const [word, value] of words) {
      if (!this.text.startsWith(word, this.#at)) continue;
      this.#at += word.length;
      return value;
    }
    return this.#fail('expected a value');
  }

  #object(path: string, depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    if (this.#begins('}')) return object;
    for (;;) {
      const begin = this.#at;
      if (this.text[this.#at] !== '"')
        this.#fail(this.text[this.#at] === '}' ? 'a trailing comma' : 'a key is no string');
      const key = this.#string();
      const where = path === '' ? key : `${path}.${key}`;
      this.places.set(where, begin);
      this.#blank();
      if (this.text[this.#at] !== ':') this.#fail('expected :');
      this.#at += 1;
      this.#blank();
      const value = this.#value(where, depth);
      Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
      if (this.#ends('}')) return object;
    }
  }

  #array(path: string, depth: number): unknown[] {
    const items: unknown[] = [];
    if (this.#begins(']')) return items;
    for (;;) {
      if (this.text[this.#at] === ']') this.#fail('a trailing comma');
      const where = `${path}[${items.length}]`;
      this.places.set(where, this.#at);
      items.push(this.#value(where, depth));
      if (this.#ends(']')) return items;
    }
  }

  /** Past the opening bracket, and past the closing one if nothing is between. */
  #begins(closing: string): boolean {
    this.#at += 1;
    this.#blank();
    if (this.text[this.#at] !== closing) return false;
    this.#at += 1;
    return true;
  }

  #ends(closing: string): boolean {
    this.#blank();
    const character = this.text[this.#at];
    if (character !== closing && character !== ',') this.#fail(`expected , or ${closing}`);
    this.#at += 1;
    if (character === closing) return true;
    this.#blank();
    return false;
  }

  #number(): number {
    const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    number.lastIndex = this.#at;
    const [found] = number.exec(this.text) ?? [];
    const next = this.text[number.lastIndex] ?? '';
    if (found === undefined || (next !== '' && '.0123456789eE'.includes(next))) return this.#fail('invalid number');
    if (!Number.isFinite(Number(found))) this.#fail('a number out of range');
    this.#at = number.lastIndex;
    return Number(found);
  }

  #string(): string {
    const begin = this.#at;
    const parts: string[] = [];
    let kept = (this.#at += 1);
    for (; this.#at < this.text.length; this.#at += 1) {
      const code = this.text.charCodeAt(this.#at);
      if (code === 0x22) {
        parts.push(this.text.slice(kept, this.#at));
        this.#at += 1;
        const whole = parts.join('');
        return isWellFormed(whole) ? whole : this.#fail('half of a surrogate pair', begin);
      }
      if (code < 0x20 && code !== 0x0a && code !== 0x0d) this.#fail('a control character in a string');
      if (code !== 0x5c) continue;
      parts.push(this.text.slice(kept, this.#at), this.#escape());
      kept = this.#at + 1;
    }
    return this.#fail('a string without an end', this.text.length);
  }

  /** Ends at the last character of the escape. */
  #escape(): string {
    const letter = this.text[(this.#at += 1)] ?? '';
    const digits = letter === 'u' ? 4 : letter === 'x' ? 2 : 0;
    if (digits === 0) return escapes[letter] ?? this.#fail('invalid escape');
    const code = this.text.slice(this.#at + 1, this.#at + 1 + digits);
    if (code.length < digits || !/^[\da-fA-F]+$/.test(code)) this.#fail('invalid escape');
    this.#at += digits;
    return String.fromCharCode(parseInt(code, 16));
  }
}

const words: readonly (readonly [string, unknown])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
];

function isWellFormed(text: string): boolean {
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code < 0xd800 || code > 0xdfff) continue;
    const next = text.charCodeAt(index + 1);
    if (code > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return false;
    index += 1;
  }
  return true;
}
