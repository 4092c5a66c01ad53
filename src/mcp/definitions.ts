import type { z } from 'zod';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Content } from '../tools/content.js';

/** What prompts, resources and completions may know of the session that asks. Valid for one request. */
export interface FeatureContext {
  readonly session: SessionFacts;
  /** The session's browser if it is open: none is opened for this. */
  readonly browser: SessionBrowser | undefined;
  /** Aborted when the client cancels, after 30 s, or when the session ends. */
  readonly signal: AbortSignal;
}

/** Values that an argument may have. Of these, the client is told those that contain what was typed so far. */
export type Completer = (
  context: FeatureContext,
  /** What was typed so far, and the arguments that were chosen already. */
  typed: { readonly value: string; readonly others: Readonly<Record<string, string>> },
) => readonly string[] | Promise<readonly string[]>;

/** Something to read, under a fixed address or, with `{variables}` in it, under many. */
export interface Resource {
  /** An absolute URI, or a URI template (RFC 6570). */
  readonly uri: string;
  readonly name: string;
  /** For people. */
  readonly title?: string;
  readonly description?: string;
  readonly mimeType: string;
  /** For the variables of a template. */
  readonly complete?: Readonly<Record<string, Completer>>;
  /** Text, or bytes. Undefined: there is nothing under these variables. */
  read(
    variables: Readonly<Record<string, string>>,
    context: FeatureContext,
  ): Promise<string | Uint8Array | undefined> | string | Uint8Array | undefined;
}

/** A resource as one plain object; see `createOrchestrator`. */
export function defineResource(resource: Resource): Resource {
  return resource;
}

export interface PromptMessage {
  readonly role: 'user' | 'assistant';
  readonly content: Content;
}

type Messages = string | readonly PromptMessage[];

/** A text that a person chooses in their client, to set a model to work. */
export interface Prompt<Arguments extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** For people. */
  readonly title?: string;
  readonly description: string;
  /** Texts, optional or not: the protocol knows no others. */
  readonly arguments: Arguments;
  /** The tools that it speaks of: a session without one of them is not offered it. */
  readonly tools?: readonly string[];
  readonly complete?: Readonly<Record<string, Completer>>;
  /** A text is one message of the user. */
  messages(args: z.output<Arguments>, context: FeatureContext): Messages | Promise<Messages>;
}

/** A prompt as one plain object; see `createOrchestrator`. */
export function definePrompt<Arguments extends z.ZodRawShape>(prompt: Prompt<z.ZodObject<Arguments>>): Prompt {
  return prompt;
}
