import type { SettledRequest } from '../../machines/events.js';
import type { BrowserLease } from '../browser/pool/browserLease.js';
import type { Clock } from '../clock.js';
import { Refusal, ToolError } from '../errors/errors.js';
import type { Log } from '../log.js';
import { wellFormedData } from '../text.js';
import type { ToolSet } from '../tools/catalogue.js';
import { logLevels, type LogLevel } from '../tools/client.js';
import type { SessionFacts, Tool } from '../tools/defineTool.js';
import type { Workspace } from '../tools/workspace.js';
import { deadlineOf } from './callTool.js';
import { profileOf, type ClientProfile } from './clientProfiles.js';
import type { ClientRequest } from './clientRequests.js';
import { metaKeys, type Envelope } from './envelope.js';
import { aboutRequest } from './handleContext.js';
import { InputRounds } from './inputRounds.js';
import type { RequestStates } from './requestState.js';
import type { ServerFeatures, SessionFeatures } from './features.js';
import type {
  BrowserHandles,
  Implementation,
  McpSession,
  MethodContext,
  SessionResources,
  UserTasks,
} from './methodContext.js';
import type { JSONRPCMessage, JSONRPCRequest, RequestId } from './protocol.js';
import { describeSettled, dispatch, InFlight } from './requests.js';
import type { SessionMemory } from './responseMemory.js';
import type { Secrets } from './secrets.js';
import { statelessTable } from './statelessMethods.js';
import { readAnswers, seedOf, tasksNotDeclared, type Task, type Tasks } from './tasks.js';

/** The parts that a request without a session shares with a session. */
type SharedParts = Pick<
  McpSession,
  | 'toolSet'
  | 'serverFeatures'
  | 'serverInfo'
  | 'workspace'
  | 'resources'
  | 'browsers'
  | 'memory'
  | 'secrets'
  | 'profileChoices'
  | 'prepareBrowser'
  | 'clock'
  | 'log'
>;

/** What all requests without a session share, and what is known of the user of one. */
export interface StatelessSessionOptions extends SharedParts {
  readonly user: string;
  /** Issuer and subject as one text. */
  readonly owner: string;
  readonly requestStates: RequestStates;
  readonly allTasks: Tasks;
  /** Called with a notification that belongs to no request. */
  changed(this: void, method: string, params: Record<string, unknown>): void;
  /** Called once for a request that no session served. */
  settled?(this: void, request: SettledRequest): void;
  /** Writes a message of the request. Never throws. */
  write(message: JSONRPCMessage): void;
}

/** A call that runs longer becomes a task: most are done before. */
const defaultTaskAfterMs = 5_000;

const openFirst = 'This tool works on a browser: call open_browser and pass its browser_id.';

/** There is no browser without a handle. */
const noLease: BrowserLease = {
  current: undefined,
  browserId: undefined,
  browser: () => Promise.reject(new ToolError(openFirst)),
  check: () => Promise.resolve(),
  release: () => Promise.resolve(),
};

/**
 * What a request of revision 2026-07-28 has instead of a session: the tools and features of its address, the user, and
 * the browsers that the user can name. It owns nothing and is dropped with the request.
 */
class StatelessSession implements McpSession {
  readonly #options: StatelessSessionOptions;
  readonly #envelope: Envelope;
  readonly toolSet: ToolSet;
  readonly serverFeatures: ServerFeatures;
  readonly serverInfo: Implementation;
  readonly workspace: Workspace;
  readonly resources: SessionResources;
  readonly browsers: BrowserHandles;
  readonly memory: SessionMemory;
  readonly secrets: Secrets;
  readonly profileChoices: McpSession['profileChoices'];
  readonly prepareBrowser: McpSession['prepareBrowser'];
  readonly clock: Clock;
  readonly log: Log;

  constructor(options: StatelessSessionOptions, envelope: Envelope) {
    this.#options = options;
    this.#envelope = envelope;
    this.toolSet = options.toolSet;
    this.serverFeatures = options.serverFeatures;
    this.serverInfo = options.serverInfo;
    this.workspace = options.workspace;
    this.resources = options.resources;
    this.browsers = options.browsers;
    this.memory = options.memory;
    this.secrets = options.secrets;
    this.profileChoices = options.profileChoices;
    this.prepareBrowser = options.prepareBrowser;
    this.clock = options.clock;
    this.log = options.log;
  }

