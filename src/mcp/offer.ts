import { UriTemplate } from '@modelcontextprotocol/sdk/shared/uriTemplate.js';
import { extendToolSet, type ToolSet } from '../tools/catalogue.js';
import type { Tool } from '../tools/defineTool.js';
import type { Prompt } from './definePrompt.js';
import type { Resource } from './defineResource.js';

/** What a server offers beside tools: compiled once, shared by its sessions. */
export interface Offer {
  /** For the model, in the answer to `initialize`. */
  readonly instructions?: string | undefined;
  readonly prompts: ReadonlyMap<string, Prompt>;
  /** By address; without those of `templates`. */
  readonly resources: ReadonlyMap<string, Resource>;
  readonly templates: ReadonlyMap<string, Template>;
  /** Whether a session may be offered more than others are. */
  readonly mayChange: boolean;
}

export interface Template {
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
export interface SessionOffer {
  readonly toolSet: ToolSet;
  readonly offer: Offer;
}

/** Throws if two prompts have one name or two resources one address, or a template is none. */
export function compileOffer({ instructions, mayChange, ...additions }: OfferGiven): Offer {
  const nothing = { prompts: new Map(), resources: new Map(), templates: new Map() };
  return withMore({ ...nothing, instructions, mayChange }, additions);
}

interface OfferGiven extends Pick<Additions, 'prompts' | 'resources'> {
  readonly instructions?: string | undefined;
  readonly mayChange: boolean;
}

/** What is offered to all, and then what one session alone is offered. Throws as `compileOffer`. */
export function extendOffer({ toolSet, offer }: SessionOffer, { tools = [], ...more }: Additions): SessionOffer {
  return { toolSet: extendToolSet(toolSet, tools), offer: withMore(offer, more) };
}

function withMore(offer: Offer, { prompts = [], resources = [] }: Additions): Offer {
  const templates = resources.filter(({ uri }) => UriTemplate.isTemplate(uri));
  const fixed = resources.filter(({ uri }) => !UriTemplate.isTemplate(uri));
  return {
    ...offer,
    prompts: extended(offer.prompts, 'prompt', prompts, ({ name }) => name),
    resources: extended(offer.resources, 'resource', fixed, ({ uri }) => uri),
    templates: extended(
      offer.templates,
      'resource template',
      templates.map((resource) => ({ resource, uri: new UriTemplate(resource.uri) })),
      ({ resource }) => resource.uri,
    ),
  };
}

function extended<T>(
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
