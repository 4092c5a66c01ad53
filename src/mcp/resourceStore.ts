import { randomUUID } from 'node:crypto';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.js';
import { privateFolders } from '../folders.js';
import { ToolError } from '../errors/errors.js';
import { hideCredentials } from '../networkAddresses.js';
import type { NewResource, ResourceLink } from '../tools/defineTool.js';
import type { SessionResources } from './methodContext.js';

/** Limits of one session. */
const defaultLimits = { count: 24, bytes: 256 * 1024 ** 2, bytesEach: 64 * 1024 ** 2 };
type ResourceLimits = typeof defaultLimits;

const scheme = 'greenroom://resources/';

interface StoredResource extends ResourceLink {
  readonly file: FileHandle;
}

/**
 * The large results of one session, on disk. Each file is unlinked as soon as it is open, so that none is left however the
 * process ends. URIs cannot be guessed, and a session reads only its own store (S6). At the limit the oldest is dropped and
 * a notice is added to the next answer (S10). Owned by its session, which closes it.
 */
export class ResourceStore implements SessionResources {
  readonly #limits: ResourceLimits;
  readonly #folder: string | undefined;
  /** Created at the first resource: most sessions have none. Oldest first. */
  #resources: Map<string, StoredResource> | undefined;
  #notices: string[] | undefined;
  /** Counter of changes to the list, for change detection. */
  changes = 0;
  #closed = false;

  readonly #checkDisk: (() => Promise<void> | undefined) | undefined;

  /** `folder`: the parent of the files. `checkDisk` rejects where the user may store no more. */
  constructor(limits: ResourceLimits = defaultLimits, folder?: string, checkDisk?: () => Promise<void> | undefined) {
    this.#limits = limits;
    this.#folder = folder;
    this.#checkDisk = checkDisk;
  }

  /** Of all resources. */
  get bytes(): number {
    return this.list().reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async add({ name: fullName, mimeType, data }: NewResource): Promise<ResourceLink> {
    const name = hideCredentials(fullName);
    await this.#checkDisk?.();
    const file = await openUnlinked(this.#folder ?? tmpdir());
    try {
      const bytes = await this.#write(file, data);
      if (this.#closed) throw new Error('The session is closed: it stores no more resources.');
      const stored: StoredResource = {
        uri: `${scheme}${randomUUID()}/${encodeURIComponent(name)}`,
        name,
        mimeType,
        bytes,
        file,
      };
      (this.#resources ??= new Map()).set(stored.uri, stored);
      this.changes += 1;
      await this.#dropOldest();
      return linkOf(stored);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  list(): readonly ResourceLink[] {
    return [...(this.#resources?.values() ?? [])].map(linkOf);
  }

  async read(uri: string): Promise<Buffer> {
    const stored = this.#resources?.get(uri);
    if (stored === undefined) throw new ToolError(this.#unknownResource(uri));
    const buffer = Buffer.alloc(stored.bytes);
    await stored.file.read(buffer, 0, stored.bytes, 0);
    return buffer;
  }

  /** The notices since the last call, for the next answer. */
  takeNotices(): readonly string[] {
    const notices = this.#notices ?? [];
    this.#notices = undefined;
    return notices;
  }

  /** Closes every file, also of a resource that is still being written. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const stored = [...(this.#resources?.values() ?? [])];
    this.#resources = undefined;
    await Promise.all(stored.map(({ file }) => file.close()));
  }

  async #write(file: FileHandle, data: NewResource['data']): Promise<number> {
    const { bytesEach } = this.#limits;
    let bytes = 0;
    for await (const chunk of typeof data === 'string' || data instanceof Uint8Array ? [data] : data) {
      const part = Buffer.from(chunk);
      bytes += part.length;
      if (bytes > bytesEach)
        throw new ToolError(
          `The result has more than ${bytesEach} bytes, the maximum of a resource: it was not stored.`,
        );
      await file.writeFile(part);
    }
    return bytes;
  }

  async #dropOldest(): Promise<void> {
    const stored = [...(this.#resources?.values() ?? [])];
    let bytes = stored.reduce((sum, resource) => sum + resource.bytes, 0);
    let { length } = stored;
    for (const oldest of stored) {
      if (length <= this.#limits.count && bytes <= this.#limits.bytes) return;
      bytes -= oldest.bytes;
      length -= 1;
      this.#resources?.delete(oldest.uri);
      (this.#notices ??= []).push(`Resource ${oldest.uri} was dropped to stay within the limits of a session.`);
      await oldest.file.close();
    }
  }

  #unknownResource(uri: string): string {
    const known = this.list().map((resource) => resource.uri);
    const existing = known.length === 0 ? 'There is none yet.' : `There are: ${known.join(', ')}.`;
    return `There is no resource ${uri}. ${existing} resources/list shows them.`;
  }
}

function linkOf({ uri, name, mimeType, bytes }: StoredResource): ResourceLink {
  return { uri, name, mimeType, bytes };
}

async function openUnlinked(parent: string): Promise<FileHandle> {
  const folder = await mkdtemp(join(parent, privateFolders.resource));
  try {
    return await open(join(folder, 'data'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Users whose results are kept, and for how long after their last request. */
const maxUsers = 256;
const ttlMs = 600_000;

/**
 * The big results of tools that work on no browser, for clients without a session: a store for each user. Kept while the
 * user sends requests (S10). Owned by the server, which closes it.
 */
export class UserResources {
  readonly #stores: LRUCache<string, ResourceStore>;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#stores = new LRUCache({
      ...{ max: maxUsers, ttl: ttlMs, ttlResolution: 0, updateAgeOnGet: true, perf: clock },
      dispose: (store) => void store.close(),
    });
  }

  of(user: string): SessionResources {
    const known = this.#stores.get(user);
    if (known !== undefined) return known;
    const store = new ResourceStore();
    this.#stores.set(user, store);
    return store;
  }

  async close(): Promise<void> {
    const stores = [...this.#stores.values()];
    this.#stores.clear();
    await Promise.all(stores.map((store) => store.close()));
  }
}
