import type { BrowserLease } from '../browser/pool/browserLease.js';
import type { Clock } from '../clock.js';
import { Refusal, ToolError } from '../errors/errors.js';
import type { Log } from '../log.js';
import { wellFormedData } from '../text.js';
import type { ToolSet } from '../tools/catalogue.js';
import { logLevels, type LogLevel } from '../tools/client.js';
import type { SessionFacts } from '../tools/defineTool.js';
import type { Workspace } from '../tools/workspace.js';
import { profileOf, type ClientProfile } from './clientProfiles.js';
import type { ClientRequest } from './clientRequests.js';
import type { Envelope } from './envelope.js';
import { aboutRequest } from './handleContext.js';
import { InputRounds } from './inputRounds.js';
import type { RequestStates } from './requestState.js';
import type { ServerFeatures, SessionFeatures } from './features.js';
import type { BrowserHandles, Implementation, McpSession, MethodContext, SessionResources } from './methodContext.js';
import type { JSONRPCMessage, JSONRPCRequest, RequestId } from './protocol.js';
import { dispatch, InFlight, type MethodOutcome } from './requests.js';
import type { SessionMemory } from './responseMemory.js';
import type { Secrets } from './secrets.js';
import { statelessTable } from './statelessMethods.js';

/** What a request without a session has as a session has it. */
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
  | 'clock'
  | 'log'
>;

/** What all requests without a session share, and what is known of the user of one. */
export interface StatelessSessionOptions extends SharedParts {
  readonly user: string;
  /** Issuer and subject as one text. */
  readonly owner: string;
  readonly requestStates: RequestStates;
  /** Called with a notification that belongs to no request. */
  changed(this: void, method: string, params: Record<string, unknown>): void;
  /** Writes a message of the request. Never throws. */
  write(message: JSONRPCMessage): void;
}

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
 * What a request of revision 2026-07-28 has instead of a session: the tools and features of its address, the user, and the
 * browsers that the user can name. It holds nothing and is dropped with the request.
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
  readonly #changed: StatelessSessionOptions['changed'];
  readonly #message: JSONRPCRequest;
  #profile: ClientProfile | undefined;
  #isSettled = false;

  constructor(message: JSONRPCRequest, envelope: Envelope, options: StatelessSessionOptions) {
    this.session = new StatelessSession(options, envelope);
    this.logLevel = envelope.logLevel;
    this.#envelope = envelope;
    this.#message = message;
    this.#inFlight = new InFlight(message.id);
    this.#changed = options.changed;
    const { method, params = {} } = message;
    this.#input = new InputRounds(options.requestStates, { user: options.owner, method, params });
  }

  /** Takes the answers that the request brings. Throws `invalid_input`; nothing has run then. */
  async readInput(): Promise<void> {
    await this.#input.read(this.#message.params ?? {});
  }

  /** Runs the request; null if it was cancelled. Nothing is written for it afterwards (S7). Never rejects. */
  async run(): Promise<JSONRPCMessage | null> {
    const { message }: MethodOutcome = await dispatch(statelessTable(this), this, this.#message, this.#inFlight);
    this.#isSettled = true;
    this.#inFlight.releaseMemory();
    return message === null ? null : this.session.secrets.hideInMessage(message);
  }

  /** The client closed the stream of the request. */
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
      this.#changed(method, params);
      return;
    }
    this.session.send({ jsonrpc: '2.0', method, params: wellFormedData(params) }, this.#message.id);
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
