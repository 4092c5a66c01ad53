import type { z } from 'zod';
import type { AudioContent, ImageContent, TextContent } from './content.js';

/** Levels of `logging/setLevel` (RFC 5424), least important first. */
export const logLevels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What a client declared in `initialize` that it can be asked for. */
export interface ClientCapabilities {
  readonly sampling: boolean;
  /** Whether the model that is asked may be given tools. */
  readonly samplingTools: boolean;
  /** `elicitation/create` with a form. */
  readonly forms: boolean;
  /** `elicitation/create` with an address to open. */
  readonly urls: boolean;
  readonly roots: boolean;
}

export interface ToolUse {
  readonly type: 'tool_use';
  readonly id: string;
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface ToolUseResult {
  readonly type: 'tool_result';
  readonly toolUseId: string;
  readonly content: readonly (TextContent | ImageContent | AudioContent)[];
  readonly isError?: boolean;
}

export type SamplingContent = TextContent | ImageContent | AudioContent | ToolUse | ToolUseResult;

export interface SamplingMessage {
  readonly role: 'user' | 'assistant';
  readonly content: SamplingContent | readonly SamplingContent[];
}

/** Parameters of `sampling/createMessage` (client/sampling). */
export interface SamplingRequest {
  readonly messages: readonly SamplingMessage[];
  readonly maxTokens: number;
  readonly systemPrompt?: string;
  readonly temperature?: number;
  readonly stopSequences?: readonly string[];
  /** Priorities from 0 to 1. */
  readonly modelPreferences?: {
    readonly hints?: readonly { readonly name: string }[];
    readonly costPriority?: number;
    readonly speedPriority?: number;
    readonly intelligencePriority?: number;
  };
  readonly includeContext?: 'none' | 'thisServer' | 'allServers';
  /** Only for a client with `samplingTools`. */
  readonly tools?: readonly { readonly name: string; readonly description?: string; readonly inputSchema: object }[];
  readonly toolChoice?: { readonly mode: 'auto' | 'required' | 'none' };
}

export interface SamplingResult {
  readonly role: 'user' | 'assistant';
  readonly content: readonly SamplingContent[];
  readonly model: string;
  readonly stopReason?: string | undefined;
}

/** What a person is asked. `form` is flat: texts, numbers, yes or no, choices (client/elicitation). */
export interface FormElicitation<Form extends z.ZodObject> {
  readonly message: string;
  readonly form: Form;
}

export type FormElicitResult<Form extends z.ZodObject> =
  { readonly action: 'accept'; readonly content: z.output<Form> } | { readonly action: 'decline' | 'cancel' };

/** Something that a person does at another address, so that this server never sees it: a login, a payment. */
export interface UrlElicitation {
  readonly message: string;
  readonly url: string;
  /** Names it in `elicitationCompleted`; unique and unguessable. */
  readonly elicitationId: string;
}

export interface Root {
  /** `file://…` */
  readonly uri: string;
  readonly name?: string | undefined;
}

export interface ClientRequestOptions {
  /**
   * How long the client may take, in milliseconds. Default: until the deadline of the tool, which sets a longer `timeoutMs`
   * of its own when it asks a person.
   */
  readonly timeoutMs?: number;
}

/**
 * The client that called a tool, for what the tool wants of it. Each request is part of the call: it ends with the call's
 * signal, and the client is then told so (`notifications/cancelled`). Requests reject with a `ToolError` that says what
 * to do when the client did not declare the capability, refuses, does not answer in time or answers nonsense, and with
 * the reason of the signal when the call was cancelled or the session ended.
 */
export interface Client {
  readonly capabilities: ClientCapabilities;
  /** Asks the client's model (`sampling/createMessage`). */
  createMessage(request: SamplingRequest, options?: ClientRequestOptions): Promise<SamplingResult>;
  /** Asks the person at the client to fill in a form; what they accept fits it (`elicitation/create`). */
  elicit<Form extends z.ZodObject>(
    question: FormElicitation<Form>,
    options?: ClientRequestOptions,
  ): Promise<FormElicitResult<Form>>;
  /** Asks the person to open an address. `accept` means that they will, not that it is done. */
  elicitUrl(
    question: UrlElicitation,
    options?: ClientRequestOptions,
  ): Promise<{ readonly action: 'accept' | 'decline' | 'cancel' }>;
  /** Tells the client that what `elicitUrl` asked for is done (`notifications/elicitation/complete`). */
  elicitationCompleted(elicitationId: string): void;
  /** The folders that the client works in (`roots/list`), as they are now. */
  listRoots(options?: ClientRequestOptions): Promise<readonly Root[]>;
  /** Sends `notifications/message` if the client wants that level. */
  log(level: LogLevel, data: unknown): void;
  /**
   * Ends the connection on which the client waits for this call, which goes on: the client comes back for the answer after
   * `retryMs` (2025-11-25, basic/transports, polling). Does nothing on a transport that cannot do that.
   */
  suspend(retryMs: number): void;
}
