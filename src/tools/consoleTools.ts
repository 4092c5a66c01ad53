import { z } from 'zod';
import type { CodeLocation, ConsoleMessage, StackFrame } from '../browser/collectors/consoleCollector.js';
import { textWithCauses } from '../browser/collectors/consoleMessage.js';
import type { RingBufferEntry } from '../browser/collectors/ringBuffer.js';
import { ToolError } from '../errors/errors.js';
import { originalOutput, OriginalPlaces } from './originalPlaces.js';
import { definePageTool, type Tool } from './defineTool.js';
import { listingInput, listingOutput, pageOf, oneLine, timeText } from './pagination.js';

const rowChars = 300;

const location = z.object({
  url: z.string(),
  line: z.int().optional(),
  column: z.int().optional(),
  /** The place in the file that the script was made from. */
  original: originalOutput.optional(),
});

const row = {
  id: z.int(),
  type: z.string(),
  level: z.enum(['error', 'warning', 'info', 'debug']),
  count: z.int(),
  text: z.string(),
  location: location.optional(),
  source: z.enum(['page', 'iframe', 'worker']),
  extension: z.string().optional(),
  page: z.string(),
  navigation: z.int(),
};

const listConsoleMessagesTool = definePageTool({
  name: 'list_console_messages',
  title: 'List console messages',
  group: 'console',
  description:
    'What a page, its frames and workers logged: console, uncaught errors, browser warnings; also before navigating. All of an extension: get_extension_logs',
  input: z.object({
    types: z
      .array(z.string())
      .optional()
      .describe('Any of error, warning, info, debug, log, exception, logpoint, network, issue (of DevTools), …'),
    text: z.string().optional().describe('Text in the message, ignoring case'),
    ...listingInput,
  }),
  output: z.object({ messages: z.array(z.object(row)), sourceMaps: z.array(z.string()).optional(), ...listingOutput }),
  annotations: { readOnlyHint: true },
  lock: false,
  handler: async (args, { page, browser, signal }) => {
    const wanted = args.text?.toLowerCase();
    await page.console.whenRead(signal);
    const listing = pageOf(
      page.console.read(args.since),
      (message) =>
        (args.types === undefined || isOneOf(args.types, message)) &&
        (wanted === undefined || textWithCauses(message).toLowerCase().includes(wanted)),
      args,
    );
    const messages = listing.entries.map(({ value }) => value);
    const places = await OriginalPlaces.find(
      { browser, page },
      { locations: messages.map((message) => message.location), texts: messages.map(textWithCauses) },
      signal,
    );
    const lines = withNavigations(listing.entries, places);
    if (lines.length === 0) lines.push(args.since === undefined ? 'No console messages.' : 'Nothing new since then.');
    return {
      text: [...lines, '', ...places.problems, listing.footer].join('\n'),
      structured: {
        messages: listing.entries.map((entry) => structuredRow(entry, places)),
        ...(places.problems.length > 0 && { sourceMaps: places.problems }),
        ...listing.fields,
      },
    };
  },
});

const getConsoleMessageTool = definePageTool({
  name: 'get_console_message',
  title: 'Console message',
  group: 'console',
  description: 'One console message in full: arguments, stack',
  input: z.object({ id: z.int().describe('From list_console_messages') }),
  output: z.object({
    ...row,
    args: z.array(z.string()),
    stack: z.array(location.extend({ functionName: z.string(), line: z.int(), column: z.int() })),
    at: z.string(),
    lastAt: z.string(),
    handledLater: z.boolean(),
  }),
  annotations: { readOnlyHint: true },
  lock: false,
  handler: async ({ id }, { page, browser, signal }) => {
    await page.console.whenRead(signal);
    const message = page.console.get(id);
    if (message === undefined) {
      throw new ToolError(
        `There is no console message ${id} on this page, or it was dropped. list_console_messages shows the kept ones.`,
      );
    }
    const { stack, args } = message;
    const found = { locations: [message.location, ...stack], texts: [message.text, ...args] };
    const places = await OriginalPlaces.find({ browser, page }, found, signal);
    return {
      text: [describe(id, message, places), ...places.problems].join('\n'),
      structured: {
        ...structuredRow({ id, value: message }, places),
        text: message.text,
        args: [...args],
        stack: stack.map(({ script: _script, ...frame }) => ({
          ...frame,
          ...places.field({ ...frame, script: _script }),
        })),
        at: new Date(message.at).toISOString(),
        lastAt: new Date(message.lastAt).toISOString(),
        handledLater: message.handledLater,
      },
    };
  },
});