  facts(): SessionFacts {
    const { client, protocolVersion } = this.#envelope;
    return {
      id: '',
      user: this.#options.user,
      transport: 'streamable-http',
      state: 'active',
      createdAt: new Date(this.clock.now()),
      client,
      protocolVersion,
      toolCalls: 0,
      lease: 'lazy',
      browserState: 'none',
    };
  }

  requireBrowserLease(): BrowserLease {
    return noLease;
  }

  send(message: JSONRPCMessage): void {
    this.#options.write(this.secrets.hideInMessage(message));
  }

  /** Nothing is kept of a cancelled request. */
  requestCancelled(): void {
    return;
  }

  /** Streams of this revision are not resumed. */
  suspend(): void {
    return;
  }

  requestSettled(): void {
    return;
  }
}

/**
 * One request of revision 2026-07-28, served by the methods and the catalogue that all revisions share. The state of the
 * client is its envelope. Created for the request and dropped with it.
 */
export class StatelessRequest implements MethodContext {
  readonly session: McpSession;
  readonly logLevel: LogLevel | null;
  readonly subscriptions = new Set<string>();
  toolCalls = 0;
  readonly #envelope: Envelope;
  readonly #inFlight: InFlight;
  readonly #input: InputRounds;
  readonly #options: StatelessSessionOptions;
  readonly #message: JSONRPCRequest;
  #profile: ClientProfile | undefined;
  #isSettled = false;
  #isPassedOn = false;
  /** The task that the request has become. */
  #task: Task | undefined;

  constructor(message: JSONRPCRequest, envelope: Envelope, options: StatelessSessionOptions) {
    this.session = new StatelessSession(options, envelope);
    this.logLevel = envelope.logLevel;
    this.#envelope = envelope;
    this.#message = message;
    this.#inFlight = new InFlight(message.id);
    this.#options = options;
    const { method, params = {} } = message;
    this.#input = new InputRounds(options.requestStates, { user: options.owner, method, params });
  }

  /** Takes the answers that the request brings. Throws `invalid_input` or `missing_capability`; nothing has run then. */
  async readInput(): Promise<void> {
    if (this.#tool?.task?.isRequired === true && !this.#envelope.takesTasks) throw tasksNotDeclared();
    await this.#input.read(this.#message.params ?? {});
  }

  /**
   * Runs the request; null if it was cancelled. A long call is answered with a task, if the client supports tasks, and
   * continues. Nothing is written for it afterwards (S7). Never rejects.
   */
  async run(): Promise<JSONRPCMessage | null> {
    const tool = this.#tool;
    if (tool === undefined || !this.#envelope.takesTasks) return this.#answer();
    const afterMs = tool.task?.afterMs ?? defaultTaskAfterMs;
    // Before the call runs, so that the task asks what the call asks.
    if (afterMs === 0) this.#beginTask(tool);
    const answer = this.#answer();
    if (afterMs > 0) {
      if (await isSettledWithin(answer, afterMs, this.session.clock)) return answer;
      if (!this.#input.hasAsked && !this.#inFlight.isAborted) this.#beginTask(tool);
    }
    const task = this.#task;
    if (task === undefined) return answer;
    void answer.then((message) => task.settle(message));
    return this.#tellTask(task);
  }

  get #tool(): Tool | undefined {
    const { method, params } = this.#message;
    const name = params?.['name'];
    if (method !== 'tools/call' || typeof name !== 'string') return undefined;
    const { tools, aliases, all } = this.session.toolSet;
    return tools.get(name) ?? aliases.get(name) ?? all.get(name);
  }

  #beginTask(tool: Tool): void {
    const { allTasks, owner } = this.#options;
    const cancel = (reason: Error): void => this.cancel(reason);
    const task = allTasks.begin({ owner, deadlineMs: deadlineOf(tool), cancel });
    if (task === null) return;
    this.#task = task;
    this.#input.continueWith((name, question, signal) => task.ask(name, question, signal));
  }

  /** The client gets its id once every node can find it. */
  async #tellTask(task: Task): Promise<JSONRPCMessage> {
    const { id } = this.#message;
    try {
      await this.#options.allTasks.created(task);
      const { serverInfo } = this.session;
      return { jsonrpc: '2.0', id, result: { ...seedOf(task), _meta: { [metaKeys.serverInfo]: serverInfo } } };
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal('internal', {}, { cause: error });
      this.cancel(refusal);
      return refusal.toJsonRpc(id);
    }
  }

