import { z } from 'zod';
import { commonSubsetOf } from './commonSchema.js';
import { browserIdArgument, browserIdHeader, browserTools, takesBrowserId } from './browserTools.js';
import { toolGroups, type Annotations, type JsonSchema, type Tool, type ToolGroup } from './defineTool.js';

/** One entry of `tools/list`. */
export interface ToolListing {
  readonly name: string;
  readonly title?: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly outputSchema?: JsonSchema;
  readonly annotations?: Partial<Annotations>;
}

/** The tools of one selection of groups. Shared by every session with the same groups. */
export interface ToolSet {
  /** By name. */
  readonly tools: ReadonlyMap<string, Tool>;
  /** By former names. */
  readonly aliases: ReadonlyMap<string, Tool>;
  /** The listed tools, as a model gets them. */
  readonly listings: readonly ToolListing[];
  /** Every tool of the process, by name and former names, also those of other groups. */
  readonly all: ReadonlyMap<string, Tool>;
  readonly browserId?: BrowserIdListing;
}

/** What a client's list of tools has beside names, descriptions and arguments. */
export interface ListingOptions {
  /** Output schemas. */
  readonly structured: boolean;
  readonly schemas: 'common' | 'full';
  /** Tools that the client uses; a longer list begins with the most needed ones. 0: no bound. */
  readonly tools: number;
  /** Whether a tool that works on a browser lists the argument that names it. Default: as the tool set says. */
  readonly browserId?: BrowserIdListing;
}

/** `required`: for clients without a session. `optional`: for clients with one that have selected the group `browsers`. */
type BrowserIdListing = 'none' | 'optional' | 'required';

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
  const all = extendToolSet(emptyToolSet, tools);
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
      // By name: with `all`, the argument would make every list longer for the few clients that use it.
      const browserId = names.includes('browsers') ? 'optional' : 'none';
      const key = `${[...groupsOfSet].sort().join()} ${browserId}`;
      const known = selections.get(key);
      if (known) return known;
      const isSelected = ({ group }: Tool): boolean => groupsOfSet.has(group);
      const selected = new Map([...all.tools].filter(([, tool]) => isSelected(tool)));
      const selection = {
        tools: selected,
        aliases: new Map([...all.aliases].filter(([, tool]) => isSelected(tool))),
        listings:
          browserId === 'none'
            ? all.listings.filter(({ name }) => selected.has(name))
            : [...selected.values()].map((tool) =>
                listingOf(tool, { structured: false, schemas: 'common', browserId }),
              ),
        all: all.all,
        browserId,
      } as const;
      selections.set(key, selection);
      return selection;
    },
  };
}

export const emptyToolSet: ToolSet = { tools: new Map(), aliases: new Map(), listings: [], all: new Map() };

/**
 * The tools of `base` followed by `tools`. Throws if two have the same name, or a tool cannot be listed for clients.
 */
export function extendToolSet(base: ToolSet, tools: readonly Tool[]): ToolSet {
  const [byName, aliases, all] = [new Map(base.tools), new Map(base.aliases), new Map(base.all)];
  for (const tool of tools) {
    requireUsable(tool);
    for (const name of [tool.name, ...(tool.aliases ?? [])]) {
      if (byName.has(name) || aliases.has(name)) throw new Error(`Two tools have the same name: ${name}.`);
      (name === tool.name ? byName : aliases).set(name, tool);
      all.set(name, tool);
    }
  }
  const { browserId = 'none' } = base;
  const listings = tools.map((tool) => listingOf(tool, { structured: false, schemas: 'common', browserId }));
  return { tools: byName, aliases, listings: [...base.listings, ...listings], all, browserId };
}

const statelessSets = new WeakMap<ToolSet, ToolSet>();

/**
 * A tool set for clients without a session: first the tools that open and close browsers, if another tool works on a
 * browser. Created once for each tool set.
 */
export function withBrowserTools(toolSet: ToolSet): ToolSet {
  const known = statelessSets.get(toolSet);
  if (known) return known;
  if (![...toolSet.tools.values()].some(takesBrowserId)) return toolSet;
  const others = [...toolSet.tools.values()].filter((tool) => !browserTools.includes(tool));
  const { tools, aliases, listings, all } = extendToolSet(emptyToolSet, [...browserTools, ...others]);
  const made = { tools, aliases, listings, all: new Map([...toolSet.all, ...all]) };
  statelessSets.set(toolSet, made);
  return made;
}

/** Clients put a prefix before a name, and providers of models take 64 characters in all. */
const usableName = /^[a-zA-Z][a-zA-Z0-9_-]{0,63}$/;

/** Throws an Error that names the tool and its fault. */
function requireUsable({ name, input, output }: Tool): void {
  if (!usableName.test(name)) {
    throw new Error(
      `The tool name ${JSON.stringify(name)} is not allowed: a letter, then at most 63 letters, digits, _ or -.`,
    );
  }
  for (const [field, schema] of Object.entries({ input, output }) as readonly (readonly [string, unknown])[]) {
    if (field === 'output' && schema === undefined) continue;
    if (!isZodObject(schema)) {
      throw new Error(
        `${field} of the tool ${name} is not an object schema of zod 4. Write z.object({ … }) with z of "zod" version 4: ` +
          'neither a plain object nor a schema of zod 3 can be listed.',
      );
    }
  }
}

/** Whether zod 4 created the schema: it keeps its data in `_zod`. */
function isZodObject(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null || !('_zod' in schema) || !('safeParse' in schema)) return false;
  return (schema as z.ZodType).def.type === 'object';
}

