import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { privateFolders } from '../process/privateFolders.js';

/** A folder that is made when it is first wanted, and that nobody else may enter. Owned by a seat, which removes it. */
export class SessionFolder {
  readonly #place: string;
  #made: Promise<string> | undefined;
  #isRemoved = false;

  constructor(parent: string) {
    this.#place = join(parent, `${privateFolders.session}${randomUUID()}`);
  }

  /** Where it is, once it is wanted; undefined after its removal. */
  get place(): string | undefined {
    return this.#made === undefined || this.#isRemoved ? undefined : this.#place;
  }

  /** Rejects once the seat has closed. */
  path(): Promise<string> {
    if (this.#isRemoved) return Promise.reject(new Error('The session has let go of its folder.'));
    this.#made ??= mkdir(this.#place, { mode: 0o700 }).then(() => this.#place);
    return this.#made;
  }

  /** Removes it with all that is in it, after `before`, if it was ever made. Never rejects. */
  async remove(before: (path: string) => Promise<void> | undefined): Promise<void> {
    this.#isRemoved = true;
    const path = await this.#made?.catch(() => undefined);
    if (path === undefined) return;
    await before(path);
    // A browser that is just ending may still write there. What is left then goes with the browser's own folder.
    await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }).catch(() => undefined);
  }
}
