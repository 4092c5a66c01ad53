import { z } from 'zod';
import { readArguments, describeArguments } from '../../src/mcp/tolerantArguments.js';
import { allTools } from '../../src/tools/allTools.js';
import { defineTextTool, type Tool } from '../../src/tools/defineTool.js';

const tool = defineTextTool({
  name: 'read_me',
  description: 'A tool of a test.',
  input: z.strictObject({
    pageId: z.int().min(1).optional(),
    uid: z.string().optional(),
    fullPage: z.boolean().optional(),
    types: z
      .array(z.enum(['error', 'warn']))
      .min(1)
      .optional(),
    format: z.enum(['png', 'jpeg']).default('png'),
    elements: z.array(z.strictObject({ uid: z.string(), value: z.string() })).optional(),
    viewport: z.strictObject({ width: z.int(), height: z.int() }).optional(),
    value: z.union([z.string(), z.boolean()]).optional(),
    count: z.union([z.number(), z.boolean()]).optional(),
    message: z.unknown().optional(),
  }),
  handler: () => 'done',
});

test('what is wrong is named up to a bound, however much of it there is', () => {
  const many = Object.fromEntries(Array.from({ length: 2_000 }, (_, index) => [`${'k'.repeat(200)}${index}`, index]));
  const message = JSON.stringify(read(many));
  expect(message).toContain('and 1980 more');
  expect(message.length).toBeLessThan(5_000);
  const deep = JSON.stringify(read({ elements: Array.from({ length: 5_000 }, () => ({ uid: 1 })) }));
  expect(deep).toMatch(/and \d+ more\. Its arguments:/);
  expect(deep.length).toBeLessThan(5_000);
});

test('so many wrong values are not looked at one by one, which would take minutes', () => {
  const elements = Array.from({ length: 20_000 }, () => ({ uid: null, value: null }));
  expect(read({ elements })).toContain('Its arguments:');
});

const read = (args: unknown, of: Tool = tool) => {
  const reading = readArguments(of, args, true);
  return 'error' in reading ? describeArguments(of, reading.error, reading.args) : reading.args;
};

test.each<[string, object, object]>([
  ['a number as text', { pageId: '2' }, { pageId: 2 }],
  ['a truth value as text', { fullPage: 'True' }, { fullPage: true }],
  ['a list as text', { types: '["error"]' }, { types: ['error'] }],
  ['a list of one text for a text', { uid: ['e1'] }, { uid: 'e1' }],
  ['a list of texts for a value', { value: ['A', 'C, D'] }, { value: '["A","C, D"]' }],
  ['one item for a list', { types: 'error' }, { types: ['error'] }],
  [
    'objects as text, within which numbers are texts',
    { viewport: '{"width":"4","height":3}' },
    { viewport: { width: 4, height: 3 } },
  ],
  ['a list of objects as text', { elements: '[{"uid":"e1","value":"7"}]' }, { elements: [{ uid: 'e1', value: '7' }] }],
  ['another case', { format: 'JPEG' }, { format: 'jpeg' }],
  ['null for what is left out', { pageId: null, uid: null, types: null, format: null, viewport: null }, {}],
  ['nothing for what is left out', { pageId: '', fullPage: '', types: [], viewport: '' }, {}],
  ['0 for an id that begins at 1', { pageId: 0 }, {}],
  [
    'keys of agent frameworks',
    { toolCallId: 'x', sessionId: 'y', action: 'z', chatInput: '', _meta: {}, tool: 'read_me' },
    {},
  ],
  ['one of two types that a text can be', { count: '3' }, { count: 3 }],
  ['a number for a text', { uid: 7 }, { uid: '7' }],
  ['1 for a truth value', { fullPage: 1 }, { fullPage: true }],
  ['all below one key', { toolCallId: 'x', input: { pageId: '2' } }, { pageId: 2 }],
  ['all as text below one key', { kwargs: '{"uid":"e1"}' }, { uid: 'e1' }],
])('%s is read as what it means', (_what, args, expected) => {
  expect(read(args)).toEqual({ format: 'png', ...expected });
});