  async #answer(): Promise<JSONRPCMessage | null> {
    const startedAt = this.session.clock.now();
    const inFlight = this.#inFlight;
    const answer = await dispatch(statelessTable(this), this, this.#message, inFlight);
    this.#isSettled = true;
    inFlight.releaseMemory();
    if (!this.#isPassedOn)
      this.#options.settled?.(describeSettled(this.#message, { inFlight, answer, server: this, startedAt }));
    const { message } = answer;
    return message === null ? null : this.session.secrets.hideInMessage(message);
  }

  /** The client closed the stream of the request, or cancelled its task. */
  cancel(reason: Error): void {
    this.#inFlight.abort(reason);
  }

  get features(): SessionFeatures {
    return this.session;
  }

  get clientCapabilities(): Envelope['clientCapabilities'] {
    return this.#envelope.clientCapabilities;
  }

  get protocolVersion(): string {
    return this.#envelope.protocolVersion;
  }

  get profile(): ClientProfile {
    const { operator, connection } = this.session.profileChoices;
    return (this.#profile ??= profileOf(this.#envelope.client?.name ?? '', operator, connection));
  }

  /** This revision has no handshake. */
  initialize(): string {
    return this.protocolVersion;
  }

  /** Only what belongs to the request: changes of lists go to `subscriptions/listen`. */
  notify(method: string, params: Record<string, unknown>): void {
    if (this.#isSettled || this.#inFlight.isAborted) return;
    if (!aboutRequest.includes(method)) {
      this.#options.changed(method, params);
      return;
    }
    // A task has no stream: its state is asked for.
    if (this.#task !== undefined) return;
    this.session.send({ jsonrpc: '2.0', method, params: wellFormedData(params) }, this.#message.id);
  }

  passedOn(): void {
    this.#isPassedOn = true;
  }

  report(text: string): void {
    this.#task?.report(this.session.secrets.hide(text));
  }

  get tasks(): UserTasks | undefined {
    if (!this.#envelope.takesTasks) return undefined;
    const { allTasks, owner } = this.#options;
    return {
      get: (id) => allTasks.get(id, owner),
      update: (id, answers) => allTasks.send(id, owner, readAnswers(answers)),
      cancel: (id) => allTasks.send(id, owner, null),
    };
  }

  log(level: LogLevel, data: unknown): void {
    if (this.logLevel === null || logLevels.indexOf(level) < logLevels.indexOf(this.logLevel)) return;
    this.notify('notifications/message', { level, logger: this.session.serverInfo.name, data });
  }

  /** Asked in the result, not while the request runs. */
  request(request: ClientRequest): Promise<Record<string, unknown>> {
    return this.#input.ask(request);
  }

  inputRequired(): Promise<Record<string, unknown> | null> {
    return this.#input.result();
  }

  isInFlight(id: RequestId): boolean {
    return id === this.#message.id && !this.#isSettled && !this.#inFlight.isAborted;
  }

  missingCapability(action: string, requiredCapabilities: object): Error {
    const detail = `This request needs a client that can ${action}, and it did not declare that capability.`;
    return new Refusal('missing_capability', { detail, requiredCapabilities });
  }
}

/** Whether something settles in so much time. */
async function isSettledWithin(work: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  let timer: unknown;
  const elapsed = new Promise<false>((resolve) => (timer = clock.setTimeout(() => resolve(false), ms)));
  const isSettled = await Promise.race([work.then(() => true), elapsed]);
  clock.clearTimeout(timer);
  return isSettled;
}
