import type { ServerResponse } from 'node:http';
import { noop } from '../async.js';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import type { Change, Changes } from '../mcp/changes.js';
import { metaKeys } from '../mcp/envelope.js';
import { textOf } from '../mcp/messageText.js';
import type { Implementation } from '../mcp/methodContext.js';
import { tasksNotDeclared, type TaskDetail, type Tasks } from '../mcp/tasks.js';
import { isObject, type JSONRPCMessage, type JSONRPCRequest, type RequestId } from '../mcp/protocol.js';
import { SseWriter } from './sseWriter.js';

/** Streams of the server and of one user, and resources or tasks that one stream names (S10). */
const maxStreams = 1_024;
const maxStreamsPerUser = 32;
const maxNamed = 256;

export interface SubscriptionsDeps {
  readonly changes: Changes;
  readonly clock: Clock;
  readonly serverInfo: Implementation;
  readonly allTasks: Pick<Tasks, 'get'>;
}

/** What a client wants to hear of, and what it is told that it will. */
interface Filter {
  readonly toolsListChanged?: true;
  readonly promptsListChanged?: true;
  readonly resourcesListChanged?: true;
  readonly resourceSubscriptions?: readonly string[];
  readonly taskIds?: readonly string[];
}

/** A server's capabilities, as it declares them. */
type Capabilities = Readonly<Record<string, object>>;

/** Where the messages of one stream go. */
export interface ListenSink {
  /** Called once, before anything is sent; `drop` is to be called when the client closes it. False: it is closed already. */
  open(drop: () => void): boolean;
  send(message: JSONRPCMessage): void;
  end(): void;
}

export interface ListenRequest {
  readonly message: JSONRPCRequest;
  readonly sink: ListenSink;
  readonly user: string;
  readonly capabilities: Capabilities;
  /** The client can be told of tasks. */
  readonly takesTasks: boolean;
}

interface Stream {
  readonly user: string;
  end(): void;
}

/**
 * The streams of `subscriptions/listen` (2026-07-28), over HTTP or a pipe. Each begins with the acknowledgement, which says
 * what it will carry, and nothing comes before it; every message has the id of the request. It ends with a result when the
 * server drains, and without one when the client closes it. Owned by the server, which closes it.
 */
export class Subscriptions {
  readonly #deps: SubscriptionsDeps;
  readonly #streams = new Set<Stream>();
  #isClosed = false;

  constructor(deps: SubscriptionsDeps) {
    this.#deps = deps;
  }

