import { z } from 'zod';
import { isSubject } from './principal.js';

const instant = z.iso.datetime();

const token = z.strictObject({
  id: z.string().min(1),
  /** SHA-256 of the token in hexadecimal: what was shown once is not here. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  label: z.string().optional(),
  createdAt: instant,
  expiresAt: instant.optional(),
});

const browser = z.strictObject({
  id: z.string().min(1),
  url: z.url(),
  label: z.string().optional(),
  createdAt: instant,
});

const user = z.strictObject({
  /** A user id of our own, or the subject of the issuer with `--auth jwt`. */
  id: z.string().refine(isSubject),
  createdAt: instant,
  tokens: z.array(token).readonly(),
  browsers: z.array(browser).readonly(),
});

/** Everything that is kept of users: the whole content of the store's one file. */
export const documentSchema = z.strictObject({ version: z.literal(1), users: z.array(user).readonly() });

export type StoredDocument = Readonly<z.output<typeof documentSchema>>;
export type StoredUser = Readonly<z.output<typeof user>>;
export type StoredToken = Readonly<z.output<typeof token>>;
export type StoredBrowser = Readonly<z.output<typeof browser>>;

export const emptyDocument: StoredDocument = { version: 1, users: [] };

/** What to make of the document, and what to tell whoever asked. Pure; throws a `Refusal` to change nothing. */
export type Change<Result> = (document: StoredDocument) => {
  readonly document: StoredDocument;
  readonly result: Result;
};

/** Where the document is kept. */
export interface UserStore {
  /** As this process knows it. */
  readonly document: StoredDocument;
  /** Looks whether another process has changed it. */
  refresh(): Promise<void>;
  /** Resolves when the change is kept. Rejects with its own refusal, or with why it was not. */
  change<Result>(change: Change<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** A file or a text that cannot be used, in one line that names it and what mends it. */
export class StoreError extends Error {}

/** The document that a text holds. Throws a {@link StoreError} that calls the text by its `name`. */
export function readDocument(text: string, name: string): StoredDocument {
  const content = parse(text);
  const parsed = documentSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  const version = typeof content === 'object' && content !== null && 'version' in content ? content.version : undefined;
  if (typeof version === 'number' && version > emptyDocument.version) {
    throw new StoreError(
      `${name} was written by a newer version (format ${version}): start that one, or move it away.`,
    );
  }
  throw new StoreError(`${name} is damaged: put a copy of it back, or move it away to start without users.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
