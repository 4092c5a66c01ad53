import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf, messageOf, Refusal } from '../errors/errors.js';
import {
  emptyDocument,
  newerStore,
  parseUserDocument,
  UserStoreError,
  type DocumentChange,
  type TokenUses,
  type UserDocument,
  type UserStore,
} from './userDocument.js';
import { createFolder } from '../folders.js';
import { parsedJson } from '../text.js';
import { lockFolder } from './folderLock.js';

interface PendingChange {
  /** Returns the changed draft; the same draft if the change is refused. */
  apply(draft: UserDocument): UserDocument;
  /** Settles the caller's promise once the draft is on disk. */
  acknowledge(): void;
  reject(error: unknown): void;
}

/**
 * Opens the store of users, tokens and browsers in a folder. Creates the folder if necessary, and locks it for this process
 * until `close()`. Throws a {@link UserStoreError} if the folder or the file is unusable; an unreadable file is left as it
 * is.
 */
export async function openUserFileStore(folder: string): Promise<UserFileStore> {
  const unlock = await lockDataFolder(folder);
  try {
    const document = await loadDocument(join(folder, fileName));
    return new UserFileStore(folder, document, await loadUses(join(folder, usesFileName)), unlock);
  } catch (error) {
    await unlock();
    throw error;
  }
}

const fileName = 'users.json';
/** Of less worth than the users: one that is missing or damaged is begun again. */
const usesFileName = 'token-uses.json';

/**
 * One JSON document, in memory and on disk. A change becomes visible, and is acknowledged, only after the document has been
 * written, flushed and renamed into place. Changes that arrive during a write share the next write, in order. Owned by
 * `Users`, which closes it.
 */
export class UserFileStore implements UserStore {
  readonly #file: string;
  readonly #folder: string;
  readonly #unlock: () => Promise<void>;
  #uses: ReadonlyMap<string, number>;
  #document: UserDocument;
  #pending: PendingChange[] = [];
  #writing: Promise<void> | undefined;
  #isClosed = false;

  constructor(folder: string, document: UserDocument, uses: ReadonlyMap<string, number>, unlock: () => Promise<void>) {
    this.#uses = uses;
    this.#folder = folder;
    this.#file = join(folder, fileName);
    this.#document = document;
    this.#unlock = unlock;
  }

  get document(): UserDocument {
    return this.#document;
  }

  readonly uses: TokenUses = {
    record: async (uses) => {
      const ids = new Set(this.#document.users.flatMap(({ tokens }) => tokens.map(({ id }) => id)));
      this.#uses = new Map([...this.#uses, ...uses].filter(([id]) => ids.has(id)));
      const file = join(this.#folder, usesFileName);
      await writeFileAtomically(
        this.#folder,
        file,
        JSON.stringify({ version: usesVersion, uses: Object.fromEntries(this.#uses) }),
      );
    },
    read: async (ids) => new Map([...this.#uses].filter(([id]) => ids.includes(id))),
  };

  /** Does nothing: the folder is locked, so no other process changes the document. */
  async refresh(): Promise<void> {
    return;
  }

  /** Resolves when the change is durable. Rejects with the refusal of `change`, or with `storage_failed`: nothing changed. */
  update<Result>(change: DocumentChange<Result>): Promise<Result> {
    if (this.#isClosed) return Promise.reject(new Refusal('draining'));
    return new Promise((resolve, reject) => {
      let settle: () => void;
      const apply = (draft: UserDocument): UserDocument => {
        try {
          const { document, result } = change(draft);
          settle = () => resolve(result);
          return document;
        } catch (error) {
          settle = () => reject(error);
          return draft;
        }
      };
      this.#pending.push({ apply, acknowledge: () => settle(), reject });
      this.#writing ??= this.#writeAll().finally(() => (this.#writing = undefined));
    });
  }

  /** Waits for the current write and unlocks the folder. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#writing;
    await this.#unlock();
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      const batch = this.#pending;
      this.#pending = [];
      const draft = batch.reduce((document, { apply }) => apply(document), this.#document);
      try {
        if (draft !== this.#document)
          await writeFileAtomically(this.#folder, this.#file, JSON.stringify(draft, null, 2));
        this.#document = draft;
        for (const { acknowledge } of batch) acknowledge();
      } catch (error) {
        // Refused changes too: they were judged against a draft that was never stored.
        const refusal = storageFailure(`${this.#file} cannot be written: ${messageOf(error)}`, error);
        for (const { reject } of batch) reject(refusal);
      }
    }
  }
}

/** `storage_failed` with this detail. */
export function storageFailure(detail: string, cause: unknown): Refusal {
  return new Refusal('storage_failed', { detail: `${detail}. Nothing was changed.` }, { cause });
}

/** Replaces the file or leaves it as it is. The caller has locked the folder, so the temporary name is not in use. */
export async function writeFileAtomically(folder: string, file: string, text: string): Promise<void> {
  const temporary = `${file}.tmp`;
  try {
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    // A remaining temporary file is overwritten by the next write. The first error is the cause.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(folder);
}

/** Makes the rename durable across a power failure, where the system supports it. The file is complete either way. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

async function lockDataFolder(folder: string): Promise<() => Promise<void>> {
  try {
    await createFolder(folder);
    return await lockFolder(folder);
  } catch (error) {
    if (codeOf(error) === undefined) throw new UserStoreError(messageOf(error), { cause: error });
    throw new UserStoreError(`${folder} cannot be used: ${messageOf(error)}. Choose another --data-dir.`, {
      cause: error,
    });
  }
}

const usesVersion = 1;
const usesSchema = z.record(z.string(), z.number());

/** Servers before the first release wrote only the uses. Damaged data is dropped: it grants no access. */
async function loadUses(file: string): Promise<ReadonlyMap<string, number>> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  const stored = z.object({ version: z.number(), uses: z.unknown().optional() }).safeParse(parsedJson(text));
  if (stored.success && stored.data.version > usesVersion) throw newerStore(file, stored.data.version);
  const { data = {} } = usesSchema.safeParse(stored.success ? stored.data.uses : parsedJson(text));
  return new Map(Object.entries(data));
}

async function loadDocument(file: string): Promise<UserDocument> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new UserStoreError(`${file} cannot be read: ${messageOf(error)}. Fix its permissions.`, { cause: error });
  });
  return text === undefined ? emptyDocument : parseUserDocument(text, file);
}
