import { z } from 'zod';
import type { EmulationSettings } from '../browser/page/pageEmulation.js';
import type { SessionBrowser } from '../browser/pool/sessionBrowser.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import type { Client, Content } from './client.js';
import type { Workspace } from './workspace.js';

/** The groups of `--tools`, in the order of the README. */
export const toolGroups = [
  'session',
  'pages',
  'input',
  'look',
  'console',
  'network',
  'sources',
  'debugger',
  'styles',
  'performance',
  'memory',
  'emulation',
  'storage',
  'audit',
  'evidence',
  'extension',
  'browsers',
] as const;
export type ToolGroup = (typeof toolGroups)[number];

export type JsonSchema = { readonly type: 'object' } & Readonly<Record<string, unknown>>;

/** Facts about a session, for its tools. */
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

/** A big result that the client reads by its URI. */
export interface ResourceLink {
  /** `greenroom://…`, valid in this session alone. */
  readonly uri: string;
  readonly name: string;
  readonly mimeType: string;
  readonly bytes: number;
}

export interface NewResource {
  readonly name: string;
  readonly mimeType: string;
  /** Parts are written one by one, each before the next is created, so that they do not block the event loop. */
  readonly data: string | Uint8Array | Iterable<string> | AsyncIterable<Uint8Array>;
}

/** The big results of one session. Kept until the session ends, or newer ones replace them. */
export interface Resources {
  /** Stores a resource. Throws a ToolError if it is bigger than a session may keep. */
  add(resource: NewResource): Promise<ResourceLink>;
  /** Oldest first. */
  list(): readonly ResourceLink[];
  /** Throws a ToolError that lists the existing ones. */
  read(uri: string): Promise<Buffer>;
}

/** How a browser is opened. */
export interface BrowserOptions {
  /** Default: that of the server. */
  readonly isolation?: 'auto' | 'context' | 'process' | undefined;
  /** Groups of tools that can be called with it, beside those that the client lists. */
  readonly groups?: string | undefined;
  /** What each of its pages emulates from its start. */
  readonly emulation?: EmulationSettings | undefined;
}

/** A browser of the user that a tool can name. */
export interface UserBrowser {
  /** The handle: the id of the session that holds the browser. */
  readonly id: string;
  readonly state: string;
  /** How its client reaches it: by its handle, or over a connection of its own. */
  readonly transport: string;
  readonly createdAt: Date;
  readonly toolCalls: number;
  /** Addresses of its pages; empty without an open browser. */
  readonly pages: readonly string[];
  /** Whether the session of this call holds it. */
  readonly isOwn: boolean;
}

/** The browsers of the user of a call, by handle. A foreign handle is unknown, whoever knows it (S6). */
export interface Browsers {
  /** Milliseconds without a call after which one is closed. */
  readonly idleTimeoutMs: number;
  /** Opens a browser; resolves when it is ready (S1). Throws a ToolError or a Refusal: nothing is left behind (S8). */
  open(options: BrowserOptions, signal: AbortSignal): Promise<UserBrowser>;
  /** Closes a browser; resolves when what it held is released, or was before. Throws a ToolError for an unknown one. */
  close(id: string): Promise<void>;
  /** Oldest first. */
  list(): Promise<readonly UserBrowser[]>;
}

/** What a client takes of one picture. */
export interface PictureLimits {
  /** Before it is written in base64. */
  readonly bytes: number;
  /** Real pixels of the longer side. */
  readonly pixels: number;
}

/** The context of one call. A handler must not keep any of it. */
export interface ToolContext {
  readonly session: SessionFacts;
  /** Aborted by the client's `notifications/cancelled`, the tool's deadline, or the end of the session. */
  readonly signal: AbortSignal;
  /** Sends `notifications/progress` if the call has a progress token; `progress` must increase. */
  progress(progress: number, total?: number, message?: string): void;
  /** The folders of the server's disk that the tool may use; checked by `requireInsideWorkspace`. */
  readonly workspace: Workspace;
  readonly resources: Resources;
  /** The client that called, for requests to it. */
  readonly client: Client;
  readonly pictures: PictureLimits;
  /** The browsers of the user, by handle. */
  readonly browsers: Browsers;
}

export interface BrowserToolContext extends ToolContext {
  readonly browser: SessionBrowser;
}

export interface PageToolContext extends BrowserToolContext {
  readonly page: SessionPage;
}

