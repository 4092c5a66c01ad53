import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { StorageContent, StorageEdit } from '../injected/extensionContract.js';
import { editStorage, readStorage } from '../cdp/injectedFunctions.js';
import type { CdpScope } from '../cdp/cdpScope.js';
import { EvaluationError, ExtensionDocument } from './evaluateInTarget.js';
import type { Extension } from './installedExtensions.js';

export const storageAreas = ['local', 'sync', 'session', 'managed'] as const;
export type StorageArea = (typeof storageAreas)[number];

/** Limit on the characters of one read. */
const maxReadChars = 200_000;

const entrySchema = z.object({
  key: z.string(),
  /** JSON, cut to the requested length. */
  value: z.string(),
  /** Characters of the whole value. */
  length: z.number(),
});

export type StorageEntry = z.infer<typeof entrySchema>;

const readingSchema = z.object({
  entries: z.array(entrySchema),
  /** Requested keys that do not fit into one read. */
  omitted: z.number(),
  /** Number of all keys in the area. */
  keys: z.number(),
  /** Null where Chrome does not count. */
  bytes: z.number().nullable(),
}) satisfies z.ZodType<StorageContent>;

/** The content of an area of `chrome.storage`. */
export type StorageReading = z.infer<typeof readingSchema>;

export interface StorageReadOptions {
  /** Default: all. */
  readonly keys?: readonly string[] | undefined;
  /** Of one value. */
  readonly maxLength: number;
}

/**
 * Reads and writes the storage of an extension through its own `chrome.storage`, with its quotas and errors. Reading
 * starts no worker; writing starts one that listens for changes, as any write does. Ends with its scope.
 */
export class ExtensionStorage {
  readonly #extension: Extension;
  readonly #document: ExtensionDocument;

  private constructor(extension: Extension, document: ExtensionDocument) {
    this.#extension = extension;
    this.#document = document;
  }

  static async open(scope: CdpScope, extension: Extension): Promise<ExtensionStorage> {
    return new ExtensionStorage(extension, await ExtensionDocument.open(scope, extension));
  }

  /** Throws a ToolError if the extension may not use its storage. */
  read(area: StorageArea, { keys, maxLength }: StorageReadOptions): Promise<StorageReading> {
    return this.#withStorageError(
      area,
      this.#document.call(readStorage, [area, keys ?? null, maxLength, maxReadChars], readingSchema),
    );
  }

  /** Clears, then removes, then sets. Throws a ToolError with Chrome's message, such as an exceeded quota. */
  async write(area: StorageArea, changes: StorageEdit): Promise<void> {
    await this.#withStorageError(area, this.#document.call(editStorage, [area, changes], z.null()));
  }

  #withStorageError<T>(area: StorageArea, answer: Promise<T>): Promise<T> {
    return answer.catch((error: unknown) => {
      if (!(error instanceof EvaluationError)) throw error;
      const [message] = error.message.replace(/^Error: /, '').split('\n    at ');
      throw new ToolError(`The storage area ${area} of ${this.#extension.name}: ${message ?? ''}`, { cause: error });
    });
  }
}
