import { z } from 'zod';
import { compileCatalogue, listingsFor, UnknownGroupError } from '../../src/tools/catalogue.js';
import { defineTextTool, defineTool } from '../../src/tools/defineTool.js';
import { allTools } from '../../src/tools/allTools.js';

const catalogue = compileCatalogue(allTools);

/** What a model reads of a list in each conversation. */
const read = (groups: string[]) => catalogue.select(groups).listings;

const defaultGroups = ['extension', 'core', 'sources', 'debugger', 'styles'];

test.each([[['core']], [defaultGroups], [['all']]])(
  'a tool of the groups %s takes at most 550 bytes of a model on average',
  (groups) => {
    const listings = read(groups);
    expect(Buffer.byteLength(JSON.stringify(listings)) / listings.length).toBeLessThan(550);
  },
);

test('the default groups list within 44 KiB, all of them within 62', () => {
  expect(Buffer.byteLength(JSON.stringify(read(defaultGroups)))).toBeLessThan(44 * 1024);
  expect(Buffer.byteLength(JSON.stringify(read(['all'])))).toBeLessThan(62 * 1024);
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

interface Tree {
  readonly name: string;
  readonly children?: readonly Tree[] | undefined;
}

test("a program's own tool is listed in the same subset", () => {
  const tree: z.ZodType<Tree> = z.lazy(() => z.strictObject({ name: z.string(), children: z.array(tree).optional() }));
  const input = z.strictObject({
    size: z.number().positive(),
    tags: z.record(z.string(), z.unknown()),
    any: z.unknown(),
    email: z.email(),
    at: z.iso.datetime(),
    exact: z.literal('yes'),
    level: z.union([z.literal(1), z.literal(2)]),
    choice: z.enum(['a', 'b']).nullable(),
    pair: z.tuple([z.number(), z.string()]),
    shape: z.discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('dot'), at: z.number().nullish() }),
      z.strictObject({ kind: z.literal('line'), ends: z.array(z.int64().or(z.null())) }),
    ]),
    both: z.object({ one: z.string() }).and(z.object({ other: z.number() })),
    tree,
    list: z.array(z.any()).nonempty(),
  });
  const own = defineTextTool({ name: 'own', description: 'A tool of a program.', input, handler: () => 'done' });
  const [listing] = compileCatalogue([own]).select(['own']).listings;
  const schema = listing?.inputSchema ?? { type: 'object' };
  expect(refusedIn(schema, 'own').filter((path) => path !== 'own.at: format')).toEqual([]);
  expect(schema).toMatchObject({
    required: expect.arrayContaining(['size', 'shape', 'tree']),
    properties: {
      at: { type: 'string', format: 'date-time' },
      exact: { type: 'string', enum: ['yes'] },
      level: { anyOf: [{ type: 'number', description: 'Always 1' }, { description: 'Always 2' }] },
      choice: { type: 'string', enum: ['a', 'b'] },
      pair: { type: 'array', items: { anyOf: [{ type: 'number' }, { type: 'string' }] } },
      shape: { anyOf: [{ properties: { kind: { enum: ['dot'] } } }, { properties: { kind: { enum: ['line'] } } }] },
      both: { type: 'object', properties: { one: {}, other: {} }, required: ['one', 'other'] },
      tree: { type: 'object', properties: { name: {}, children: { type: 'array', items: { type: 'object' } } } },
    },
  });
  expect(input.safeParse({ size: 0, tags: {}, any: null }).success).toBe(false);
});

test.each<[string, object, string]>([
  ['a name with a blank', { name: 'a b!' }, 'The tool name "a b!" is not allowed'],
  ['a name that is too long', { name: 'x'.repeat(65) }, 'is not allowed'],
  ['input as a plain object', { input: { a: z.string() } }, 'input of the tool own is not an object schema of zod 4'],
  ['input of zod 3', { input: { _def: { typeName: 'ZodObject' }, safeParse: () => undefined } }, 'schema of zod 3'],
  ['input that is no object', { input: z.string() }, 'input of the tool own'],
  ['output as a plain object', { output: { a: z.string() } }, 'output of the tool own'],
])('%s is refused with the name of the tool', (_what, wrong, message) => {
  const own = {
    ...defineTextTool({ name: 'own', description: 'x', input: z.strictObject({}), handler: () => '' }),
    ...wrong,
  };
  expect(() => compileCatalogue([own])).toThrow(message);
});

test('names stay within what clients allow with a prefix of 31 letters; former names are called and not listed', () => {
  const names = read(['all']).map(({ name }) => name);
  const long = names.filter((name) => name.length > 32);
  expect(long).toEqual(['activate_extension_service_worker']);
  expect(names.every((name) => /^[a-z_]{1,33}$/.test(name))).toBe(true);
  expect(names).toContain('get_service_worker_status');
  const { aliases } = catalogue.select(['extension']);
  expect(aliases.get('get_extension_service_worker_status')?.name).toBe('get_service_worker_status');
  expect(names).not.toContain('get_extension_service_worker_status');
});

test('a model is given no output schemas; a program gets them, with what every answer may have', () => {
  const toolSet = catalogue.select(['all']);
  expect(toolSet.listings.filter((listing) => 'outputSchema' in listing)).toEqual([]);
  const structured = listingsFor(toolSet, { structured: true, schemas: 'full', tools: 0 });
  expect(structured).toBe(listingsFor(toolSet, { structured: true, schemas: 'full', tools: 0 }));
  for (const { name, outputSchema } of structured) {
    expect([name, outputSchema]).toMatchObject([name, { type: 'object', properties: { notices: { type: 'array' } } }]);
  }
});

test('a client that cuts the list loses what is needed least', () => {
  const toolSet = catalogue.select(['extension', 'core']);
  const names = listingsFor(toolSet, { structured: false, schemas: 'common', tools: 40 }).map(({ name }) => name);
  expect(names.toSorted()).toEqual([...toolSet.tools.keys()].toSorted());
  const first = new Set(names.slice(0, 40));
  for (const name of ['take_snapshot', 'click', 'install_extension', 'evaluate_in_extension', 'get_extension_logs']) {
    expect(first).toContain(name);
  }
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
