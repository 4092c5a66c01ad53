import { z } from 'zod';
import { toolGroups, type Annotations, type JsonSchema, type Tool, type ToolGroup } from './defineTool.js';

/** One entry of `tools/list`. */
interface ToolListing {
  readonly name: string;
  readonly title?: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly outputSchema?: JsonSchema;
  readonly annotations: Partial<Annotations>;
}

/** The tools of one selection of groups. Shared by every session with the same groups. */
export interface ToolSet {
  readonly tools: ReadonlyMap<string, Tool>;
  readonly listings: readonly ToolListing[];
}

/** Every tool of the process, compiled once. */
export interface Catalogue {
  /** Throws {@link UnknownGroupError}. The order of `groups` does not matter; `core` and `all` are aliases. */
  select(groups: readonly string[]): ToolSet;
}

/** Aliases of several groups; `all` is every group. */
const groupAliases: Readonly<Record<string, readonly ToolGroup[]>> = {
  core: ['session', 'pages', 'input', 'look', 'console', 'network'],
};
const allGroups = 'all';

export class UnknownGroupError extends Error {
  constructor(group: string, known: readonly string[]) {
    super(`Unknown tool group "${group}". Groups: ${known.join(', ')}.`);
    this.name = 'UnknownGroupError';
  }
}

/** Compiles `tools`. Throws if two have the same name, or a group has the name of an alias. */
export function compileCatalogue(tools: readonly Tool[]): Catalogue {
  const all = extendToolSet({ tools: new Map(), listings: [] }, tools);
  const groups = new Set<string>([...toolGroups, ...tools.map(({ group }) => group)]);
  const aliases = [...Object.keys(groupAliases), allGroups];
  const conflict = aliases.find((alias) => groups.has(alias));
  if (conflict !== undefined) throw new Error(`A tool group cannot be called "${conflict}": that is an alias.`);
  const expand = (name: string): readonly string[] => {
    if (name === allGroups) return [...groups];
    const alias = Object.hasOwn(groupAliases, name) ? groupAliases[name] : undefined;
    if (alias) return alias;
    if (groups.has(name)) return [name];
    throw new UnknownGroupError(name, [...aliases, ...groups]);
  };
  const selections = new Map<string, ToolSet>();
  return {
    select(names) {
      const groupsOfSet = new Set(names.flatMap(expand));
      const key = [...groupsOfSet].sort().join();
      const known = selections.get(key);
      if (known) return known;
      const selected = new Map(tools.filter(({ group }) => groupsOfSet.has(group)).map((tool) => [tool.name, tool]));
      const selection = {
        tools: selected,
        listings: all.listings.filter(({ name }) => selected.has(name)),
      };
      selections.set(key, selection);
      return selection;
    },
  };
}

/** The tools of `base` and then `tools`. Throws if two have the same name. */
export function extendToolSet(base: ToolSet, tools: readonly Tool[]): ToolSet {
  const byName = new Map(base.tools);
  for (const tool of tools) {
    if (byName.has(tool.name)) throw new Error(`Two tools have the same name: ${tool.name}.`);
    byName.set(tool.name, tool);
  }
  return { tools: byName, listings: [...base.listings, ...tools.map(listingOf)] };
}

function listingOf(tool: Tool): ToolListing {
  const { name, title, description, input, inputSchema, output } = tool;
  return {
    name,
    ...(title !== undefined && { title }),
    description,
    inputSchema: inputSchema ?? schemaOf(input, 'input'),
    ...(output && { outputSchema: schemaOf(output, 'output') }),
    annotations: annotationsOf(tool),
  };
}

/** `readOnlyHint` is false by default, and the other hints apply only then (server/tools): defaults are left out. */
function annotationsOf({ annotations: { readOnlyHint, ...rest } }: Tool): Partial<Annotations> {
  return readOnlyHint ? { readOnlyHint } : rest;
}

/**
 * The JSON Schema that a model reads, without what it can do without: its bytes count in every conversation. The server checks
 * arguments against the whole zod schema, and names what is wrong.
 */
function schemaOf(schema: z.ZodObject, io: 'input' | 'output'): JsonSchema {
  const override = io === 'input' ? keepCommonSubset : undefined;
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', ...(override && { override }) });
  const lean = JSON.parse(JSON.stringify(rest), (key, value: unknown) =>
    isImplied(key, value) ? undefined : value,
  ) as Record<string, unknown>;
  return { ...lean, type: 'object' };
}

const simpleValues = ['string', 'number', 'boolean', 'object'].map((type) => ({ type }));
/** Any JSON value. Lists within lists and null are accepted too, but not listed. */
const anyValue = { anyOf: [...simpleValues, { type: 'array', items: { anyOf: simpleValues } }] };

/**
 * Keeps one node of a schema in the subset of JSON Schema that the providers of models share. One keyword outside it makes some
 * of them refuse the whole list: `propertyNames`, `exclusiveMinimum`, `exclusiveMaximum`, a value without a type.
 */
function keepCommonSubset({ zodSchema, jsonSchema }: Parameters<SchemaOverride>[0]): void {
  delete jsonSchema.propertyNames;
  delete jsonSchema.exclusiveMinimum;
  delete jsonSchema.exclusiveMaximum;
  const { def } = zodSchema._zod;
  if (isUntyped(def)) Object.assign(jsonSchema, anyValue);
  const values = def.type === 'object' ? def.catchall : def.type === 'record' ? def.valueType : undefined;
  if (values !== undefined && isUntyped(values._zod.def)) delete jsonSchema.additionalProperties;
}

type SchemaOverride = NonNullable<NonNullable<Parameters<typeof z.toJSONSchema>[1]>['override']>;

function isUntyped({ type }: { readonly type: string }): boolean {
  return type === 'unknown' || type === 'any';
}

/** Strictness, and bounds that no caller would cross. A property of one of these names has an object as its value. */
function isImplied(key: string, value: unknown): boolean {
  if (key === 'additionalProperties') return value === false;
  if (key === 'pattern') return typeof value === 'string';
  if (key === 'minimum' && value === Number.MIN_SAFE_INTEGER) return true;
  if (key === 'minimum' || key === 'minLength' || key === 'minItems') return value === 0 || value === 1;
  return key === 'maximum' && value === Number.MAX_SAFE_INTEGER;
}
