import {
  emptyDocument,
  parseUserDocument,
  type DocumentChange,
  type UserDocument,
  type UserStore,
} from './userDocument.js';

/** A text that all nodes share, with the number of its version. Every method rejects when it cannot be reached. */
export interface VersionedText {
  /** Null if it is still the version `known`. Version 0 is the one before the first, and empty. */
  read(known: number): Promise<{ readonly version: number; readonly text: string } | null>;
  /** Puts the next version in the place of `known`, and tells those who listen; false if there is another one by now. */
  write(text: string, known: number): Promise<boolean>;
  /** Tells of new versions from when it resolves. One may be missed. */
  subscribe(onWritten: () => void): Promise<void>;
}

/**
 * The document of users where many nodes have it. Each knows the version that it has seen last; a change is made to the
 * newest one, and made anew if another node was faster.
 */
export class SharedUserStore implements UserStore {
  readonly #text: VersionedText;
  #document: UserDocument = emptyDocument;
  #version = 0;

  constructor(shared: VersionedText) {
    this.#text = shared;
  }

  get document(): UserDocument {
    return this.#document;
  }

  async refresh(): Promise<void> {
    const read = await this.#text.read(this.#version);
    if (read === null) return;
    this.#document = read.version === 0 ? emptyDocument : parseUserDocument(read.text, 'What the nodes know of users');
    this.#version = read.version;
  }

  async update<Result>(change: DocumentChange<Result>): Promise<Result> {
    for (;;) {
      await this.refresh();
      const [before, version] = [this.#document, this.#version];
      const { document, result } = change(before);
      if (document === before) return result;
      if (!(await this.#text.write(JSON.stringify(document), version))) continue;
      // Whoever looked meanwhile has seen this version, or a later one.
      if (this.#version === version) [this.#document, this.#version] = [document, version + 1];
      return result;
    }
  }

  /** The nodes close what they share. */
  async close(): Promise<void> {
    return;
  }
}
