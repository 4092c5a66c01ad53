import { z } from 'zod';
import { DeadlineError, withinDeadline } from '../async.js';
import { ToolError } from '../errors/errors.js';
import type {
  ClientRequestOptions,
  Client,
  ClientCapabilities,
  FormElicitResult,
  LogLevel,
  FormElicitation,
  Root,
  SamplingResult,
  SamplingRequest,
  UrlElicitation,
} from '../tools/client.js';
import type { FeatureContext } from './definitions.js';
import type { MethodContext, RequestInfo } from './methodContext.js';
import { isObject, isStatelessVersion, rpcCodes, RpcError, type RequestId } from './protocol.js';

const text = z.object({ type: z.literal('text'), text: z.string() });
const image = z.object({ type: z.literal('image'), data: z.string(), mimeType: z.string() });
const audio = z.object({ type: z.literal('audio'), data: z.string(), mimeType: z.string() });
const samplingContent = z.discriminatedUnion('type', [
  text,
  image,
  audio,
  z.object({ type: z.literal('tool_use'), id: z.string(), name: z.string(), input: z.record(z.string(), z.unknown()) }),
  z.object({
    type: z.literal('tool_result'),
    toolUseId: z.string(),
    content: z.array(z.discriminatedUnion('type', [text, image, audio])),
    isError: z.boolean().default(false),
  }),
]);

const samplingAnswer = z.object({
  role: z.enum(['user', 'assistant']),
  content: z.union([z.array(samplingContent), samplingContent.transform((only) => [only])]),
  model: z.string(),
  stopReason: z.string().optional(),
});
const elicitationAnswer = z.object({
  action: z.enum(['accept', 'decline', 'cancel']),
  content: z.record(z.string(), z.unknown()).optional(),
});
const roots = z.object({ roots: z.array(z.object({ uri: z.string(), name: z.string().optional() })) });

export const noCapabilities: ClientCapabilities = {
  sampling: false,
  samplingTools: false,
  forms: false,
  urls: false,
  roots: false,
};

/** The capabilities in `initialize` that allow requests to the client. An empty `elicitation` means forms. */
export function capabilitiesOf(declared: unknown): ClientCapabilities {
  if (!isObject(declared)) return noCapabilities;
  const { sampling, elicitation } = declared;
  const urls = isObject(elicitation) && isObject(elicitation['url']);
  return {
    sampling: isObject(sampling),
    samplingTools: isObject(sampling) && isObject(sampling['tools']),
    forms: isObject(elicitation) && (!urls || isObject(elicitation['form'])),
    urls,
    roots: isObject(declared['roots']),
  };
}

/** The client of one call. Created for each call; owns nothing. */
export class CallClient implements Client {
  readonly #server: MethodContext;
  readonly #call: RequestId;
  readonly #signal: AbortSignal;

  /** `call` is the id of the client's request; `signal` is aborted when the request ends. */
  constructor(server: MethodContext, call: RequestId, signal: AbortSignal) {
    this.#server = server;
    this.#call = call;
    this.#signal = signal;
  }

  get capabilities(): ClientCapabilities {
    return this.#server.clientCapabilities;
  }

  async createMessage(request: SamplingRequest, options?: ClientRequestOptions): Promise<SamplingResult> {
    this.#require('sampling', 'sample from its model (sampling)', { sampling: {} });
    if (request.tools !== undefined) {
      this.#require('samplingTools', 'give its model tools (sampling.tools)', { sampling: { tools: {} } });
    }
    return this.#request('sampling/createMessage', samplingAnswer, { ...request }, options);
  }

  async elicit<Form extends z.ZodObject>(
    { message, form }: FormElicitation<Form>,
    options?: ClientRequestOptions,
  ): Promise<FormElicitResult<Form>> {
    this.#require('forms', 'show a form (elicitation)', { elicitation: { form: {} } });
    const { $schema: _, additionalProperties: _closed, ...requestedSchema } = z.toJSONSchema(form, { io: 'input' });
    const params = { message, requestedSchema };
    const { action, content } = await this.#request('elicitation/create', elicitationAnswer, params, options);
    if (action !== 'accept') return { action };
    const checked = form.safeParse(content ?? {});
    if (checked.success) return { action, content: checked.data };
    throw new ToolError(`The client returned a form with wrong values: ${z.prettifyError(checked.error)}`);
  }

  async elicitUrl({ message, url, elicitationId }: UrlElicitation, options?: ClientRequestOptions) {
    this.#require('urls', 'open an address (elicitation.url)', { elicitation: { url: {} } });
    // The newest revision has no notification that names it.
    const isStateless = isStatelessVersion(this.#server.protocolVersion);
    const params = { mode: 'url', message, url, ...(!isStateless && { elicitationId }) };
    const { action } = await this.#request('elicitation/create', elicitationAnswer, params, options);
    return { action };
  }

  elicitationCompleted(elicitationId: string): void {
    this.#server.notify('notifications/elicitation/complete', { elicitationId }, this.#call);
  }

  async listRoots(options?: ClientRequestOptions): Promise<readonly Root[]> {
    this.#require('roots', 'list its folders (roots)', { roots: {} });
    return (await this.#request('roots/list', roots, undefined, options)).roots;
  }

  log(level: LogLevel, data: unknown): void {
    this.#server.log(level, data, this.#call);
  }

  suspend(retryMs: number): void {
    this.#server.session.suspend(this.#call, retryMs);
  }

  #require(capability: keyof ClientCapabilities, action: string, required: object): void {
    if (!this.capabilities[capability]) throw this.#server.missingCapability(action, required);
  }

  async #request<Schema extends z.ZodType>(
    method: string,
    schema: Schema,
    params: Record<string, unknown> | undefined,
    { timeoutMs, key }: ClientRequestOptions = {},
  ): Promise<z.output<Schema>> {
    const request = { method, ...(params && { params }), relatedTo: this.#call, signal: this.#signal, timeoutMs, key };
    const checked = schema.safeParse(await this.#server.request(request));
    if (checked.success) return checked.data;
    throw new ToolError(`The client's answer to ${method} is invalid: ${z.prettifyError(checked.error)}`);
  }
}

/** Timeout of an embedder's prompt, resource or completion. */
const featureTimeoutMs = 30_000;

/** Runs an embedder's prompt, resource or completion, with a deadline. A ToolError reaches the client verbatim. */
export async function runFeature<T>(
  server: MethodContext,
  { id, signal: cancelled }: RequestInfo,
  work: (context: FeatureContext) => T | Promise<T>,
): Promise<T> {
  const { session } = server;
  const facts = session.facts();
  const lease = session.requireBrowserLease();
  try {
    return await withinDeadline({ clock: session.clock, ms: featureTimeoutMs, cancelled }, async (signal) =>
      work({ session: facts, browser: lease.current, signal, client: new CallClient(server, id, signal) }),
    );
  } catch (error) {
    if (error instanceof ToolError) throw new RpcError(rpcCodes.internal, error.message);
    if (!(error instanceof DeadlineError)) throw error;
    throw new RpcError(rpcCodes.internal, `The request took longer than ${featureTimeoutMs / 1000} s and was stopped.`);
  }
}
