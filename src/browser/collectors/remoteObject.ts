import type { Protocol } from 'puppeteer-core';
import { cutText } from '../../text.js';

type RemoteObject = Protocol.Runtime.RemoteObject;

/** Truncates a text and appends the number of missing characters. */
export function truncateText(text: string, maxChars: number): string {
  const head = cutText(text, maxChars);
  return head === text ? text : `${head}… (${text.length - head.length} more characters)`;
}

/** A value as the console prints it, from the event's data alone; sends no command. */
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
  const parts = previewParts(preview, isList);
  if (preview.overflow) parts.push('…');
  const prefix = description === 'Object' || description.startsWith('Array(') ? '' : `${description} `;
  return isList ? `${prefix}[${parts.join(', ')}]` : `${prefix}{${parts.join(', ')}}`;
}

function previewParts({ entries, properties }: Protocol.Runtime.ObjectPreview, isList: boolean): string[] {
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

/** Whether the preview is incomplete, so that the value is worth reading from the page. */
export function isAbridged({ type, subtype, preview }: RemoteObject): boolean {
  if (type !== 'object' || subtype === 'node' || subtype === 'null') return false;
  // What caused it is in no preview.
  if (subtype === 'error') return true;
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

/**
 * Joins console arguments as the console does: `%s`, `%d`, `%i`, `%f`, `%o` and `%O` insert the next ones, `%c` drops
 * one.
 */
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
  return truncateText(line, 100);
}