  /** Rejects with a Refusal before anything is written. */
  async listen({ message, sink, user, capabilities, takesTasks }: ListenRequest): Promise<void> {
    const { filter, taskIds } = readFilter(message.params?.['notifications'], capabilities);
    if (taskIds.length > 0 && !takesTasks) throw tasksNotDeclared();
    const tasks = taskIds.length === 0 ? [] : await this.#find(taskIds, user);
    if (this.#isClosed) throw new Refusal('draining');
    this.#checkRoom(user);
    const agreed = { ...filter, ...(tasks.length > 0 && { taskIds: tasks.map(({ taskId }) => taskId) }) };
    const stream = this.#begin(message.id, { sink, user, filter: agreed });
    if (stream === undefined) return;
    // What has happened before this stream began.
    for (const task of tasks) sink.send(notice('notifications/tasks', task, message.id));
    // Nothing of what the client wants is there to hear of.
    if (Object.keys(agreed).length === 0) stream.end();
  }

  /** Ends every stream with its result. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) stream.end();
  }

  #begin(id: RequestId, { sink, user, filter }: Pick<ListenRequest, 'sink' | 'user'> & { filter: Filter }) {
    const onChange = (change: Change): void => {
      if (!isWanted(filter, change, user)) return;
      if (change.taskId === undefined) {
        sink.send(notice(change.method, change.uri === undefined ? {} : { uri: change.uri }, id));
        return;
      }
      const tell = (detail: TaskDetail): void => {
        if (this.#streams.has(stream)) sink.send(notice(change.method, detail, id));
      };
      this.#deps.allTasks.get(change.taskId, user).then(tell, noop);
    };
    let unsubscribe = noop;
    const drop = (): void => {
      unsubscribe();
      this.#streams.delete(stream);
    };
    const stream: Stream = {
      user,
      end: () => {
        const meta = { [metaKeys.subscriptionId]: id, [metaKeys.serverInfo]: this.#deps.serverInfo };
        sink.send({ jsonrpc: '2.0', id, result: { resultType: 'complete', _meta: meta } });
        drop();
        sink.end();
      },
    };
    if (!sink.open(drop)) return undefined;
    this.#streams.add(stream);
    sink.send(notice('notifications/subscriptions/acknowledged', { notifications: filter }, id));
    unsubscribe = this.#deps.changes.subscribe(onChange);
    return stream;
  }

  /** Those that exist and belong to the user. */
  async #find(ids: readonly string[], user: string): Promise<TaskDetail[]> {
    const found = await Promise.allSettled(ids.map((id) => this.#deps.allTasks.get(id, user)));
    return found.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  }

  #checkRoom(user: string): void {
    const ofUser = [...this.#streams].filter((stream) => stream.user === user).length;
    if (ofUser >= maxStreamsPerUser)
      throw new Refusal('queue_full', { limit: `${maxStreamsPerUser} streams of one user` });
    if (this.#streams.size >= maxStreams) throw new Refusal('queue_full', { limit: `${maxStreams} streams` });
  }
}

/** The stream of a request over HTTP: its response. */
export function responseSink(response: ServerResponse, clock: Clock): ListenSink {
  const writer = new SseWriter(response, { clock });
  return {
    open: (drop) => {
      writer.onclose = drop;
      writer.open();
      return writer.state === 'open';
    },
    send: (message) => writer.write({ event: 'message', data: textOf(message) }),
    end: () => writer.end(),
  };
}

/** With the id of the request that it belongs to. */
const notice = (method: string, params: object, id: RequestId): JSONRPCMessage => ({
  jsonrpc: '2.0',
  method,
  params: { ...params, _meta: { [metaKeys.subscriptionId]: id } },
});

/** The part of the wish that this server can fulfil, and the tasks that it names. Throws `invalid_input`. */
function readFilter(wanted: unknown, capabilities: Capabilities): { filter: Filter; taskIds: readonly string[] } {
  if (!isObject(wanted))
    throw new Refusal('invalid_input', {
      detail: '"notifications" says what to listen to: {"resourcesListChanged": true}.',
    });
  const uris = readTexts(wanted, 'resourceSubscriptions');
  const can = (feature: string, what: string): boolean =>
    (capabilities[feature] as Capabilities | undefined)?.[what] !== undefined;
  const filter: Filter = {
    ...(wanted['toolsListChanged'] === true && can('tools', 'listChanged') && { toolsListChanged: true }),
    ...(wanted['promptsListChanged'] === true && can('prompts', 'listChanged') && { promptsListChanged: true }),
    ...(wanted['resourcesListChanged'] === true && can('resources', 'listChanged') && { resourcesListChanged: true }),
    ...(uris.length > 0 && can('resources', 'subscribe') && { resourceSubscriptions: uris }),
  };
  return { filter, taskIds: [...new Set(readTexts(wanted, 'taskIds'))] };
}

function readTexts(wanted: Record<string, unknown>, name: 'resourceSubscriptions' | 'taskIds'): readonly string[] {
  const texts: unknown = wanted[name] ?? [];
  if (isTexts(texts) && texts.length <= maxNamed) return texts;
  throw new Refusal('invalid_input', { detail: `"${name}" is a list of at most ${maxNamed} strings.` });
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

function isWanted(filter: Filter, { method, uri = '', taskId = '', owner }: Change, user: string): boolean {
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
    case 'notifications/tasks':
      return filter.taskIds?.includes(taskId) === true;
  }
}
