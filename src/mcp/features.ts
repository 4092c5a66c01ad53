import { UriTemplate } from '@modelcontextprotocol/sdk/shared/uriTemplate.js';
import { extendToolSet, type ToolSet } from '../tools/catalogue.js';
import type { Tool } from '../tools/defineTool.js';
import type { Prompt, Resource } from './definitions.js';

/** What a server offers beside tools: compiled once, shared by its sessions. */
export interface ServerFeatures {
  /** For the model, in the answer to `initialize`. */
  readonly instructions?: string | undefined;
  readonly prompts: ReadonlyMap<string, Prompt>;
  /** By address; without those of `templates`. */
  readonly resources: ReadonlyMap<string, Resource>;
  readonly templates: ReadonlyMap<string, ResourceTemplate>;
  /** Whether a session may be offered more than others are. */
  readonly isExtensible: boolean;
}

export interface ResourceTemplate {
  readonly resource: Resource;
  readonly uri: UriTemplate;
}

/** What one session is offered beside the others. */
export interface Additions {
  readonly tools?: readonly Tool[];
  readonly prompts?: readonly Prompt[];
  readonly resources?: readonly Resource[];
}

/** What one session offers to its client. */
export interface SessionFeatures {
  readonly toolSet: ToolSet;
  readonly serverFeatures: ServerFeatures;
}

/** Throws if two prompts have one name or two resources one address, or a template is none. */
export function compileFeatures({ instructions, isExtensible, ...additions }: FeatureOptions): ServerFeatures {
  const nothing = { prompts: new Map(), resources: new Map(), templates: new Map() };
  return addFeatures({ ...nothing, instructions, isExtensible }, additions);
}

interface FeatureOptions extends Pick<Additions, 'prompts' | 'resources'> {
  readonly instructions?: string | undefined;
  readonly isExtensible: boolean;
}

/** What is offered to all, and then what one session alone is offered. Throws as `compileOffer`. */
export function extendFeatures(
  { toolSet, serverFeatures }: SessionFeatures,
  { tools = [], ...more }: Additions,
): SessionFeatures {
  return { toolSet: extendToolSet(toolSet, tools), serverFeatures: addFeatures(serverFeatures, more) };
}

function addFeatures(features: ServerFeatures, { prompts = [], resources = [] }: Additions): ServerFeatures {
  const templates = resources.filter(({ uri }) => UriTemplate.isTemplate(uri));
  const fixed = resources.filter(({ uri }) => !UriTemplate.isTemplate(uri));
  return {
    ...features,
    prompts: extendMap(features.prompts, 'prompt', prompts, ({ name }) => name),
    resources: extendMap(features.resources, 'resource', fixed, ({ uri }) => uri),
    templates: extendMap(
      features.templates,
      'resource template',
      templates.map((resource) => ({ resource, uri: new UriTemplate(resource.uri) })),
      ({ resource }) => resource.uri,
    ),
  };
}

function extendMap<T>(
  known: ReadonlyMap<string, T>,
  kind: string,
  more: readonly T[],
  keyOf: (value: T) => string,
): ReadonlyMap<string, T> {
  if (more.length === 0) return known;
  const all = new Map(known);
  for (const value of more) {
    const key = keyOf(value);
    if (all.has(key)) throw new Error(`There are two of the ${kind} ${key}.`);
    all.set(key, value);
  }
  return all;
}