export const consoleTools: readonly Tool[] = [listConsoleMessagesTool, getConsoleMessageTool];

function isOneOf(types: readonly string[], { type, level }: ConsoleMessage): boolean {
  return types.includes(type) || types.includes(level) || (type === 'warn' && types.includes('warning'));
}

/** Rows, with a line at each navigation of the page. */
function withNavigations(entries: readonly RingBufferEntry<ConsoleMessage>[], places: OriginalPlaces): string[] {
  const lines: string[] = [];
  let navigation: number | undefined;
  for (const { id, value } of entries) {
    if (value.navigation !== navigation) lines.push(`On ${oneLine(value.page, 200) || 'the first page'}:`);
    navigation = value.navigation;
    lines.push(rowText(id, value, places));
  }
  return lines;
}

function rowText(id: number, message: ConsoleMessage, places: OriginalPlaces): string {
  const { type, level, count, source, extension, handledLater } = message;
  const kind = type === level || (type === 'warn' && level === 'warning') ? level : `${level} ${type}`;
  return [
    `#${id} ${kind}${count > 1 ? ` x${count}` : ''}: ${oneLine(places.inText(textWithCauses(message)), rowChars)}`,
    ...(message.location === undefined
      ? []
      : [`(${places.text(message.location, locationWithin(message.location, extension))})`]),
    ...(source === 'page' ? [] : [`[${source}]`]),
    ...(extension === undefined ? [] : [`[extension ${new URL(extension).host}]`]),
    ...(handledLater ? ['[handled later]'] : []),
  ].join(' ');
}

function structuredRow(
  { id, value }: RingBufferEntry<ConsoleMessage>,
  places: OriginalPlaces,
): z.input<z.ZodObject<typeof row>> {
  const { type, level, count, source, extension, page, navigation } = value;
  return {
    ...{ id, type, level, count, source, page, navigation },
    text: oneLine(textWithCauses(value), rowChars),
    ...(value.location === undefined
      ? {}
      : { location: { ...structuredLocation(value.location), ...places.field(value.location) } }),
    ...(extension === undefined ? {} : { extension }),
  };
}

function structuredLocation({ url, line, column }: CodeLocation): z.input<typeof location> {
  return { url, ...(line === undefined ? {} : { line }), ...(column === undefined ? {} : { column }) };
}

function describe(id: number, message: ConsoleMessage, places: OriginalPlaces): string {
  const repeated = message.count > 1 ? `, ${message.count} times until ${timeText(message.lastAt)}` : '';
  return [
    rowText(id, message, places),
    `At ${timeText(message.at)}${repeated}, on ${message.page}`,
    ...(message.args.length === 0
      ? [places.inText(message.text)]
      : message.args.map((arg, index) => `Argument ${index + 1}: ${places.inText(withoutStackOf(message, arg))}`)),
    ...(message.stack.length === 0 ? [] : ['Stack:', ...stackLines(message.stack, places)]),
  ].join('\n');
}

/** The stack of an exception is printed below its text, so the text goes without it. */
const withoutStackOf = ({ type, stack }: ConsoleMessage, text: string): string =>
  type === 'exception' && stack.length > 0 ? text.replace(/(?:\n[ \t]+at [^\n]*)+/, '') : text;

/** The frames, those of a recursion once. */
function stackLines(stack: readonly StackFrame[], places: OriginalPlaces): string[] {
  const lines: { readonly text: string; count: number }[] = [];
  for (const frame of stack) {
    const text = `  at ${frameText(frame, places)}`;
    const last = lines.at(-1);
    if (last?.text === text) last.count += 1;
    else lines.push({ text, count: 1 });
  }
  return lines.map(({ text, count }) => (count === 1 ? text : `${text} x${count}`));
}

/** `name (place)`, in the original file where that is known. */
export function frameText(frame: StackFrame, places: OriginalPlaces): string {
  return `${frame.functionName} (${places.text(frame, locationText(frame))})`;
}

/** The path alone, for a file of the extension that the row names. */
function locationWithin(position: CodeLocation, extension: string | undefined): string {
  const own = extension !== undefined && position.url.startsWith(`${extension}/`);
  return locationText(own ? { ...position, url: position.url.slice(extension.length + 1) } : position);
}

export function locationText({ url, line, column }: CodeLocation): string {
  return [url || '(inline)', line, column].filter((part) => part !== undefined).join(':');
}
