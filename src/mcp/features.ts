import { UriTemplate } from '@modelcontextprotocol/sdk/shared/uriTemplate.js';
import { extendToolSet, type ToolSet } from '../tools/catalogue.js';
import type { Tool } from '../tools/defineTool.js';
import type { Prompt, Resource, Skill } from './definitions.js';

/** The server features besides tools: compiled once, shared by the sessions. */
export interface ServerFeatures {
  /** For the model, in the result of `initialize`. */
  readonly instructions?: string | undefined;
  readonly prompts: ReadonlyMap<string, Prompt>;
  /** By URI; without `templates`. */
  readonly resources: ReadonlyMap<string, Resource>;
  readonly templates: ReadonlyMap<string, ResourceTemplate>;
  /** By the URI of their file, which is also among the resources. */
  readonly skills: ReadonlyMap<string, Skill>;
  /** Whether an embedder may add features to single sessions. */
  readonly isExtensible: boolean;
}

export interface ResourceTemplate {
  readonly resource: Resource;
  readonly uri: UriTemplate;
}

/** What an embedder adds to one session. */
export interface Additions {
  readonly tools?: readonly Tool[];
  readonly prompts?: readonly Prompt[];
  readonly resources?: readonly Resource[];
}

/** The features of one session. */
export interface SessionFeatures {
  readonly toolSet: ToolSet;
  readonly serverFeatures: ServerFeatures;
}

/** Throws if two prompts have one name or two resources one URI, or a URI is not absolute or its template invalid. */
export function compileFeatures({ instructions, isExtensible, skills = [], ...more }: FeatureOptions): ServerFeatures {
  const empty = { prompts: new Map(), resources: new Map(), templates: new Map() };
  const byUri = new Map(skills.map((skill) => [skill.file.uri, skill]));
  const resources = [...skills.map(({ file }) => file), ...(more.resources ?? [])];
  return addFeatures({ ...empty, skills: byUri, instructions, isExtensible }, { ...more, resources });
}

interface FeatureOptions extends Pick<Additions, 'prompts' | 'resources'> {
  readonly skills?: readonly Skill[];
  readonly instructions?: string | undefined;
  readonly isExtensible: boolean;
}

/** The features of all sessions, then those of one session alone. Throws like `compileFeatures`. */
export function extendFeatures(
  { toolSet, serverFeatures }: SessionFeatures,
  { tools = [], ...more }: Additions,
): SessionFeatures {
  return { toolSet: extendToolSet(toolSet, tools), serverFeatures: addFeatures(serverFeatures, more) };
}

function addFeatures(features: ServerFeatures, { prompts = [], resources = [] }: Additions): ServerFeatures {
  const relative = resources.find(({ uri }) => !/^[a-z][a-z0-9+.-]*:./i.test(uri));
  if (relative !== undefined) {
    throw new Error(
      `The resource "${relative.name}" has the URI ${JSON.stringify(relative.uri)}, which is not absolute. ` +
        'It begins with a scheme: docs://guide.',
    );
  }
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
    if (all.has(key)) throw new Error(`Duplicate ${kind} ${key}: names and URIs must be unique.`);
    all.set(key, value);
  }
  return all;
}
