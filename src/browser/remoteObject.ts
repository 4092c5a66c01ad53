import type { Protocol } from 'puppeteer-core';

type RemoteObject = Protocol.Runtime.RemoteObject;
type Deep = Protocol.Runtime.DeepSerializedValue;

/** Cuts a text and says how much is missing. */
export function capText(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : `${text.slice(0, maxChars)}… (${text.length - maxChars} more characters)`;
}

/** A value as the console would print it, from what the protocol sent along; nothing is asked of the page. */
export function describeObject(object: RemoteObject): string {
  if (object.type === 'string') return String(object.value);
  if (object.unserializableValue !== undefined) return object.unserializableValue;
  if (object.type === 'undefined') return 'undefined';
  if (object.subtype === 'null') return 'null';
  if (object.type === 'function') return firstLine(object.description ?? 'function');
  if (object.subtype === 'error') return object.description ?? 'Error';
  if (object.preview !== undefined) return describePreview(object.preview);
  return object.description ?? String(object.value);
}

function describePreview(preview: Protocol.Runtime.ObjectPreview): string {
  const { subtype, description = '' } = preview;
  if (subtype === 'node' || subtype === 'date' || subtype === 'regexp' || subtype === 'error') return description;
  if (preview.type !== 'object') return preview.type === 'string' ? JSON.stringify(description) : description;
  const isList = subtype === 'array' || subtype === 'typedarray';
  const parts = partsOf(preview, isList);
  if (preview.overflow) parts.push('…');
  const named = description === 'Object' || description.startsWith('Array(') ? '' : `${description} `;
  return isList ? `${named}[${parts.join(', ')}]` : `${named}{${parts.join(', ')}}`;
}

function partsOf({ entries, properties }: Protocol.Runtime.ObjectPreview, isList: boolean): string[] {
  if (entries !== undefined) {
    return entries.map(({ key, value }) =>
      key === undefined ? describePreview(value) : `${describePreview(key)} => ${describePreview(value)}`,
    );
  }
  // A typed array's preview has its length and buffer among the elements.
  if (isList) return properties.filter(({ name }) => /^\d+$/.test(name)).map(describeProperty);
  return properties.map((property) => `${property.name}: ${describeProperty(property)}`);
}

function describeProperty(property: Protocol.Runtime.PropertyPreview): string {
  if (property.type === 'string') return JSON.stringify(property.value ?? '');
  if (property.type === 'function') return 'function';
  if (property.type === 'accessor') return '(getter)';
  return property.value ?? property.type;
}

/** Whether the preview leaves something out, so that reading the value deeper is worth a question to the page. */
export function isAbridged({ type, subtype, preview }: RemoteObject): boolean {
  if (type !== 'object' || subtype === 'error' || subtype === 'node' || subtype === 'null') return false;
  if (preview === undefined) return subtype === undefined || subtype === 'array';
  return (
    preview.overflow ||
    preview.entries !== undefined ||
    preview.properties.some(
      (property) =>
        (property.type === 'object' && property.subtype !== 'null') ||
        (property.type === 'string' && (property.value ?? '').length >= 100),
    )
  );
}

/** A deeply serialized value (`serializationOptions`) in the same form as {@link describeObject}. */
export function describeDeep({ type, value }: Deep): string {
  if (type === 'object') return `{${pairs(value, ': ')}}`;
  if (type === 'map') return `Map {${pairs(value, ' => ')}}`;
  if (type === 'array') return `[${items(value)}]`;
  if (type === 'set') return `Set {${items(value)}}`;
  if (type === 'string') return JSON.stringify(value);
  if (type === 'null' || type === 'undefined') return type;
  if (type === 'node') return `<${String((value as { localName?: string } | undefined)?.localName ?? 'node')}>`;
  if (type === 'regexp') return describePattern(value);
  if (value === undefined || typeof value === 'object') return `(${type})`;
  return String(value);
}

/** The protocol types the value as `any`; these are its forms for lists and for lists of pairs. */
function items(value: unknown): string {
  return Array.isArray(value) ? value.map((item: Deep) => describeDeep(item)).join(', ') : '…';
}

function pairs(value: unknown, between: string): string {
  if (!Array.isArray(value)) return '…';
  return value
    .map(([key, item]: [string | Deep, Deep]) => {
      return `${typeof key === 'string' ? key : describeDeep(key)}${between}${describeDeep(item)}`;
    })
    .join(', ');
}

function describePattern(value: unknown): string {
  const { pattern = '', flags = '' } = value as { pattern?: string; flags?: string };
  return `/${pattern}/${flags}`;
}

/** Joins console arguments as the console does: `%s`, `%d`, `%i`, `%f`, `%o` and `%O` take the next ones, `%c` eats one. */
export function joinArguments(args: readonly string[], firstIsText: boolean): string {
  const [format = '', ...rest] = args;
  if (!firstIsText || !format.includes('%')) return args.join(' ');
  const text = format.replace(/%([sdifoOc%])/g, (directive, letter: string) => {
    if (letter === '%') return '%';
    if (rest.length === 0) return directive;
    const next = rest.shift() ?? '';
    return letter === 'c' ? '' : next;
  });
  return [text, ...rest].join(' ');
}

function firstLine(text: string): string {
  const [line = ''] = text.split('\n', 1);
  return capText(line, 100);
}
