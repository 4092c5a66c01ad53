import type { z } from 'zod';

/** Levels of `logging/setLevel` (RFC 5424), least important first. */
export const logLevels = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency'] as const;
export type LogLevel = (typeof logLevels)[number];

/** The requests that a client accepts, as declared in `initialize`. */
export interface ClientCapabilities {
  readonly sampling: boolean;
  /** `sampling/createMessage` with `tools`. */
  readonly samplingTools: boolean;
  /** `elicitation/create` with a form. */
  readonly forms: boolean;
  /** `elicitation/create` with an address to open. */
  readonly urls: boolean;
  readonly roots: boolean;
}

interface ToolUse {
  readonly type: 'tool_use';
  readonly id: string;
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

interface ToolUseResult {
  readonly type: 'tool_result';
  readonly toolUseId: string;
  readonly content: readonly (TextContent | ImageContent | AudioContent)[];
  readonly isError?: boolean;
}

type SamplingContent = TextContent | ImageContent | AudioContent | ToolUse | ToolUseResult;

interface SamplingMessage {
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

/** A question to the user. `form` is flat: strings, numbers, booleans, enums (client/elicitation). */
export interface FormElicitation<Form extends z.ZodObject> {
  readonly message: string;
  readonly form: Form;
}

export type FormElicitResult<Form extends z.ZodObject> =
  { readonly action: 'accept'; readonly content: z.output<Form> } | { readonly action: 'decline' | 'cancel' };

/** Something that the user does at another address, unseen by this server: a login, a payment. */
export interface UrlElicitation {
  readonly message: string;
  readonly url: string;
  /** Passed to `elicitationCompleted`; unique and unguessable. */
  readonly elicitationId: string;
}

export interface Root {
  /** `file://…` */
  readonly uri: string;
  readonly name?: string | undefined;
}

export interface ClientRequestOptions {
  /**
   * Time limit for the client, in milliseconds. Default: the deadline of the tool. A tool that asks the user sets a longer
   * `timeoutMs`.
   */
  readonly timeoutMs?: number;
  /**
   * The name of the question among those of one call, for clients without a session (2026-07-28): they get it as the result of
   * the call, which runs from its start again with the answer. Default: by order. Ask before you act.
   */
  readonly key?: string;
}

/**
 * Requests from a tool to the client that called it. Each request is part of the call: when the signal of the call aborts, the
 * request is cancelled (`notifications/cancelled`). Requests reject with a `ToolError` with a fix when the client did not
 * declare the capability, refuses, times out or sends an invalid answer; and with the reason of the signal when the call was
 * cancelled or the session ended.
 */
export interface Client {
  readonly capabilities: ClientCapabilities;
  /** A request to the client's model (`sampling/createMessage`). */
  createMessage(request: SamplingRequest, options?: ClientRequestOptions): Promise<SamplingResult>;
  /** Asks the user to fill in a form (`elicitation/create`). Accepted content is validated with `form`. */
  elicit<Form extends z.ZodObject>(
    question: FormElicitation<Form>,
    options?: ClientRequestOptions,
  ): Promise<FormElicitResult<Form>>;
  /** Asks the user to open an address. `accept` means that the user agrees, not that it is done. */
  elicitUrl(
    question: UrlElicitation,
    options?: ClientRequestOptions,
  ): Promise<{ readonly action: 'accept' | 'decline' | 'cancel' }>;
  /** Reports to the client that an `elicitUrl` is done (`notifications/elicitation/complete`). */
  elicitationCompleted(elicitationId: string): void;
  /** The current folders of the client (`roots/list`). */
  listRoots(options?: ClientRequestOptions): Promise<readonly Root[]>;
  /** Sends `notifications/message` if the level is at or above that of `logging/setLevel`. */
  log(level: LogLevel, data: unknown): void;
  /**
   * Closes the connection on which the client waits for this call. The call continues; the client reconnects for the answer
   * after `retryMs` (2025-11-25, basic/transports, polling). No effect on other transports.
   */
  suspend(retryMs: number): void;
}

/** Content blocks of answers, prompts and messages to the client (2025-11-25, server/tools): text. */
export interface TextContent {
  readonly type: 'text';
  readonly text: string;
}

export interface ImageContent {
  readonly type: 'image';
  /** Base64. */
  readonly data: string;
  readonly mimeType: string;
}

/** Since 2025-03-26; clients with an older revision get a line of text instead. */
export interface AudioContent {
  readonly type: 'audio';
  /** Base64. */
  readonly data: string;
  readonly mimeType: string;
}

/** A resource with its contents, as text or as `blob` in base64. */
interface EmbeddedResource {
  readonly type: 'resource';
  readonly resource: { readonly uri: string; readonly mimeType: string } & (
    { readonly text: string } | { readonly blob: string }
  );
}

export type Content = TextContent | ImageContent | AudioContent | EmbeddedResource;
