import {
  emptyDocument,
  parseUserDocument,
  type DocumentChange,
  type TokenUses,
  type UserDocument,
  type UserStore,
} from './userDocument.js';

/** A text that all nodes share, with a version number. Every method rejects when the store is unreachable. */
export interface VersionedText {
  /** Null if the version is still `knownVersion`. Version 0 is the empty text before the first write. */
  read(knownVersion: number): Promise<{ readonly version: number; readonly text: string } | null>;
  /** Replaces version `knownVersion` and notifies subscribers. False: another version has been written meanwhile. */
  write(text: string, knownVersion: number): Promise<boolean>;
  /** Beside the text: neither its version nor its subscribers know of them. */
  readonly uses: TokenUses;
  /** Resolves when the subscription is active. A notification may be lost. */
  subscribe(onWritten: () => void): Promise<void>;
}

/**
 * The user document that several nodes share. Each node caches the last version it has read. A change is applied to the
 * newest version, and again if another node has written meanwhile.
 */
export class SharedUserStore implements UserStore {
  readonly #text: VersionedText;
  #document: UserDocument = emptyDocument;
  #version = 0;

  constructor(shared: VersionedText) {
    this.#text = shared;
  }

  get uses(): TokenUses {
    return this.#text.uses;
  }

  get document(): UserDocument {
    return this.#document;
  }

  async refresh(): Promise<void> {
    const read = await this.#text.read(this.#version);
    if (read === null) return;
    this.#document =
      read.version === 0 ? emptyDocument : parseUserDocument(read.text, 'The user document in the shared store');
    this.#version = read.version;
  }

  async update<Result>(change: DocumentChange<Result>): Promise<Result> {
    for (;;) {
      await this.refresh();
      const [before, version] = [this.#document, this.#version];
      const { document, result } = change(before);
      if (document === before) return result;
      if (!(await this.#text.write(JSON.stringify(document), version))) continue;
      // A concurrent `refresh` may have read this version, or a later one.
      if (this.#version === version) [this.#document, this.#version] = [document, version + 1];
      return result;
    }
  }

  /** Does nothing: the node closes the store. */
  async close(): Promise<void> {
    return;
  }
}
