import type { z } from 'zod';
import type { Prompt, PromptMessage, Completer } from './definitions.js';
import { invalidParams, isObject, adaptContent } from './protocol.js';
import { paginate, type Method, type Params, type MethodContext } from './methodContext.js';
import { runFeature } from './callClient.js';
import { shortenText } from '../text.js';

/** The limit of the protocol (server/utilities/completion). */
const maxCompletions = 100;

export const promptMethods: Readonly<Record<string, Method>> = {
  'prompts/list': (server, params) => {
    const { page, ...next } = paginate(
      [...server.features.serverFeatures.prompts.values()].filter(isUsable(server)),
      params,
    );
    return { prompts: page.map(listingOf), ...next };
  },

  'prompts/get': async (server, params, request) => {
    const prompt = findPrompt(server, params['name']);
    const checked = prompt.arguments.safeParse(params['arguments'] ?? {});
    if (!checked.success) throw invalidParams(describeArguments(prompt, checked.error));
    const answer = await runFeature(server, request, (context) => prompt.messages(checked.data, context));
    const { protocolVersion } = server;
    const messages: readonly PromptMessage[] =
      typeof answer === 'string' ? [{ role: 'user', content: { type: 'text', text: answer } }] : answer;
    return {
      description: prompt.description,
      messages: messages.map(({ role, content }) => ({ role, content: adaptContent(protocolVersion, [content])[0] })),
    };
  },

  'completion/complete': async (server, { ref, argument, context }, request) => {
    if (!isObject(argument) || typeof argument['name'] !== 'string' || typeof argument['value'] !== 'string') {
      throw invalidParams('"argument" has a "name" and a "value".');
    }
    const { name, value } = argument;
    const completer = findCompleter(server, ref, name);
    if (completer === undefined) return { completion: { values: [], total: 0, hasMore: false } };
    const others = textsOf(isObject(context) ? context['arguments'] : undefined);
    const candidates = await runFeature(server, request, (featureContext) =>
      completer(featureContext, { value, others }),
    );
    const values = matchPrefix(candidates, value);
    const { length: total } = values;
    return { completion: { values: values.slice(0, maxCompletions), total, hasMore: total > maxCompletions } };
  },
};

function isUsable({ features }: MethodContext) {
  return ({ tools = [] }: Prompt): boolean => tools.every((name) => features.toolSet.tools.has(name));
}

function findPrompt(server: MethodContext, name: unknown): Prompt {
  if (typeof name !== 'string') throw invalidParams('"name" is the name of a prompt.');
  const prompt = server.features.serverFeatures.prompts.get(name);
  if (!prompt || !isUsable(server)(prompt)) throw invalidParams(`Unknown prompt: ${shortenText(name, 100)}`);
  return prompt;
}

function listingOf({ name, title, description, arguments: { shape } }: Prompt): object {
  const fields: readonly (readonly [string, z.core.$ZodType])[] = Object.entries(shape);
  return {
    name,
    ...(title !== undefined && { title }),
    description,
    arguments: fields.map(([argument, schema]) => argumentOf(argument, schema as z.ZodType)),
  };
}

function argumentOf(name: string, schema: z.ZodType): object {
  const { description } = schema;
  return { name, ...(description !== undefined && { description }), required: !schema.safeParse(undefined).success };
}

function describeArguments({ name, arguments: { shape } }: Prompt, error: z.ZodError): string {
  const problems = error.issues.map((issue) =>
    issue.code === 'unrecognized_keys'
      ? `unknown argument ${issue.keys.map((key) => `"${shortenText(key, 100)}"`).join(', ')}`
      : `"${issue.path.join('.')}": ${issue.message}`,
  );
  return `Wrong arguments for ${name}: ${problems.join('; ')}. Its arguments: ${Object.keys(shape).join(', ') || 'none'}.`;
}

/** Undefined: the argument exists and has no completer. */
function findCompleter(server: MethodContext, ref: unknown, argument: string): Completer | undefined {
  const { names, complete = {} } = completionTarget(server, isObject(ref) ? ref : {});
  if (!names.includes(argument)) {
    throw invalidParams(`Unknown argument: ${shortenText(argument, 100)}. There are: ${names.join(', ') || 'none'}.`);
  }
  return Object.hasOwn(complete, argument) ? complete[argument] : undefined;
}

interface CompletionTarget {
  readonly names: readonly string[];
  readonly complete?: Readonly<Record<string, Completer>> | undefined;
}

function completionTarget(server: MethodContext, { type, name, uri }: Params): CompletionTarget {
  if (type === 'ref/prompt') {
    const { arguments: args, complete } = findPrompt(server, name);
    return { names: Object.keys(args.shape), complete };
  }
  if (type !== 'ref/resource' || typeof uri !== 'string') {
    throw invalidParams('"ref" is {"type":"ref/prompt","name"} or {"type":"ref/resource","uri"}.');
  }
  const template = server.features.serverFeatures.templates.get(uri);
  if (!template) throw invalidParams(`Unknown resource template: ${shortenText(uri, 200)}`);
  return { names: template.uri.variableNames, complete: template.resource.complete };
}

/** The candidates that start with the typed text, then those that contain it; ignores case. */
function matchPrefix(candidates: readonly string[], typed: string): string[] {
  const needle = typed.toLowerCase();
  const isPrefix = (candidate: string): boolean => candidate.toLowerCase().startsWith(needle);
  const matching = candidates.filter((candidate) => candidate.toLowerCase().includes(needle));
  return [...matching.filter(isPrefix), ...matching.filter((candidate) => !isPrefix(candidate))];
}

function textsOf(value: unknown): Record<string, string> {
  if (!isObject(value)) return {};
  const texts = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(texts);
}
