import { z } from 'zod';
import { isSubject } from './principal.js';

const instantSchema = z.iso.datetime();

const tokenSchema = z.strictObject({
  id: z.string().min(1),
  /** SHA-256 of the token in hexadecimal: what was shown once is not here. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  label: z.string().optional(),
  createdAt: instantSchema,
  expiresAt: instantSchema.optional(),
});

const browserSchema = z.strictObject({
  id: z.string().min(1),
  url: z.url(),
  label: z.string().optional(),
  createdAt: instantSchema,
});

const userSchema = z.strictObject({
  /** A user id of our own, or the subject of the issuer with `--auth jwt`. */
  id: z.string().refine(isSubject),
  createdAt: instantSchema,
  tokens: z.array(tokenSchema).readonly(),
  browsers: z.array(browserSchema).readonly(),
});

/** Everything that is kept of users: the whole content of the store's one file. */
export const userDocumentSchema = z.strictObject({ version: z.literal(1), users: z.array(userSchema).readonly() });

export type UserDocument = Readonly<z.output<typeof userDocumentSchema>>;
export type StoredUser = Readonly<z.output<typeof userSchema>>;
export type StoredToken = Readonly<z.output<typeof tokenSchema>>;
export type StoredBrowser = Readonly<z.output<typeof browserSchema>>;

export const emptyDocument: UserDocument = { version: 1, users: [] };

/** What to make of the document, and what to tell whoever asked. Pure; throws a `Refusal` to change nothing. */
export type DocumentChange<Result> = (document: UserDocument) => {
  readonly document: UserDocument;
  readonly result: Result;
};

/** Where the document is kept. */
export interface UserStore {
  /** As this process knows it. */
  readonly document: UserDocument;
  /** Looks whether another process has changed it. */
  refresh(): Promise<void>;
  /** Resolves when the change is kept. Rejects with its own refusal, or with why it was not. */
  update<Result>(change: DocumentChange<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** A file or a text that cannot be used, in one line that names it and what mends it. */
export class UserStoreError extends Error {}

/** The document that a text holds. Throws a {@link UserStoreError} that calls the text by its `name`. */
export function parseUserDocument(text: string, name: string): UserDocument {
  const content = parseJson(text);
  const parsed = userDocumentSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  const version = typeof content === 'object' && content !== null && 'version' in content ? content.version : undefined;
  if (typeof version === 'number' && version > emptyDocument.version) {
    throw new UserStoreError(
      `${name} was written by a newer version (format ${version}): start that one, or move it away.`,
    );
  }
  throw new UserStoreError(`${name} is damaged: put a copy of it back, or move it away to start without users.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What somebody may have come with, and is registered no more. */
export interface RemovedRecords {
  /** Ids of users. */
  readonly users: readonly string[];
  /** Ids of tokens, those of the users included. */
  readonly tokens: readonly string[];
  /** Browsers of users who are still there. */
  readonly browsers: readonly { readonly user: string; readonly url: string }[];
}

/** What is in the document before and not in the one after. A user who was registered anew is another one. */
export function findRemoved(before: UserDocument, after: UserDocument): RemovedRecords {
  const usersAfter = new Map(after.users.map((user) => [user.id, user]));
  const changed = before.users
    .filter((user) => usersAfter.get(user.id) !== user)
    .map((was) => ({ was, is: survivingUser(was, usersAfter.get(was.id)) }));
  return {
    users: changed.filter(({ is }) => is === undefined).map(({ was }) => was.id),
    tokens: changed.flatMap(({ was, is }) => itemsWithout(was.tokens, is?.tokens).map(({ id }) => id)),
    browsers: changed.flatMap(({ was, is }) =>
      is === undefined ? [] : itemsWithout(was.browsers, is.browsers).map(({ url }) => ({ user: was.id, url })),
    ),
  };
}

export const isEmptyRemoval = ({ users, tokens, browsers }: RemovedRecords): boolean =>
  users.length + tokens.length + browsers.length === 0;

const survivingUser = (before: StoredUser, after: StoredUser | undefined): StoredUser | undefined =>
  after?.createdAt === before.createdAt ? after : undefined;

function itemsWithout<Item extends { readonly id: string }>(
  before: readonly Item[],
  after: readonly Item[] = [],
): readonly Item[] {
  const ids = new Set(after.map(({ id }) => id));
  return before.filter(({ id }) => !ids.has(id));
}
