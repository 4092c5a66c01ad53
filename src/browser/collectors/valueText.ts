/**
 * Writes a value as a console would, at most six levels and `maxChars` characters of it. Runs in the page (its source is
 * sent there), so it is one function and uses nothing from outside; it is called so that the browser refuses whatever has side effects.
 */
// eslint-disable-next-line max-lines-per-function
export function writeValue(this: unknown, maxChars: number): string {
  const maxDepth = 6;
  const maxItems = 50;
  const open: unknown[] = [];
  let left = maxChars;

  function write(value: unknown): string {
    if (left <= 0) return '…';
    const text = typeof value === 'object' && value !== null ? writeObject(value) : writePrimitive(value);
    left -= text.length;
    return text;
  }

  function writePrimitive(value: unknown): string {
    if (typeof value === 'string') return JSON.stringify(value.length > 1000 ? `${value.slice(0, 1000)}…` : value);
    if (typeof value === 'bigint') return `${value}n`;
    return typeof value === 'function' ? `function ${value.name}` : String(value);
  }

  function writeObject(value: object): string {
    if (open.includes(value)) return '(circular)';
    if (value instanceof Error) return value.stack ?? String(value);
    if (value instanceof RegExp) return String(value);
    if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
    if (open.length === maxDepth) return Array.isArray(value) ? '[…]' : '{…}';
    open.push(value);
    const text = writeContent(value);
    open.pop();
    return text;
  }

  function writeContent(value: object): string {
    const prototype = Object.getPrototypeOf(value) as object | null;
    const name = prototype?.constructor.name ?? 'Object';
    const prefix = name === 'Object' || name === 'Array' ? '' : `${name} `;
    if (Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))) {
      const list = value as ArrayLike<unknown>;
      const shown = Array.from({ length: Math.min(list.length, maxItems) }, (_, index) => write(list[index]));
      return `${prefix}[${withRest(shown, list.length)}]`;
    }
    if (value instanceof Map || value instanceof Set) return `${prefix}{${withRest(writeMembers(value), value.size)}}`;
    const keys = Object.keys(value);
    const shown = keys.slice(0, maxItems).map((key) => {
      const property = Object.getOwnPropertyDescriptor(value, key);
      return `${key}: ${property?.get === undefined ? write(property?.value) : '(getter)'}`;
    });
    return `${prefix}{${withRest(shown, keys.length)}}`;
  }

  /** `forEach` would count as a side effect; iterating does not. */
  function writeMembers(value: Map<unknown, unknown> | Set<unknown>): string[] {
    const shown: string[] = [];
    for (const [key, item] of value.entries()) {
      if (shown.length === maxItems) break;
      shown.push(value instanceof Map ? `${write(key)} => ${write(item)}` : write(item));
    }
    return shown;
  }

  function withRest(shown: string[], total: number): string {
    return shown.join(', ') + (total > shown.length ? `, … ${total - shown.length} more` : '');
  }

  return write(this);
}
