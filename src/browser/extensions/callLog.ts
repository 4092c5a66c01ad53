import { z } from 'zod';
import { RingBuffer, type KeptPart, type RingBufferReading } from '../collectors/ringBuffer.js';
import type { ReportingContext } from './messageLog.js';
import type { ActivityReport, RequestReport } from '../injected/extensionContract.js';
import { parsedJson } from '../../text.js';

/** One call of a `chrome.*` function. */
export interface ApiCall {
  readonly extensionId: string;
  /** Without `chrome.`: `storage.local.get`. */
  readonly api: string;
  readonly context: string;
  /** JSON, capped, with commas between. */
  readonly args: string;
  /** JSON, capped; undefined while it runs and where it failed. */
  readonly result: string | undefined;
  readonly error: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Undefined while it runs. */
  readonly durationMs: number | undefined;
}

/** Which calls of which extension are kept. */
export interface CallTrace {
  readonly extensionId: string;
  /** Start of the names to keep, as `storage.`; empty for all. */
  readonly filter: string;
}

const limits = { maxEntries: 2_000, maxBytes: 2 * 1024 ** 2 };
const maxPendingCalls = 500;

/**
 * Records the `chrome.*` calls of traced extensions: the newest 2,000 within 2 MiB. They stay readable after the trace.
 */
export class CallLog {
  readonly #ring: RingBuffer<ApiCall>;
  readonly #pending = new Map<string, number>();
  readonly #traces = new Map<string, CallTrace>();

  constructor(kept?: KeptPart) {
    this.#ring = new RingBuffer<ApiCall>({ ...limits, sizeOf, kept });
  }

  trace(extensionId: string): CallTrace | undefined {
    return this.#traces.get(extensionId);
  }

  get isTracing(): boolean {
    return this.#traces.size > 0;
  }

  start(trace: CallTrace): void {
    this.#traces.set(trace.extensionId, trace);
  }

  stop(extensionId: string): boolean {
    return this.#traces.delete(extensionId);
  }

  read(since?: string): RingBufferReading<ApiCall> {
    return this.#ring.read(since);
  }

  record(report: ActivityReport, reporter: ReportingContext): void {
    const key = `${reporter.key} ${report.id}`;
    if (report.phase === 'begin') this.#begin(key, report, reporter);
    else this.#end(key, report);
  }

  #begin(key: string, { api, value = '', at }: ActivityReport, { extensionId, name }: ReportingContext): void {
    const trace = this.#traces.get(extensionId);
    if (trace === undefined || !api.startsWith(trace.filter)) return;
    const outcome = { result: undefined, error: undefined, durationMs: undefined };
    this.#pending.set(key, this.#ring.push({ extensionId, api, context: name, args: value, at, ...outcome }));
    const [oldest] = this.#pending.keys();
    if (this.#pending.size > maxPendingCalls && oldest !== undefined) this.#pending.delete(oldest);
  }

  #end(key: string, { value, error, at }: ActivityReport): void {
    const id = this.#pending.get(key);
    this.#pending.delete(key);
    if (id === undefined) return;
    this.#ring.update(id, (call) => ({ ...call, result: value, error, durationMs: Math.max(0, at - call.at) }));
  }
}

function sizeOf({ api, context, args, result = '', error = '' }: ApiCall): number {
  return 200 + 2 * (api.length + context.length + args.length + result.length + error.length);
}

/** A request of an extension's worker or document that has ended. */
export interface ExtensionRequest extends RequestReport {
  readonly extensionId: string;
  readonly context: string;
}

const requestSchema = z.object({
  url: z.string(),
  status: z.number(),
  bytes: z.number(),
  ms: z.number(),
  at: z.number(),
}) satisfies z.ZodType<RequestReport>;

/** Records the requests of a session's extensions: the newest 2,000 within 2 MiB. */
export class RequestLog {
  readonly #ring: RingBuffer<ExtensionRequest>;

  constructor(kept?: KeptPart) {
    this.#ring = new RingBuffer<ExtensionRequest>({ ...limits, sizeOf: ({ url }) => 200 + 2 * url.length, kept });
  }

  read(): RingBufferReading<ExtensionRequest> {
    return this.#ring.read();
  }

  record({ phase, value = '' }: ActivityReport, { extensionId, name }: ReportingContext): void {
    const request = phase === 'begin' ? requestSchema.safeParse(parsedJson(value)).data : undefined;
    if (request !== undefined) this.#ring.push({ ...request, extensionId, context: name });
  }
}

const menuEntrySchema = z.looseObject({
  id: z.union([z.string(), z.number()]).transform(String),
  title: z.string().optional(),
  parentId: z.union([z.string(), z.number()]).transform(String).optional(),
  contexts: z.array(z.string()).optional(),
  type: z.string().optional(),
  checked: z.boolean().optional(),
});

/** An entry of a context menu, as far as the extension described it. */
export type MenuEntry = z.infer<typeof menuEntrySchema>;

const maxMenuEntries = 200;

/** The context menu entries of each extension, by the calls that made them: Chrome does not list them. */
export class MenuEntries {
  readonly #entries = new Map<string, Map<string, MenuEntry>>();

  of(extensionId: string): MenuEntry[] {
    return [...(this.#entries.get(extensionId)?.values() ?? [])];
  }

  record({ phase, api, value = '' }: ActivityReport, { extensionId }: ReportingContext): void {
    if (phase !== 'begin') return;
    const entries = this.#entries.get(extensionId) ?? new Map<string, MenuEntry>();
    this.#entries.set(extensionId, entries);
    if (api === 'contextMenus.removeAll') {
      entries.clear();
      return;
    }
    const described = parsedJson(value);
    if (api === 'contextMenus.remove') return void entries.delete(String(described));
    const entry = menuEntrySchema.safeParse(described).data;
    if (entry === undefined || (!entries.has(entry.id) && entries.size >= maxMenuEntries)) return;
    entries.set(entry.id, { ...entries.get(entry.id), ...entry });
  }
}

/** What an extension asked its user to permit. */
export interface PermissionPrompt {
  readonly context: string;
  /** JSON, capped. */
  readonly asked: string;
  /** JSON, `true` or `false`, or an error; undefined while Chrome asks. */
  readonly answer: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

const maxPrompts = 20;

/** The newest requests for permissions of each extension, and which extensions are refused theirs. */
export class PermissionPrompts {
  readonly #prompts = new Map<string, Map<string, PermissionPrompt>>();
  readonly #refusing = new Set<string>();

  get refusing(): readonly string[] {
    return [...this.#refusing];
  }

  refuse(extensionId: string, isRefusing: boolean): void {
    if (isRefusing) this.#refusing.add(extensionId);
    else this.#refusing.delete(extensionId);
  }

  of(extensionId: string): PermissionPrompt[] {
    return [...(this.#prompts.get(extensionId)?.values() ?? [])];
  }

  record({ id, phase, value = '', error, at }: ActivityReport, { extensionId, key, name }: ReportingContext): void {
    const prompts = this.#prompts.get(extensionId) ?? new Map<string, PermissionPrompt>();
    this.#prompts.set(extensionId, prompts);
    const known = prompts.get(`${key} ${id}`);
    if (phase === 'end') {
      if (known !== undefined) prompts.set(`${key} ${id}`, { ...known, answer: error ?? value });
      return;
    }
    prompts.set(`${key} ${id}`, { context: name, asked: value, answer: undefined, at });
    const [oldest] = prompts.keys();
    if (prompts.size > maxPrompts && oldest !== undefined) prompts.delete(oldest);
  }
}
