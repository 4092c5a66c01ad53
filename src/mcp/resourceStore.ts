import { randomUUID } from 'node:crypto';
import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { privateFolders } from '../browser/process/privateFolders.js';
import { ToolError } from '../errors/errors.js';
import type { NewResource, ResourceLink, Resources } from '../tools/defineTool.js';

/** What one session may keep. */
const defaultBounds = { count: 24, bytes: 256 * 1024 ** 2, bytesEach: 64 * 1024 ** 2 };
type ResourceBounds = typeof defaultBounds;

const scheme = 'greenroom://resources/';

interface StoredResource extends ResourceLink {
  readonly file: FileHandle;
}

/**
 * The big results of one session, on disk. Their files are unlinked as soon as they are open: however this process ends,
 * nothing stays behind. Addresses cannot be guessed, and each session looks only in its own store (S6). At the bound the
 * oldest is dropped and the client is told (S10). Owned by its session, which closes it.
 */
export class ResourceStore implements Resources {
  readonly #bounds: ResourceBounds;
  readonly #folder: string;
  /** Made at the first resource: most sessions have none. Oldest first. */
  #resources: Map<string, StoredResource> | undefined;
  #notices: string[] | undefined;
  /** How often the list changed: whoever remembers it sees whether it did. */
  changes = 0;
  #closed = false;

  /** `folder` is where the files are made. */
  constructor(bounds: ResourceBounds = defaultBounds, folder = tmpdir()) {
    this.#bounds = bounds;
    this.#folder = folder;
  }

  async add({ name, mimeType, data }: NewResource): Promise<ResourceLink> {
    const file = await openUnlinked(this.#folder);
    try {
      const bytes = await this.#write(file, data);
      if (this.#closed) throw new Error('The session has ended.');
      const kept: StoredResource = {
        uri: `${scheme}${randomUUID()}/${encodeURIComponent(name)}`,
        name,
        mimeType,
        bytes,
        file,
      };
      (this.#resources ??= new Map()).set(kept.uri, kept);
      this.changes += 1;
      await this.#dropOldest();
      return linkOf(kept);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  list(): readonly ResourceLink[] {
    return [...(this.#resources?.values() ?? [])].map(linkOf);
  }

  async read(uri: string): Promise<Buffer> {
    const kept = this.#resources?.get(uri);
    if (kept === undefined) throw new ToolError(this.#unknownResource(uri));
    const buffer = Buffer.alloc(kept.bytes);
    await kept.file.read(buffer, 0, kept.bytes, 0);
    return buffer;
  }

  /** What was dropped since the last time, for the next answer. Empties. */
  takeNotices(): readonly string[] {
    const notices = this.#notices ?? [];
    this.#notices = undefined;
    return notices;
  }

  /** Lets go of everything, also of what is still being written. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    const kept = [...(this.#resources?.values() ?? [])];
    this.#resources = undefined;
    await Promise.all(kept.map(({ file }) => file.close()));
  }

  async #write(file: FileHandle, data: NewResource['data']): Promise<number> {
    const { bytesEach } = this.#bounds;
    let bytes = 0;
    for await (const chunk of typeof data === 'string' || data instanceof Uint8Array ? [data] : data) {
      const part = Buffer.from(chunk);
      bytes += part.length;
      if (bytes > bytesEach) throw new ToolError(`The result has more than ${bytesEach} bytes and was not kept.`);
      await file.writeFile(part);
    }
    return bytes;
  }

  async #dropOldest(): Promise<void> {
    const kept = [...(this.#resources?.values() ?? [])];
    let bytes = kept.reduce((sum, resource) => sum + resource.bytes, 0);
    let { length } = kept;
    for (const oldest of kept) {
      if (length <= this.#bounds.count && bytes <= this.#bounds.bytes) return;
      bytes -= oldest.bytes;
      length -= 1;
      this.#resources?.delete(oldest.uri);
      (this.#notices ??= []).push(`Resource ${oldest.uri} was dropped to stay within the bounds of a session.`);
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
