import type { UserDocument, StoredUser } from './userDocument.js';

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
