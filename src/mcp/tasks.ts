import { randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { noop } from '../async.js';
import type { Clock } from '../clock.js';
import { Refusal } from '../errors/errors.js';
import { cutText } from '../text.js';
import type { Changes, Relay } from './changes.js';
import { failureOf } from './callTool.js';
import { isObject, tasksExtension, type JSONRPCMessage } from './protocol.js';

/** What a client has to declare. */
const tasksCapability = { extensions: { [tasksExtension]: {} } } as const;

/** Running tasks of the server and of one user, and tasks that a user may begin while none of them is forgotten (S10). */
const maxRunning = 1_024;
const maxRunningOfUser = 32;
const maxKeptOfUser = 256;
/** Bytes of one result, and of all that one process keeps. */
const maxResultBytes = 4 * 1024 ** 2;
const maxKeptBytes = 64 * 1024 ** 2;
/** How long a result is kept after the deadline of its call. */
const keptMs = 600_000;
const pollIntervalMs = 1_000;
/**
 * The node of a running task renews it this often; after the longer time without a renewal, the node counts as gone.
 */
const renewMs = 10_000;
const leaseMs = 30_000;

/** Where all nodes find tasks. */
export interface TaskStore {
  put(id: string, text: string, ms: number): Promise<void>;
  get(id: string): Promise<string | null>;
}

/** 16 random bytes in base64url. */
const taskIdForm = /^[\w-]{22}$/;

/** The store of one process. */
export function memoryTasks(clock: Pick<Clock, 'now'>): TaskStore {
  const kept = new LRUCache<string, string>({
    ...{ maxSize: maxKeptBytes, sizeCalculation: (text) => text.length, ttl: keptMs, ttlResolution: 0, perf: clock },
  });
  return {
    put: (id, text, ttl) => {
      kept.set(id, text, { ttl });
      return Promise.resolve();
    },
    get: (id) => Promise.resolve(kept.get(id) ?? null),
  };
}

const detailSchema = z.object({
  taskId: z.string(),
  status: z.enum(['working', 'input_required', 'completed', 'cancelled', 'failed']),
  statusMessage: z.string().optional(),
  createdAt: z.string(),
  lastUpdatedAt: z.string(),
  ttlMs: z.number(),
  pollIntervalMs: z.number(),
  inputRequests: z.record(z.string(), z.record(z.string(), z.unknown())).optional(),
  result: z.record(z.string(), z.unknown()).optional(),
  error: z.record(z.string(), z.unknown()).optional(),
});
/** A task as `tasks/get` shows it. */
export type TaskDetail = z.infer<typeof detailSchema>;

const recordSchema = z.object({ owner: z.string(), aliveUntil: z.number(), task: detailSchema });

/** A request of another node to the node that runs a task. */
const requestSchema = z.object({
  id: z.string(),
  owner: z.string(),
  answers: z.record(z.string(), z.record(z.string(), z.unknown())).nullable(),
});

const isEnded = ({ status }: TaskDetail): boolean => status !== 'working' && status !== 'input_required';

interface TaskOptions {
  readonly owner: string;
  /** Longest time that the call may take. */
  readonly deadlineMs: number;
  /** Stops the call. */
  cancel(this: void, reason: Error): void;
}

type TaskEnd = Pick<TaskDetail, 'status' | 'result' | 'error'>;

interface Question {
  readonly request: Record<string, unknown>;
  resolve(answer: Record<string, unknown>): void;
}

/**
 * A call that goes on after it was answered with the id of this. Owned by `Tasks`, which writes every change down, and by
 * the request, which settles it once.
 */
export class Task {
  readonly id = randomBytes(16).toString('base64url');
  readonly owner: string;
  readonly cancelCall: (reason: Error) => void;
  readonly #clock: Pick<Clock, 'now'>;
  readonly #onChange: (task: Task) => void;
  readonly #createdAt: number;
  readonly #ttlMs: number;
  readonly #questions = new Map<string, Question>();
  readonly #names = new Set<string>();
  #updatedAt: number;
  #text = 'Running.';
  #end: TaskEnd | undefined;

  constructor({ owner, deadlineMs, cancel }: TaskOptions, clock: Clock, onChange: (task: Task) => void) {
    this.owner = owner;
    this.cancelCall = cancel;
    this.#clock = clock;
    this.#onChange = onChange;
    this.#createdAt = this.#updatedAt = clock.now();
    this.#ttlMs = deadlineMs + keptMs;
  }

  get isEnded(): boolean {
    return this.#end !== undefined;
  }

  /** Milliseconds for which it can still be found. */
  get remainingMs(): number {
    return Math.max(this.#createdAt + this.#ttlMs - this.#clock.now(), 1);
  }

  detail(): TaskDetail {
    const { status, ...outcome } = this.#end ?? { status: this.#questions.size > 0 ? 'input_required' : 'working' };
    const questions = Object.fromEntries([...this.#questions].map(([name, { request }]) => [name, request]));
    return {
      ...{ taskId: this.id, status, statusMessage: this.#text },
      createdAt: new Date(this.#createdAt).toISOString(),
      lastUpdatedAt: new Date(this.#updatedAt).toISOString(),
      ...{ ttlMs: this.#ttlMs, pollIntervalMs },
      ...(status === 'input_required' && { inputRequests: questions }),
      ...outcome,
    };
  }

  /** Reports the progress of the call. A step is stored with the next change or renewal. */
  report(text: string): void {
    if (this.isEnded) return;
    this.#text = cutText(text, 300);
    this.#updatedAt = this.#clock.now();
  }

  /** Asks the client; rejects with the signal's reason. No name is used twice. */
  ask(name: string, request: Record<string, unknown>, signal: AbortSignal): Promise<Record<string, unknown>> {
    signal.throwIfAborted();
    let key = name;
    for (let count = 2; this.#names.has(key); count += 1) key = `${name}_${count}`;
    this.#names.add(key);
    return new Promise((resolve, reject) => {
      const drop = (): void => {
        this.#questions.delete(key);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', drop, { once: true });
      const answered = (answer: Record<string, unknown>): void => {
        signal.removeEventListener('abort', drop);
        this.#questions.delete(key);
        resolve(answer);
      };
      this.#questions.set(key, { request, resolve: answered });
      this.#change('Waiting for the client.');
    });
  }

  /** Takes the answers to questions that are open; others are ignored. */
  answer(answers: Readonly<Record<string, Record<string, unknown>>>): void {
    const given = Object.entries(answers).flatMap(([name, answer]) => {
      const question = this.#questions.get(name);
      return question === undefined ? [] : [() => question.resolve(answer)];
    });
    for (const resolve of given) resolve();
    if (given.length > 0) this.#change(this.#questions.size > 0 ? this.#text : 'Running.');
  }

  /** Ends it with the answer of the call; null if the call was cancelled. Only the first end counts. */
  settle(message: JSONRPCMessage | null): void {
    if (message !== null && 'result' in message) this.#finish({ status: 'completed', result: bounded(message.result) });
    else if (message !== null && 'error' in message)
      this.#finish({ status: 'failed', error: { ...message.error } }, message.error.message);
    else this.#finish({ status: 'cancelled' });
  }

  #finish(end: TaskEnd, text = end.status === 'cancelled' ? 'Cancelled.' : 'Done.'): void {
    if (this.isEnded) return;
    this.#end = end;
    this.#questions.clear();
    this.#change(text);
  }

  #change(text: string): void {
    this.#text = text;
    this.#updatedAt = this.#clock.now();
    this.#onChange(this);
  }
}

function bounded(result: Record<string, unknown>): Record<string, unknown> {
  const bytes = Buffer.byteLength(JSON.stringify(result));
  if (bytes <= maxResultBytes) return result;
  const text = `The answer has ${bytes} bytes, more than the ${maxResultBytes} that a task keeps. Ask for less, or for a file.`;
  return { ...result, ...failureOf(text) };
}

interface TasksDeps {
  readonly store: TaskStore;
  /** To the other nodes; absent with a single one. */
  readonly relay?: Relay | undefined;
  readonly clock: Clock;
  readonly changes: Changes;
}

/**
 * The tasks of the server (extension `io.modelcontextprotocol/tasks`). A running one lives at the node of its call and is
 * written to the store before its id is told, so that every node answers for it; what a client asks of it at another node is
 * relayed. Owned by the server, which closes it.
 *
 *     tools/call ─▶ begin ─▶ written ─▶ taskId          tasks/get ─▶ here, or the store
 *                     └ call goes on ─▶ settle ─▶ written    tasks/update, tasks/cancel ─▶ here, or relayed
 */
export class Tasks {
  readonly #deps: TasksDeps;
  readonly #running = new Map<string, Task>();
  readonly #writing = new Map<string, Promise<boolean>>();
  /** Owners by the ids of tasks that can still be found. Made for the first one: it reserves megabytes. */
  #kept: LRUCache<string, string> | undefined;
  #timer: unknown;
  #isClosed = false;

  constructor(deps: TasksDeps) {
    this.#deps = deps;
    deps.relay?.subscribe((text) => this.#receive(text)).catch(noop);
  }

  /** Null: there is no room, and the call is answered as without tasks. */
  begin(options: TaskOptions): Task | null {
    const ofUser = (owners: Iterable<string>): number => [...owners].filter((owner) => owner === options.owner).length;
    const running = [...this.#running.values()].map(({ owner }) => owner);
    const isFull = running.length >= maxRunning || ofUser(running) >= maxRunningOfUser;
    if (this.#isClosed || isFull || ofUser(this.#kept?.values() ?? []) >= maxKeptOfUser) return null;
    const task = new Task(options, this.#deps.clock, (changed) => this.#changed(changed));
    this.#running.set(task.id, task);
    this.#kept ??= new LRUCache({ max: 65_536, ttl: keptMs, ttlResolution: 0, perf: this.#deps.clock });
    this.#kept.set(task.id, task.owner, { ttl: task.remainingMs });
    if (this.#running.size === 1) this.#renewLater();
    return task;
  }

  /** Resolves when every node can find the task. Rejects with a Refusal: the task then does not exist. */
  async created(task: Task): Promise<void> {
    if (await this.#write(task)) return;
    this.#forget(task);
    throw new Refusal('store_unreachable');
  }

  /** Throws `unknown_task`, also for the task of another user. */
  async get(id: unknown, owner: string): Promise<TaskDetail> {
    // No other text becomes a part of a key in a store.
    if (typeof id !== 'string' || !taskIdForm.test(id)) throw new Refusal('unknown_task');
    const here = this.#running.get(id);
    if (here !== undefined && here.owner === owner) return here.detail();
    const text = await this.#deps.store.get(id);
    const record = text === null ? undefined : recordSchema.parse(JSON.parse(text));
    if (record?.owner !== owner) throw new Refusal('unknown_task');
    const { task, aliveUntil } = record;
    if (isEnded(task) || aliveUntil > this.#deps.clock.now()) return task;
    const { inputRequests: _asked, ...known } = task;
    const { error } = new Refusal('node_lost').toJsonRpc(null);
    return { ...known, status: 'failed', statusMessage: error.message, error: { ...error } };
  }

  /** Passes answers to a task, or stops it (null). Throws `unknown_task`. One that has ended is left as it is. */
  async send(id: unknown, owner: string, answers: z.infer<typeof requestSchema>['answers']): Promise<void> {
    const { taskId } = await this.get(id, owner);
    if (this.#running.has(taskId)) this.#take({ id: taskId, owner, answers });
    else await this.#deps.relay?.publish(JSON.stringify({ id: taskId, owner, answers }));
  }

  /** Stops every running task of this node. Resolves when that is written. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#deps.clock.clearTimeout(this.#timer);
    const tasks = [...this.#running.values()];
    const draining = new Refusal('draining');
    for (const task of tasks) {
      task.settle(draining.toJsonRpc(0));
      task.cancelCall(draining);
    }
    await Promise.all(tasks.map(({ id }) => this.#writing.get(id) ?? Promise.resolve(true)));
  }

  #take({ id, owner, answers }: z.infer<typeof requestSchema>): void {
    const task = this.#running.get(id);
    if (task?.owner !== owner) return;
    if (answers !== null) task.answer(answers);
    else {
      task.settle(null);
      task.cancelCall(new Error('The client cancelled this task.'));
    }
  }

  #receive(text: string): void {
    const request = requestSchema.safeParse(JSON.parse(text));
    if (request.success) this.#take(request.data);
  }

  #changed(task: Task): void {
    const { id, owner } = task;
    void this.#write(task).then(() => this.#deps.changes.publish({ method: 'notifications/tasks', taskId: id, owner }));
  }

  /** False: it could not be written, and is tried again with the next renewal. One after the other, so that the last stays. */
  #write(task: Task): Promise<boolean> {
    const earlier = this.#writing.get(task.id) ?? Promise.resolve(true);
    const written = earlier.then(async () => {
      try {
        await this.#put(task);
        if (task.isEnded) this.#forget(task);
        return true;
      } catch {
        return false;
      }
    });
    this.#writing.set(task.id, written);
    return written;
  }

  #forget({ id }: Task): void {
    this.#running.delete(id);
    this.#writing.delete(id);
  }

  #put(task: Task): Promise<void> {
    const record = { owner: task.owner, aliveUntil: this.#deps.clock.now() + leaseMs, task: task.detail() };
    return this.#deps.store.put(task.id, JSON.stringify(record), task.remainingMs);
  }

  #renewLater(): void {
    this.#timer = this.#deps.clock.setTimeout(() => {
      for (const task of this.#running.values())
        if (task.isEnded && task.remainingMs <= 1) this.#forget(task);
        else void this.#write(task);
      if (this.#running.size > 0) this.#renewLater();
    }, renewMs);
  }
}

/** The refusal of what only a client can ask that takes tasks. */
export const tasksNotDeclared = (): Refusal =>
  new Refusal('missing_capability', {
    detail: `This needs a client that takes tasks: declare ${tasksExtension} in the extensions of clientCapabilities.`,
    requiredCapabilities: tasksCapability,
  });

/** The answers of `tasks/update`. Throws `invalid_input`. */
export function readAnswers(given: unknown): Record<string, Record<string, unknown>> {
  const isAnswers = isObject(given) && Object.values(given).every(isObject);
  if (isAnswers) return given as Record<string, Record<string, unknown>>;
  throw new Refusal('invalid_input', { detail: '"inputResponses" is an object with an object for each question.' });
}

/** The first answer to a call that became a task, without the later result. */
export function seedOf(task: Task): Record<string, unknown> {
  const { inputRequests: _asked, result: _result, error: _error, ...seed } = task.detail();
  return { resultType: 'task', ...seed };
}