const variants = new WeakMap<ToolSet, Map<string, readonly ToolListing[]>>();

/** The listings of a tool set as one kind of client takes them. Made once for each kind. */
export function listingsFor(toolSet: ToolSet, options: ListingOptions): readonly ToolListing[] {
  const { structured, schemas, tools, browserId = toolSet.browserId ?? 'none' } = options;
  const isOrdered = tools > 0 && tools < toolSet.tools.size;
  const isPlain = browserId === (toolSet.browserId ?? 'none');
  if (!structured && schemas === 'common' && !isOrdered && isPlain) return toolSet.listings;
  const made = variants.get(toolSet) ?? new Map<string, readonly ToolListing[]>();
  variants.set(toolSet, made);
  const key = `${structured} ${schemas} ${isOrdered} ${browserId}`;
  const known = made.get(key);
  if (known) return known;
  const all = [...toolSet.tools.values()];
  const ordered = isOrdered ? all.toSorted((one, other) => rarity(one) - rarity(other)) : all;
  const listings = ordered.map((tool) => listingOf(tool, { structured, schemas, browserId }));
  made.set(key, listings);
  return listings;
}

/** The tools that are needed least, for clients that cut a list: those come last, in this order. */
const rare = (
  'call_page_tool list_page_tools drop_on add_init_script pointer set_credentials ' +
  'get_session_info list_browser_capabilities get_connected_browser drag navigate_page_history list_websocket_frames ' +
  'close_extension_popup set_extension_enabled clear_extension_errors switch_extension_context uninstall_extension ' +
  'get_service_worker_status watch_extension_storage set_extension_storage inspect_extension_manifest resize_page hover ' +
  'get_console_message type_text open_extension_page upload_file mock_network trace_extension_api_calls'
).split(' ');

const rarity = ({ name }: Tool): number => {
  const index = rare.indexOf(name);
  return index === -1 ? 0 : rare.length - index;
};

function listingOf(tool: Tool, options: Omit<ListingOptions, 'tools'>): ToolListing {
  const { structured, schemas, browserId = 'none' } = options;
  const { name, title, description, input, inputSchema, output } = tool;
  const schema = inputSchema ?? (schemas === 'full' ? fullSchemaOf(input) : schemaOf(input, 'input'));
  return {
    name,
    ...(title !== undefined && { title }),
    description,
    inputSchema: withBrowserId(tool, schema, browserId),
    ...(structured && output && { outputSchema: schemaOf(output.extend(structuredFields), 'output') }),
    ...annotationsOf(tool),
  };
}

/** The schema of a tool with the argument that names a browser, which the schema of the tool itself does not have. */
function withBrowserId(tool: Tool, schema: JsonSchema, browserId: BrowserIdListing): JsonSchema {
  const { properties = {}, required = [] } = schema as { properties?: Record<string, object>; required?: string[] };
  const own = Object.hasOwn(properties, browserIdArgument) ? properties[browserIdArgument] : undefined;
  if (browserId === 'none' || (own === undefined && !takesBrowserId(tool))) return schema;
  const description = browserId === 'required' ? 'From open_browser' : 'From open_browser; default: own browser';
  const named = { type: 'string', description, ...own };
  const isRequired = own === undefined && browserId === 'required';
  return {
    ...schema,
    properties: {
      ...properties,
      [browserIdArgument]: browserId === 'required' ? { ...named, 'x-mcp-header': browserIdHeader } : named,
    },
    ...((required.length > 0 || isRequired) && { required: [...required, ...(isRequired ? [browserIdArgument] : [])] }),
  };
}

/** Fields that the structured answer of any tool may have in addition to its own. */
const structuredFields = {
  notices: z.array(z.string()).optional(),
  pictures: z.array(z.object({ mimeType: z.string(), bytes: z.int() })).optional(),
  resources: z.array(z.object({ uri: z.string(), name: z.string(), mimeType: z.string(), bytes: z.int() })).optional(),
};

function fullSchemaOf(schema: z.ZodObject): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return { ...rest, type: 'object' };
}

/** `readOnlyHint` is false by default, and the other hints apply only then (server/tools): defaults are left out. */
function annotationsOf({ annotations: { readOnlyHint, ...rest } }: Tool): Pick<ToolListing, 'annotations'> {
  if (readOnlyHint) return { annotations: { readOnlyHint } };
  return Object.keys(rest).length === 0 ? {} : { annotations: rest };
}

/**
 * The JSON Schema that a model reads, without what it can do without: its bytes count in every conversation. The server checks
 * arguments against the whole zod schema, and names what is wrong.
 */
function schemaOf(schema: z.ZodObject, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...whole } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  const rest = io === 'input' ? commonSubsetOf(whole) : whole;
  const lean = JSON.parse(JSON.stringify(rest), (key, value: unknown) =>
    isImplied(key, value) ? undefined : value,
  ) as Record<string, unknown>;
  return { ...lean, type: 'object' };
}

const rarelyCrossed = 10_000;

/** Strictness, the defaults of what is left out anyway, and bounds that callers rarely cross: the error for one that does names it. A property of one of these names has an object as its value. */
function isImplied(key: string, value: unknown): boolean {
  if (key === 'additionalProperties') return value === false;
  if (key === 'pattern') return typeof value === 'string';
  if (key === 'default') return value === false || value === '';
  if (key === 'minimum' && value === Number.MIN_SAFE_INTEGER) return true;
  if (key === 'minimum' || key === 'minLength' || key === 'minItems') return value === 0 || value === 1;
  return key === 'maximum' && typeof value === 'number' && value >= rarelyCrossed;
}