/** The answer of a tool: text that a model can act on, and other content. */
export interface Answer {
  readonly text: string;
  /** The same as data, if the tool has an `output`. */
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
  /** Can lose data that cannot be restored. */
  readonly destructiveHint?: boolean;
  /** A second call with the same arguments has no further effect. */
  readonly idempotentHint?: boolean;
}

interface ToolBase<Input extends z.ZodObject> {
  readonly name: string;
  /** Former names: called, not listed. */
  readonly aliases?: readonly string[];
  /** Name for display. */
  readonly title?: string;
  /** A group of this package, or one of the embedder. */
  readonly group: ToolGroup | (string & Record<never, never>);
  readonly description: string;
  readonly input: Input;
  /** Listed unchanged by `tools/list`, instead of the schema made from `input`. */
  readonly inputSchema?: JsonSchema;
  /** Undefined: the answer is text alone. */
  readonly output: z.ZodObject | undefined;
  readonly annotations: Annotations;
  /** Deadline of one call, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
  readonly task?: TaskSupport;
}

/** When a call is answered with a task, for a client that takes tasks (revision 2026-07-28). */
export interface TaskSupport {
  /**
   * Milliseconds after which the call becomes a task; default 5,000. 0: before it runs, so that the task sends its
   * requests to the client. Otherwise earlier requests to the client are the result of the call.
   */
  readonly afterMs?: number;
  /** A client of that revision that takes no tasks is refused. */
  readonly isRequired?: true;
}

/** A tool that needs no browser. */
interface PlainTool<Input extends z.ZodObject = z.ZodObject, Answered extends Answer = Answer> extends ToolBase<Input> {
  readonly needs: 'nothing';
  /** Works on what its session keeps, though not on the browser: it takes `browser_id` like a tool that does. */
  readonly ofSession?: true;
  /** Whether a call with these arguments starts a browser all the same. */
  startsBrowser?(args: z.output<Input>): boolean;
  handler(args: z.output<Input>, context: ToolContext): Promise<Answered>;
}

/**
 * `browser`: in the session's isolation. `process`: in a browser process and profile of its own; an `auto` session moves to
 * one. `extension`: in such a process, too; before a move no extension can be installed, and the call is refused with that fix.
 */
interface BrowserTool<
  Input extends z.ZodObject = z.ZodObject,
  Answered extends Answer = Answer,
> extends ToolBase<Input> {
  readonly needs: 'browser' | 'process' | 'extension';
  /** With `process`: called before a session moves to one, which costs it its cookies. What this throws moves nothing. */
  check?(args: z.output<Input>, context: BrowserToolContext): Promise<void>;
  handler(args: z.output<Input>, context: BrowserToolContext): Promise<Answered>;
}

/** Works on one page: that of the argument `pageId`, which is added, or the selected one. */
interface PageTool<Input extends z.ZodObject = z.ZodObject, Answered extends Answer = Answer> extends ToolBase<Input> {
  readonly needs: 'page';
  /** False for tools that must work while another call holds the page's lock (dialogs, lists). Default true. */
  readonly lock?: boolean;
  /** Enters something into the page that its address does not bring back. */
  readonly enters?: true;
  /** Loads another document: a load that is pending is stopped first, and not waited for. */
  readonly navigates?: boolean;
  handler(args: z.output<Input>, context: PageToolContext): Promise<Answered>;
}

export type Tool = PlainTool | BrowserTool | PageTool;

interface WithOutput<Output extends z.ZodRawShape> {
  readonly output: z.ZodObject<Output>;
}

type Structured<Output extends z.ZodRawShape> = ToolAnswer<z.input<z.ZodObject<Output>>>;

/** A tool that needs no browser and answers text, with the fewest fields. Default group: `own`. */
export interface TextTool<Input extends z.ZodObject = z.ZodObject> extends Partial<
  Pick<PlainTool, 'title' | 'group' | 'inputSchema' | 'annotations' | 'timeoutMs' | 'task'>
> {
  readonly name: string;
  readonly description: string;
  readonly input: Input;
  handler(args: z.output<Input>, context: ToolContext): Awaitable<string | Omit<Answer, 'structured'>>;
}

type Awaitable<T> = T | Promise<T>;

const pageId = z.number().int().min(1).optional().describe('Default: selected');

/** A tool as a plain object, without types of the MCP SDK. */
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

/** See {@link TextTool}. */
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
