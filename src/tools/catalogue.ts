import { z } from 'zod';
import { toolGroups, type Annotations, type Tool, type ToolGroup } from './defineTool.js';

type JsonSchema = { readonly type: 'object' } & Readonly<Record<string, unknown>>;

/** One entry of `tools/list`, made once for the process. */
export interface ToolListing {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: JsonSchema;
  readonly outputSchema: JsonSchema;
  readonly annotations: Partial<Annotations>;
}

/** What one selection of groups offers. Shared by every session that asked for the same groups. */
export interface ToolSet {
  readonly tools: ReadonlyMap<string, Tool>;
  readonly listings: readonly ToolListing[];
}

/** Every tool of the process, compiled once: sessions only look things up in it. */
export interface Catalogue {
  /** Throws {@link UnknownGroupError}. Order of `groups` does not matter; `core` and `all` name several. */
  select(groups: readonly string[]): ToolSet;
}

/** Names of several groups at once. */
export const groupAliases: Readonly<Record<string, readonly ToolGroup[]>> = {
  core: ['session', 'pages', 'input', 'look', 'console', 'network'],
  all: toolGroups,
};

export class UnknownGroupError extends Error {
  constructor(group: string) {
    super(`Unknown tool group "${group}". Groups: ${[...Object.keys(groupAliases), ...toolGroups].join(', ')}.`);
    this.name = 'UnknownGroupError';
  }
}

/** Compiles `tools`. Throws if two have the same name. */
export function compileCatalogue(tools: readonly Tool[]): Catalogue {
  const entries = tools.map((tool) => ({ tool, listing: listingOf(tool) }));
  const names = new Set(tools.map((tool) => tool.name));
  if (names.size !== tools.length) throw new Error('Two tools have the same name.');
  const selections = new Map<string, ToolSet>();
  return {
    select(groups) {
      const wanted = new Set(groups.flatMap(expandGroup));
      const key = [...wanted].sort().join();
      const known = selections.get(key);
      if (known) return known;
      const chosen = entries.filter(({ tool }) => wanted.has(tool.group));
      const selection = {
        tools: new Map(chosen.map(({ tool }) => [tool.name, tool])),
        listings: chosen.map(({ listing }) => listing),
      };
      selections.set(key, selection);
      return selection;
    },
  };
}

function expandGroup(name: string): readonly ToolGroup[] {
  const alias = Object.hasOwn(groupAliases, name) ? groupAliases[name] : undefined;
  const group = toolGroups.find((candidate) => candidate === name);
  if (alias) return alias;
  if (group) return [group];
  throw new UnknownGroupError(name);
}

function listingOf(tool: Tool): ToolListing {
  return {
    name: tool.name,
    description: tool.description,
    inputSchema: schemaOf(tool.input, 'input'),
    outputSchema: schemaOf(tool.output, 'output'),
    annotations: annotationsOf(tool),
  };
}

/** Not to be read-only is what the protocol assumes, and the other hints mean something only then (server/tools). */
function annotationsOf({ annotations: { readOnlyHint, ...rest } }: Tool): Partial<Annotations> {
  return readOnlyHint ? { readOnlyHint } : rest;
}

/**
 * JSON Schema without what a client can do without, because every byte of it is read by a model in every conversation.
 * The server checks arguments against the whole schema, and names what is wrong.
 */
function schemaOf(schema: z.ZodObject, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  const lean = JSON.parse(JSON.stringify(rest), (key, value: unknown) =>
    isImplied(key, value) ? undefined : value,
  ) as Record<string, unknown>;
  return { ...lean, type: 'object' };
}

/** Strictness, and bounds that nobody would think of crossing. A property of one of these names has an object as its value. */
function isImplied(key: string, value: unknown): boolean {
  if (key === 'additionalProperties') return value === false;
  if (key === 'pattern') return typeof value === 'string';
  if (key === 'minimum' && value === Number.MIN_SAFE_INTEGER) return true;
  if (key === 'minimum' || key === 'minLength' || key === 'minItems') return value === 0 || value === 1;
  return key === 'maximum' && value === Number.MAX_SAFE_INTEGER;
}
