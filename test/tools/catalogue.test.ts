import { z } from 'zod';
import { compileCatalogue, UnknownGroupError } from '../../src/tools/catalogue.js';
import { defineTextTool, defineTool } from '../../src/tools/defineTool.js';
import { allTools } from '../../src/tools/allTools.js';

const catalogue = compileCatalogue(allTools);

/** What a model reads of a list in each conversation. */
const read = (groups: string[]) => catalogue.select(groups).listings.map(({ outputSchema: _, ...listing }) => listing);

test.each([[['core']], [['extension', 'core']], [['all']]])(
  'a tool of the groups %s takes at most 550 bytes of a model on average',
  (groups) => {
    const listings = read(groups);
    expect(Buffer.byteLength(JSON.stringify(listings)) / listings.length).toBeLessThan(550);
  },
);

test('the default groups list within 30 KiB, all of them within 40', () => {
  expect(Buffer.byteLength(JSON.stringify(read(['extension', 'core'])))).toBeLessThan(30 * 1024);
  expect(Buffer.byteLength(JSON.stringify(read(['all'])))).toBeLessThan(40 * 1024);
});

interface Schema {
  readonly type?: string;
  readonly anyOf?: readonly Schema[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
}

/** Every argument, also those within objects and lists, by its path. */
function argumentsOf(schema: Schema, path: string): [string, Schema][] {
  const own = Object.entries(schema.properties ?? {}).map(([name, value]): [string, Schema] => [
    `${path}.${name}`,
    value,
  ]);
  const within = schema.items === undefined ? [] : argumentsOf(schema.items, path);
  return [...own, ...own.flatMap(([inner, value]) => argumentsOf(value, inner)), ...within];
}

test('every tool has a title and a description, and every argument a description', () => {
  const listings = read(['all']);
  expect(listings.filter(({ title, description }) => !title || description.length < 20)).toEqual([]);
  const all = listings.flatMap(({ name, inputSchema }) => argumentsOf(inputSchema, name));
  expect(all.length).toBeGreaterThan(200);
  expect(all.filter(([, { description }]) => !description).map(([path]) => path)).toEqual([]);
});

const refusedKeywords =
  /^(\$ref|\$defs|const|oneOf|allOf|not|exclusiveMinimum|exclusiveMaximum|propertyNames|patternProperties|uniqueItems|format)$/;

/** What providers of models are known to refuse in one schema and in those within it, by path. */
function refusedIn(schema: Schema, path: string): string[] {
  const { properties = {}, items, additionalProperties, anyOf = [] } = schema;
  const within: [string, Schema][] = [
    ...Object.entries(properties),
    ...(items === undefined ? [] : [['[]', items] as [string, Schema]]),
    ...(additionalProperties === undefined ? [] : [['{}', additionalProperties] as [string, Schema]]),
    ...anyOf.map((inner, index): [string, Schema] => [`anyOf ${index}`, inner]),
  ];
  const isTyped = typeof schema.type === 'string' || anyOf.length > 0;
  return [
    ...Object.keys(schema).flatMap((key) => (refusedKeywords.test(key) ? [`${path}: ${key}`] : [])),
    ...(isTyped ? [] : [`${path}: no type`]),
    ...(schema.type === 'array' && items === undefined ? [`${path}: a list without items`] : []),
    ...within.flatMap(([name, inner]) => refusedIn(inner, `${path}.${name}`)),
  ];
}

test('argument schemas keep to what all providers of models accept', () => {
  for (const { name, inputSchema } of read(['all'])) {
    expect(inputSchema).toMatchObject({ type: 'object', properties: {} });
    expect(inputSchema).not.toHaveProperty('anyOf');
    expect(refusedIn(inputSchema, name)).toEqual([]);
  }
});

test("a program's own tool is listed in the same subset", () => {
  const input = z.strictObject({
    size: z.number().positive(),
    tags: z.record(z.string(), z.unknown()),
    any: z.unknown(),
  });
  const own = defineTextTool({ name: 'own', description: 'A tool of a program.', input, handler: () => 'done' });
  const [listing] = compileCatalogue([own]).select(['own']).listings;
  expect(refusedIn(listing?.inputSchema ?? {}, 'own')).toEqual([]);
  expect(input.safeParse({ size: 0, tags: {}, any: null }).success).toBe(false);
});

test('the same groups share one selection, whatever their order', () => {
  expect(catalogue.select(['core', 'extension'])).toBe(catalogue.select(['extension', 'core', 'pages']));
  expect([...catalogue.select(['network']).tools.keys()]).toContain('list_network_requests');
  expect([...catalogue.select(['network']).tools.keys()]).not.toContain('click');
});

test('an unknown group is named, with those that exist', () => {
  expect(() => catalogue.select(['core', 'foo'])).toThrow(UnknownGroupError);
  expect(() => catalogue.select(['foo'])).toThrow(/"foo".*core.*extension/);
});

test('two tools of one name are refused', () => {
  const tool = defineTool({
    name: 'twice',
    group: 'look',
    needs: 'nothing',
    description: 'Looks.',
    input: z.strictObject({}),
    output: z.object({}),
    annotations: { readOnlyHint: true },
    handler: () => Promise.resolve({ text: '', structured: {} }),
  });
  expect(() => compileCatalogue([tool, tool])).toThrow('same name');
});
