import { z } from 'zod';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { Client } from './client.js';
import type { Content } from './content.js';
import type { Workspace } from './workspace.js';

/** The groups of `--tools`, in the order of README. `core` and `extension` name several at once. */
export const toolGroups = [
  'session',
  'pages',
  'input',
  'look',
  'console',
  'network',
  'performance',
  'memory',
  'emulation',
  'storage',
  'extension',
] as const;
export type ToolGroup = (typeof toolGroups)[number];

export type JsonSchema = { readonly type: 'object' } & Readonly<Record<string, unknown>>;

/** What a tool may know of its session. */
export interface SessionFacts {
  readonly id: string;
  readonly user: string;
  readonly transport: string;
  readonly state: string;
  readonly createdAt: Date;
  readonly client: { readonly name: string; readonly version: string } | null;
  readonly protocolVersion: string | null;
  readonly toolCalls: number;
  readonly lease: 'eager' | 'lazy';
  readonly browserState: string;
}

/** A big result that the client reads by its address instead of finding it in the answer. */
export interface ResourceLink {
  /** `greenroom://…`, known to this session alone. */
  readonly uri: string;
  readonly name: string;
  readonly mimeType: string;
  readonly bytes: number;
}

export interface NewResource {
  readonly name: string;
  readonly mimeType: string;
  readonly data: string | Uint8Array | AsyncIterable<Uint8Array>;
}

/** The big results of one session. They live as long as it does, or until newer ones take their place. */
export interface Resources {
  /** Keeps it. Throws a ToolError when it alone is more than a session may keep. */
  add(resource: NewResource): Promise<ResourceLink>;
  /** Oldest first. */
  list(): readonly ResourceLink[];
  /** Throws a ToolError that lists those that exist. */
  read(uri: string): Promise<Buffer>;
}

/** What every handler gets. Valid for one call; nothing of it may be kept. */
export interface ToolContext {
  readonly session: SessionFacts;
  /** Aborted by the client's `notifications/cancelled`, the tool's deadline, or the end of the session. */
  readonly signal: AbortSignal;
  /** Sends `notifications/progress` if the client asked for it; `progress` must grow. */
  progress(progress: number, total?: number, message?: string): void;
  /** The only folders of the server's disk that the tool may touch; checked by `insideWorkspace`. */
  readonly workspace: Workspace;
  readonly resources: Resources;
  /** The client that called, for what the tool wants of it. */
  readonly client: Client;
}

export interface BrowserToolContext extends ToolContext {
  readonly browser: SessionBrowser;
}

export interface PageToolContext extends BrowserToolContext {
  readonly page: SessionPage;
}

/** What a tool answers: text that a model can act on, then whatever else it has to show. */
export interface Answer {
  readonly text: string;
  /** The same as data, of a tool with an `output`. */
  readonly structured?: object;
  readonly content?: readonly Content[];
  readonly resources?: readonly ResourceLink[];
}

export interface ToolAnswer<Output extends object> extends Answer {
  readonly structured: Output;
}

export interface Annotations {
  /** Changes nothing in the browser. */
  readonly readOnlyHint: boolean;
  /** Can lose something that cannot be had back. */
  readonly destructiveHint?: boolean;
  /** Twice is the same as once. */
  readonly idempotentHint?: boolean;
}

interface ToolBase<Input extends z.ZodObject> {
  readonly name: string;
  /** For people; models read the name. */
  readonly title?: string;
  /** One of ours, or a name of one's own. */
  readonly group: ToolGroup | (string & Record<never, never>);
  readonly description: string;
  readonly input: Input;
  /** What `tools/list` shows, to the letter, instead of the short schema that is made from `input`. */
  readonly inputSchema?: JsonSchema;
  /** Undefined: the answer is text alone. */
  readonly output: z.ZodObject | undefined;
  readonly annotations: Annotations;
  /** Deadline of one call, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
}

/** A tool that needs no browser: answers also while there is none. */
export interface PlainTool<
  Input extends z.ZodObject = z.ZodObject,
  Answered extends Answer = Answer,
> extends ToolBase<Input> {
  readonly needs: 'nothing';
  handler(args: z.output<Input>, context: ToolContext): Promise<Answered>;
}

/**
 * `browser`: any of the session's isolation. `process`: a browser and profile of its own, for which an `auto` session
 * moves. `extension`: the same, but there can be no extension before a tool has moved the session, and the call says so.
 */
export interface BrowserTool<
  Input extends z.ZodObject = z.ZodObject,
  Answered extends Answer = Answer,
> extends ToolBase<Input> {
  readonly needs: 'browser' | 'process' | 'extension';
  handler(args: z.output<Input>, context: BrowserToolContext): Promise<Answered>;
}

/** Works on one page: the selected one, or the one that the added `pageId` names. */
export interface PageTool<
  Input extends z.ZodObject = z.ZodObject,
  Answered extends Answer = Answer,
> extends ToolBase<Input> {
  readonly needs: 'page';
  /** False for tools that must work while another one waits on the page (dialogs, lists). Default true. */
  readonly lock?: boolean;
  handler(args: z.output<Input>, context: PageToolContext): Promise<Answered>;
}

export type Tool = PlainTool | BrowserTool | PageTool;

interface WithOutput<Output extends z.ZodRawShape> {
  readonly output: z.ZodObject<Output>;
}

type Structured<Output extends z.ZodRawShape> = ToolAnswer<z.input<z.ZodObject<Output>>>;

/** A tool that needs no browser and answers text: no more than it takes. Its group is `own` unless it says so. */
export interface TextTool<Input extends z.ZodObject = z.ZodObject> extends Partial<
  Pick<PlainTool, 'title' | 'group' | 'inputSchema' | 'annotations' | 'timeoutMs'>
> {
  readonly name: string;
  readonly description: string;
  readonly input: Input;
  handler(args: z.output<Input>, context: ToolContext): Awaitable<string | Omit<Answer, 'structured'>>;
}

type Awaitable<T> = T | Promise<T>;

const pageId = z.number().int().min(1).optional().describe('Default: the selected page');

/** One tool as one plain object. No SDK type in it: another protocol can serve the same object. */
export function defineTool<Input extends z.ZodRawShape, Output extends z.ZodRawShape>(
  tool:
    | (PlainTool<z.ZodObject<Input>, Structured<Output>> & WithOutput<Output>)
    | (BrowserTool<z.ZodObject<Input>, Structured<Output>> & WithOutput<Output>),
): Tool {
  return tool;
}

/** A tool that works on a page; adds the optional `pageId` argument. */
export function definePageTool<Input extends z.ZodRawShape, Output extends z.ZodRawShape>(
  tool: Omit<PageTool<z.ZodObject<Input>, Structured<Output>>, 'needs'> & WithOutput<Output>,
): Tool {
  return { ...tool, needs: 'page', input: tool.input.extend({ pageId }).strict() } as unknown as Tool;
}

/** A tool in three lines, see {@link TextTool}. */
export function defineTextTool<Input extends z.ZodRawShape>(tool: TextTool<z.ZodObject<Input>>): Tool {
  return {
    group: 'own',
    annotations: { readOnlyHint: false },
    ...tool,
    needs: 'nothing',
    output: undefined,
    async handler(args, context) {
      const answer = await tool.handler(args as z.output<z.ZodObject<Input>>, context);
      return typeof answer === 'string' ? { text: answer } : answer;
    },
  };
}
