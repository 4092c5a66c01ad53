import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { noop } from '../async.js';

/** A change of something that clients may have cached. */
export interface Change {
  readonly method:
    | 'notifications/tools/list_changed'
    | 'notifications/prompts/list_changed'
    | 'notifications/resources/list_changed'
    | 'notifications/resources/updated'
    | 'notifications/tasks';
  /** Of a task. */
  readonly taskId?: string;
  /** Of an updated resource. */
  readonly uri?: string;
  /** The user whom it concerns (issuer and subject); absent: all users. */
  readonly owner?: string;
}

/** Passes texts to every node, this one too. A text may be lost. */
export interface Relay {
  publish(text: string): Promise<void>;
  subscribe(onText: (text: string) => void): Promise<void>;
}

/**
 * Passes changes to the streams of `subscriptions/listen` at all nodes. One for the server; a listener must not throw.
 */
export class Changes {
  readonly #listeners = new Set<(change: Change) => void>();
  readonly #node = randomUUID();
  readonly #relay: Relay | undefined;

  constructor(relay?: Relay) {
    this.#relay = relay;
    relay?.subscribe((text) => this.#receive(text)).catch(noop);
  }

  publish(change: Change): void {
    this.#tell(change);
    this.#relay?.publish(JSON.stringify({ node: this.#node, change })).catch(noop);
  }

  /** Returns a function that ends it. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #tell(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }

  #receive(text: string): void {
    const relayed = relayedSchema.safeParse(JSON.parse(text));
    if (relayed.success && relayed.data.node !== this.#node) this.#tell(relayed.data.change);
  }
}

const methods = [
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
] as const;

const relayedSchema = z.object({
  node: z.string(),
  change: z.object({
    method: z.enum([...methods, 'notifications/tasks']),
    taskId: z.string().exactOptional(),
    uri: z.string().exactOptional(),
    owner: z.string().exactOptional(),
  }),
});

/** A notification as a change; undefined for every other one. */
export function changeOf(method: string, params: Readonly<Record<string, unknown>>, owner: string): Change | undefined {
  const known = methods.find((candidate) => candidate === method);
  if (known === undefined) return undefined;
  const { uri } = params;
  return { method: known, owner, ...(typeof uri === 'string' && { uri }) };
}
