/** Something that clients may have kept has changed. */
export interface Change {
  readonly method:
    | 'notifications/tools/list_changed'
    | 'notifications/prompts/list_changed'
    | 'notifications/resources/list_changed'
    | 'notifications/resources/updated';
  /** Of an updated resource. */
  readonly uri?: string;
  /** The user whom it concerns (issuer and subject); absent: everybody. */
  readonly owner?: string;
}

/** Passes changes to the streams of `subscriptions/listen`. One for the server; a listener must not throw. */
export class Changes {
  readonly #listeners = new Set<(change: Change) => void>();

  publish(change: Change): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** Returns a function that ends it. */
  subscribe(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

const methods: readonly string[] = [
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
] satisfies Change['method'][];

/** A notification as a change; undefined for every other one. */
export function changeOf(method: string, params: Readonly<Record<string, unknown>>, owner: string): Change | undefined {
  if (!methods.includes(method)) return undefined;
  const { uri } = params;
  return { method: method as Change['method'], owner, ...(typeof uri === 'string' && { uri }) };
}
