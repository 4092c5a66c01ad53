import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** A folder that is made when it is first wanted. Owned by a seat, which removes it. */
export class SeatFolder {
  readonly #parent: string;
  #path: Promise<string> | undefined;
  #removed = false;

  constructor(parent: string) {
    this.#parent = parent;
  }

  /** Rejects once the seat has closed. */
  path(): Promise<string> {
    if (this.#removed) return Promise.reject(new Error('The session has let go of its folder.'));
    this.#path ??= mkdtemp(join(this.#parent, 'session-'));
    return this.#path;
  }

  /** Removes it with all that is in it, after `before`, if it was ever made. Never rejects. */
  async remove(before: (path: string) => Promise<void> | undefined): Promise<void> {
    this.#removed = true;
    const path = await this.#path?.catch(() => undefined);
    if (path === undefined) return;
    await before(path);
    // A browser that is just ending may still write there. What is left then goes with the browser's own folder.
    await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }).catch(() => undefined);
  }
}
