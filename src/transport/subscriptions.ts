import type { ServerResponse } from 'node:http';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import type { Change, Changes } from '../mcp/changes.js';
import { metaKeys } from '../mcp/envelope.js';
import type { Implementation } from '../mcp/methodContext.js';
import { isObject, type JSONRPCMessage, type JSONRPCRequest, type RequestId } from '../mcp/protocol.js';
import { SseWriter } from './sseWriter.js';

/** Streams of the server and of one user, and resources of one stream (S10). */
const maxStreams = 1_024;
const maxStreamsPerUser = 32;
const maxResources = 256;

export interface SubscriptionsDeps {
  readonly changes: Changes;
  readonly clock: Clock;
  readonly serverInfo: Implementation;
}

/** What a client wants to hear of, and what it is told that it will. */
interface Filter {
  readonly toolsListChanged?: true;
  readonly promptsListChanged?: true;
  readonly resourcesListChanged?: true;
  readonly resourceSubscriptions?: readonly string[];
}

/** A server's capabilities, as it declares them. */
type Capabilities = Readonly<Record<string, object>>;

export interface ListenRequest {
  readonly message: JSONRPCRequest;
  readonly response: ServerResponse;
  readonly user: string;
  readonly capabilities: Capabilities;
}

interface Stream {
  readonly user: string;
  end(): void;
}

/**
 * The streams of `subscriptions/listen` (2026-07-28). Each begins with the acknowledgement, which says what it will carry, and
 * nothing comes before it; every message has the id of the request. It ends with a result when the server drains, and
 * without one when the client closes it. Owned by the server, which closes it.
 */
export class Subscriptions {
  readonly #deps: SubscriptionsDeps;
  readonly #streams = new Set<Stream>();
  #isClosed = false;

  constructor(deps: SubscriptionsDeps) {
    this.#deps = deps;
  }

  /** Throws a Refusal before anything is written. */
  listen({ message, response, user, capabilities }: ListenRequest): void {
    if (this.#isClosed) throw new Refusal('draining');
    const wanted = message.params?.['notifications'];
    const filter = readFilter(wanted, capabilities);
    this.#checkRoom(user);
    const writer = new SseWriter(response, { clock: this.#deps.clock });
    const { id } = message;
    const send = (sent: JSONRPCMessage): void => writer.write({ event: 'message', data: JSON.stringify(sent) });
    writer.open();
    send(notice('notifications/subscriptions/acknowledged', { notifications: filter }, id));
    const unsubscribe = this.#deps.changes.subscribe((change) => {
      if (!isWanted(filter, change, user)) return;
      send(notice(change.method, change.uri === undefined ? {} : { uri: change.uri }, id));
    });
    const stream: Stream = {
      user,
      end: () => {
        const meta = { [metaKeys.subscriptionId]: id, [metaKeys.serverInfo]: this.#deps.serverInfo };
        send({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta: meta } });
        writer.end();
      },
    };
    writer.onclose = () => {
      unsubscribe();
      this.#streams.delete(stream);
    };
    this.#streams.add(stream);
    // Nothing of what the client wants is there to hear of.
    if (Object.keys(filter).length === 0) stream.end();
  }

  /** Ends every stream with its result. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) stream.end();
  }

  #checkRoom(user: string): void {
    const ofUser = [...this.#streams].filter((stream) => stream.user === user).length;
    if (ofUser >= maxStreamsPerUser)
      throw new Refusal('queue_full', { limit: `${maxStreamsPerUser} streams of one user` });
    if (this.#streams.size >= maxStreams) throw new Refusal('queue_full', { limit: `${maxStreams} streams` });
  }
}

/** With the id of the request that it belongs to. */
const notice = (method: string, params: object, id: RequestId): JSONRPCMessage => ({
  jsonrpc: '2.0',
  method,
  params: { ...params, _meta: { [metaKeys.subscriptionId]: id } },
});

/** The part of the wish that this server can fulfil. Throws `invalid_input`. */
function readFilter(wanted: unknown, capabilities: Capabilities): Filter {
  if (!isObject(wanted))
    throw new Refusal('invalid_input', {
      detail: '"notifications" says what to listen to: {"resourcesListChanged": true}.',
    });
  const { resourceSubscriptions: uris = [] } = wanted;
  const isUris = Array.isArray(uris) && uris.length <= maxResources && uris.every((uri) => typeof uri === 'string');
  if (!isUris) {
    const detail = `"resourceSubscriptions" is a list of at most ${maxResources} URIs.`;
    throw new Refusal('invalid_input', { detail });
  }
  const can = (feature: string, what: string): boolean =>
    (capabilities[feature] as Capabilities | undefined)?.[what] !== undefined;
  return {
    ...(wanted['toolsListChanged'] === true && can('tools', 'listChanged') && { toolsListChanged: true }),
    ...(wanted['promptsListChanged'] === true && can('prompts', 'listChanged') && { promptsListChanged: true }),
    ...(wanted['resourcesListChanged'] === true && can('resources', 'listChanged') && { resourcesListChanged: true }),
    ...(uris.length > 0 && can('resources', 'subscribe') && { resourceSubscriptions: uris }),
  };
}

function isWanted(filter: Filter, { method, uri = '', owner }: Change, user: string): boolean {
  if (owner !== undefined && owner !== user) return false;
  switch (method) {
    case 'notifications/tools/list_changed':
      return filter.toolsListChanged === true;
    case 'notifications/prompts/list_changed':
      return filter.promptsListChanged === true;
    case 'notifications/resources/list_changed':
      return filter.resourcesListChanged === true;
    case 'notifications/resources/updated':
      return filter.resourceSubscriptions?.includes(uri) === true;
  }
}
