import type { ClientCapabilities, LogLevel } from '../tools/client.js';
import type { ClientProfile } from './clientProfiles.js';
import type { ClientRequest } from './clientRequests.js';
import type { SessionFeatures } from './features.js';
import type { HandleRequest, McpSession, MethodContext } from './methodContext.js';
import type { RequestId } from './protocol.js';

/** Notifications about one request: they are sent to the client of the request. */
export const aboutRequest: readonly string[] = ['notifications/progress', 'notifications/message'];

/**
 * The server of a session as seen by one request that came by the session's handle: it works on the resources of the
 * session, for the client that sent it.
 */
export class HandleContext implements MethodContext {
  readonly #server: MethodContext;
  readonly #sender: HandleRequest;

  constructor(server: MethodContext, sender: HandleRequest) {
    this.#server = server;
    this.#sender = sender;
    sender.caller.passedOn?.();
  }

  get session(): McpSession {
    return this.#server.session;
  }

  get features(): SessionFeatures {
    return this.#server.features;
  }

  get callerFeatures(): SessionFeatures {
    return this.#sender.caller.features;
  }

  get clientCapabilities(): ClientCapabilities {
    return this.#sender.caller.clientCapabilities;
  }

  get profile(): ClientProfile {
    return this.#sender.caller.profile;
  }

  get protocolVersion(): string | null {
    return this.#sender.caller.protocolVersion;
  }

  get logLevel(): LogLevel | null {
    return this.#sender.caller.logLevel;
  }

  get toolCalls(): number {
    return this.#server.toolCalls;
  }

  set toolCalls(calls: number) {
    this.#server.toolCalls = calls;
  }

  get subscriptions(): Set<string> {
    return this.#server.subscriptions;
  }

  /** Not a method that a handle reaches. */
  initialize(): string {
    return this.#server.protocolVersion ?? '';
  }

  notify(method: string, params: Record<string, unknown>): void {
    const { caller, request } = this.#sender;
    if (aboutRequest.includes(method)) caller.notify(method, params, request.id);
    else this.#server.notify(method, params);
  }

  log(level: LogLevel, data: unknown): void {
    this.#sender.caller.log(level, data, this.#sender.request.id);
  }

  request(request: ClientRequest): Promise<Record<string, unknown>> {
    return this.#sender.caller.request({ ...request, relatedTo: this.#sender.request.id });
  }

  report(text: string): void {
    this.#sender.caller.report?.(text);
  }

  isInFlight(id: RequestId): boolean {
    return this.#server.isInFlight(id) && this.#sender.caller.isInFlight(this.#sender.request.id);
  }

  missingCapability(action: string, required: object): Error {
    return this.#sender.caller.missingCapability(action, required);
  }
}