test.each<[string, object, string]>([
  ['a near miss of a name', { pageid: 2 }, 'unknown argument "pageid" (did you mean "pageId"?)'],
  ['the same of a key that frameworks add', { page_id: 2 }, 'unknown argument "page_id" (did you mean "pageId"?)'],
  ['a key that means something', { selector: '#x' }, 'unknown argument "selector"'],
  ['a text that is no number', { pageId: 'two' }, '"pageId": '],
  ['a number too large to be exact', { pageId: '12345678901234567890' }, '"pageId": '],
  ['an unknown item', { types: ['errors'] }, '"types.0": '],
  ['1 for what may be a text or a truth value', { value: 1 }, '"value": '],
  ['a key of a framework beside others', { args: { pageId: 1 }, uid: 'e1' }, 'unknown argument "args"'],
  ['half a list', { types: '["error"' }, '"types": '],
])('%s is named', (_what, args, expected) => {
  expect(read(args)).toContain(expected);
});

test('a text stays one where text is allowed, and where anything is, with a remark', () => {
  expect(read({ uid: '2', value: 'true' })).toMatchObject({ uid: '2', value: 'true' });
  const reading = readArguments(tool, { message: '{"type":"x"}' }, true);
  expect(reading).toMatchObject({ args: { message: '{"type":"x"}' }, remarks: [expect.stringContaining('as text')] });
  expect(readArguments(tool, { message: { type: 'x' } }, true)).toMatchObject({ remarks: [] });
});

test('what was tolerated is told by kind, and nothing is for a client that wants to be told', () => {
  const args = { pageId: '2', uid: null, toolCallId: 1 };
  expect(readArguments(tool, args, true)).toMatchObject({ tolerated: new Set(['text', 'omitted', 'extra_key']) });
  expect(args).toEqual({ pageId: '2', uid: null, toolCallId: 1 });
  expect(readArguments(tool, args, false)).toHaveProperty('error');
  expect(readArguments(tool, {}, true)).toMatchObject({ tolerated: new Set() });
});

test('a text as deep as a message allows is read, a deeper one is not', () => {
  const own = defineTextTool({ ...tool, input: z.strictObject({ list: z.array(z.unknown()) }), handler: () => 'done' });
  const nested = (levels: number): string => `${'['.repeat(levels)}${']'.repeat(levels)}`;
  expect(read({ list: nested(50) }, own)).toHaveProperty('list');
  expect(read({ list: nested(200_000) }, own)).toContain('"list": ');
});

const named = (name: string): Tool => {
  const found = allTools.find((candidate) => candidate.name === name);
  if (!found) throw new Error(`no tool ${name}`);
  return found;
};

test.each<[string, object, object]>([
  ['select_page', { pageId: '2' }, { pageId: 2 }],
  ['take_screenshot', { fullPage: 'true' }, { fullPage: true }],
  ['list_console_messages', { types: '["error"]' }, { types: ['error'] }],
  ['fill_form', { elements: '[{"uid":"e1","value":"x"}]' }, { elements: [{ uid: 'e1', value: 'x' }] }],
  ['evaluate_script', { function: '() => 1', args: '[1]' }, { args: [1] }],
  ['fill', { uid: 'e1', value: true }, { value: 'true' }],
  ['fill_form', { elements: [{ uid: 'e1', value: 42 }] }, { elements: [{ uid: 'e1', value: '42' }] }],
  ['emulate', { viewport: '{"width":400,"height":300}' }, { viewport: { width: 400, height: 300 } }],
  ['navigate_page', { type: 'url', url: 'about:blank' }, { url: 'about:blank' }],
  ['navigate_page', { type: 'reload' }, { reload: true }],
])('%s takes what clients are known to send', (name, args, expected) => {
  expect(read(args, named(name))).toMatchObject(expected);
});
