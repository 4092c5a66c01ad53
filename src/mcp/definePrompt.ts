import type { z } from 'zod';
import type { Content } from '../tools/content.js';
import type { Completer, FeatureContext } from './definitions.js';

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
