import { z } from 'zod';
import { parsedJson } from '../text.js';
import { isSubject } from './principal.js';

const instantSchema = z.iso.datetime();

const tokenSchema = z.strictObject({
  id: z.string().min(1),
  /** SHA-256 of the token in hexadecimal. The token itself is not stored. */
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
  /** The id of a registered user; with `--auth jwt`, the subject of the issuer. */
  id: z.string().refine(isSubject),
  createdAt: instantSchema,
  tokens: z.array(tokenSchema).readonly(),
  browsers: z.array(browserSchema).readonly(),
  /** URL patterns of this user's sessions, besides those of the server. */
  allowedUrls: z.array(z.string()).readonly().optional(),
  blockedUrls: z.array(z.string()).readonly().optional(),
  /** What this user may use, instead of `--user-quota`: `memory=2gb`. */
  quotas: z.array(z.string()).readonly().optional(),
});

/** All stored data of users: the content of users.json, or of the shared store. */
export const userDocumentSchema = z.strictObject({ version: z.literal(1), users: z.array(userSchema).readonly() });

export type UserDocument = Readonly<z.output<typeof userDocumentSchema>>;
export type StoredUser = Readonly<z.output<typeof userSchema>>;
export type StoredToken = Readonly<z.output<typeof tokenSchema>>;
export type StoredBrowser = Readonly<z.output<typeof browserSchema>>;

export const emptyDocument: UserDocument = { version: 1, users: [] };

/** Computes the new document and the result for the caller. Pure. Throws a `Refusal` to reject the change. */
export type DocumentChange<Result> = (document: UserDocument) => {
  readonly document: UserDocument;
  readonly result: Result;
};

/** When each token was last used, in milliseconds. Separate from the document, which changes less often. */
export interface TokenUses {
  record(uses: ReadonlyMap<string, number>): Promise<void>;
  /** Without those that were never used. */
  read(tokenIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

export interface UserStore {
  readonly uses: TokenUses;
  /** The last version that this process has read or written. */
  readonly document: UserDocument;
  /** Reads the changes of other processes. */
  refresh(): Promise<void>;
  /** Resolves when the change is stored. Rejects with the refusal of `change`, or with the error of the store. */
  update<Result>(change: DocumentChange<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** An unusable file or text. The message is one line that names it and the fix. */
export class UserStoreError extends Error {}

export const newerStore = (name: string, version: number): UserStoreError =>
  new UserStoreError(
    `${name} was written by a newer version of the server (format ${version}): start that version, or move the file away.`,
  );

/** Parses the text of a document. Throws a {@link UserStoreError} that calls the text `name`. */
export function parseUserDocument(text: string, name: string): UserDocument {
  const content = parsedJson(text);
  const parsed = userDocumentSchema.safeParse(content);
  if (parsed.success) return parsed.data;
  const version = typeof content === 'object' && content !== null && 'version' in content ? content.version : undefined;
  if (typeof version === 'number' && version > emptyDocument.version) throw newerStore(name, version);
  throw new UserStoreError(`${name} is damaged: restore a copy of it, or move it away to start without users.`);
}

/** Users, tokens and browsers that were removed. */
export interface RemovedRecords {
  /** Ids of users. */
  readonly users: readonly string[];
  /** Ids of tokens, those of the users included. */
  readonly tokens: readonly string[];
  /** Browsers of users who are still registered. */
  readonly browsers: readonly { readonly user: string; readonly url: string }[];
}

/** The records of `before` that are missing in `after`. A user who was removed and registered again counts as removed. */
export function findRemoved(before: UserDocument, after: UserDocument): RemovedRecords {
  const usersAfter = new Map(after.users.map((user) => [user.id, user]));
  const changed = before.users
    .filter((user) => usersAfter.get(user.id) !== user)
    .map((user) => ({ user, surviving: survivingUser(user, usersAfter.get(user.id)) }));
  return {
    users: changed.filter(({ surviving }) => surviving === undefined).map(({ user }) => user.id),
    tokens: changed.flatMap(({ user, surviving }) => itemsWithout(user.tokens, surviving?.tokens).map(({ id }) => id)),
    browsers: changed.flatMap(({ user, surviving }) =>
      surviving === undefined
        ? []
        : itemsWithout(user.browsers, surviving.browsers).map(({ url }) => ({ user: user.id, url })),
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
