import type { z } from 'zod';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Client, Content } from '../tools/client.js';

/** The session as prompts, resources and completions see it. Valid for one request. */
export interface FeatureContext {
  readonly session: SessionFacts;
  /** The session's browser, if it has one already: none is leased for this. */
  readonly browser: SessionBrowser | undefined;
  /** The client that asked, for requests to it. */
  readonly client: Client;
  /** Aborted when the client cancels, after 30 s, or when the session ends. */
  readonly signal: AbortSignal;
}

/** Candidate values of an argument. The client gets those that contain the typed text. */
export type Completer = (
  context: FeatureContext,
  /** The typed text, and the values of the other arguments. */
  typed: { readonly value: string; readonly others: Readonly<Record<string, string>> },
) => readonly string[] | Promise<readonly string[]>;

/** A readable resource with a fixed URI or, with `{variables}` in it, a template of many. */
export interface Resource {
  /** An absolute URI, or a URI template (RFC 6570). */
  readonly uri: string;
  readonly name: string;
  /** For people. */
  readonly title?: string;
  readonly description?: string;
  readonly mimeType: string;
  /** Completers for the variables of a template. */
  readonly complete?: Readonly<Record<string, Completer>>;
  /** Text or bytes. Undefined: no such resource. */
  read(
    variables: Readonly<Record<string, string>>,
    context: FeatureContext,
  ): Promise<string | Uint8Array | undefined> | string | Uint8Array | undefined;
}

/** A resource as one plain object; see `createOrchestrator`. */
export function defineResource(resource: Resource): Resource {
  return resource;
}

/** A working guide in the format of Agent Skills, served by the extension io.modelcontextprotocol/skills. */
export interface Skill {
  /** The first of its headings. */
  readonly title: string;
  /** As at the top of its file. */
  readonly frontmatter: { readonly name: string; readonly description: string; readonly [key: string]: string };
  /** The whole file SKILL.md, a resource of its own. */
  readonly file: Resource;
  /** Of the bytes of that file: `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly bytes: number;
  /** Of the file. */
  readonly text: string;
  /** What follows the frontmatter. */
  readonly body: string;
  /** The tools that it names. */
  readonly tools: readonly string[];
}

export interface PromptMessage {
  readonly role: 'user' | 'assistant';
  readonly content: Content;
}

type Messages = string | readonly PromptMessage[];

/** A prompt that a person selects in the client. */
export interface Prompt<Arguments extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** For people. */
  readonly title?: string;
  readonly description: string;
  /** Strings, optional or required: the protocol has no other types. */
  readonly arguments: Arguments;
  /** The tools that the prompt mentions: a session without one of them does not list the prompt. */
  readonly tools?: readonly string[];
  readonly complete?: Readonly<Record<string, Completer>>;
  /** A string is one message with the role `user`. */
  messages(args: z.output<Arguments>, context: FeatureContext): Messages | Promise<Messages>;
}

/** A prompt as one plain object; see `createOrchestrator`. */
export function definePrompt<Arguments extends z.ZodRawShape>(prompt: Prompt<z.ZodObject<Arguments>>): Prompt {
  return prompt;
}
