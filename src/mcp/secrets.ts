import type { JSONRPCMessage } from './protocol.js';
import { hideCredentials } from '../networkAddresses.js';
import { isSharedResult } from './messageText.js';

/** Arguments that are typed or sent, by tool: a text that is the name of a secret stands for its value. */
const secretArguments: Readonly<Record<string, readonly string[]>> = {
  fill: ['value'],
  fill_form: ['elements'],
  type_text: ['text'],
  emulate: ['extraHttpHeaders'],
  set_credentials: ['username', 'password'],
};

/** An authentication header may have a scheme before the name. */
const headerForm = /^(Bearer|Basic|Token) (.+)$/i;

/**
 * The names and values of `--secrets`. Tools type a value by its name, and no message to a client contains a value: it is
 * replaced by its name, also where it is escaped, percent-encoded or in base64. A page that was given a value can change it
 * beyond recognition; pictures are not covered.
 */
export class Secrets {
  #values: ReadonlyMap<string, string> = new Map();
  /** Each spelling of a value, longest first, with what is shown instead. */
  #spellings: readonly (readonly [spelling: string, shown: string])[] = [];
  /** Results of many messages in which nothing has to be hidden. */
  #clean = new WeakSet<object>();

  constructor(values: ReadonlyMap<string, string> = new Map()) {
    this.replace(values);
  }

  /** Replaces names and values from now on. Earlier values stay hidden, since they may still be in pages. */
  replace(values: ReadonlyMap<string, string>): void {
    const added = [...values].flatMap(([name, value]) =>
      spellingsOf(value).map((spelling) => [spelling, `<secret>${name}</secret>`] as const),
    );
    this.#values = values;
    this.#clean = new WeakSet();
    this.#spellings = [...new Map([...this.#spellings, ...added])].toSorted(([a], [b]) => b.length - a.length);
  }

  get names(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** The arguments of a call with the values of the secrets that they name. */
  resolve(tool: string, args: Record<string, unknown>): Record<string, unknown> {
    const fields = this.#values.size === 0 ? [] : (secretArguments[tool] ?? []);
    if (fields.length === 0) return args;
    return Object.fromEntries(
      Object.entries(args).map(([key, value]) => [
        key,
        fields.includes(key) ? mapTexts(value, (text) => this.#valueOf(text)) : value,
      ]),
    );
  }

  /** The text without values of secrets and credentials of addresses. */
  hide(text: string): string {
    const shown = hideCredentials(text);
    return this.#spellings.reduce((rest, [spelling, name]) => rest.replaceAll(spelling, name), shown);
  }

  /** A message in which no text shows a secret; the same object if there is none. Ids and tokens of the client stay. */
  hideInMessage(message: JSONRPCMessage): JSONRPCMessage {
    const result = 'result' in message && isSharedResult(message.result) ? message.result : undefined;
    if (result !== undefined && this.#clean.has(result)) return message;
    const hidden = this.#hideAll(message);
    if (hidden === message) {
      if (result !== undefined) this.#clean.add(result);
      return message;
    }
    const { id, params } = message as { readonly id?: unknown; readonly params?: Record<string, unknown> };
    const token = params?.['progressToken'];
    const shown = {
      ...hidden,
      ...(id !== undefined && { id }),
      ...(token !== undefined && 'params' in hidden && { params: { ...hidden.params, progressToken: token } }),
    };
    return shown as JSONRPCMessage;
  }

  #hideAll<Value>(value: Value): Value {
    return mapTexts(value, (text) => this.hide(text)) as Value;
  }

  #valueOf(text: string): string {
    const [, scheme, name] = headerForm.exec(text) ?? [];
    const named = name === undefined ? undefined : this.#values.get(name);
    return named === undefined ? (this.#values.get(text) ?? text) : `${scheme} ${named}`;
  }
}

function spellingsOf(value: string): readonly string[] {
  const percentEncoded = encodeURIComponent(value);
  return [
    ...new Set([
      value,
      JSON.stringify(value).slice(1, -1),
      percentEncoded,
      percentEncoded.replaceAll('%20', '+'),
      Buffer.from(value).toString('base64'),
      Buffer.from(value).toString('base64url'),
    ]),
  ];
}

/**
 * Applies a function to every text of a JSON value, keys of objects included. Unchanged parts are kept as they are, and
 * nothing is made for them: it runs over every message.
 */
function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (typeof value !== 'object' || value === null) return value;
  return Array.isArray(value) ? mapList(value, map) : mapObject(value as Readonly<Record<string, unknown>>, map);
}

function mapList(list: readonly unknown[], map: (text: string) => string): readonly unknown[] {
  let changed: unknown[] | undefined;
  list.forEach((item, index) => {
    const mapped = mapTexts(item, map);
    if (mapped !== item) (changed ??= [...list])[index] = mapped;
  });
  return changed ?? list;
}

function mapObject(object: Readonly<Record<string, unknown>>, map: (text: string) => string): object {
  /** From the first change on: the entries so far. */
  let changed: [string, unknown][] | undefined;
  Object.keys(object).forEach((key, index) => {
    const item = object[key];
    const [mappedKey, mapped] = [map(key), mapTexts(item, map)];
    if (mappedKey !== key || mapped !== item) changed ??= Object.entries(object).slice(0, index);
    changed?.push([mappedKey, mapped]);
  });
  return changed === undefined ? object : Object.fromEntries(changed);
}
