import type { StoredDocument, StoredUser } from './document.js';

/** What somebody may have come with, and is registered no more. */
export interface Removed {
  /** Ids of users. */
  readonly users: readonly string[];
  /** Ids of tokens, those of the users included. */
  readonly tokens: readonly string[];
  /** Browsers of users who are still there. */
  readonly browsers: readonly { readonly user: string; readonly url: string }[];
}

/** What is in the document before and not in the one after. A user who was registered anew is another one. */
export function removedBetween(before: StoredDocument, after: StoredDocument): Removed {
  const now = new Map(after.users.map((user) => [user.id, user]));
  const changed = before.users
    .filter((user) => now.get(user.id) !== user)
    .map((was) => ({ was, is: sameUser(was, now.get(was.id)) }));
  return {
    users: changed.filter(({ is }) => is === undefined).map(({ was }) => was.id),
    tokens: changed.flatMap(({ was, is }) => missing(was.tokens, is?.tokens).map(({ id }) => id)),
    browsers: changed.flatMap(({ was, is }) =>
      is === undefined ? [] : missing(was.browsers, is.browsers).map(({ url }) => ({ user: was.id, url })),
    ),
  };
}

export const isNothing = ({ users, tokens, browsers }: Removed): boolean =>
  users.length + tokens.length + browsers.length === 0;

const sameUser = (was: StoredUser, is: StoredUser | undefined): StoredUser | undefined =>
  is?.createdAt === was.createdAt ? is : undefined;

function missing<Item extends { readonly id: string }>(
  were: readonly Item[],
  are: readonly Item[] = [],
): readonly Item[] {
  const ids = new Set(are.map(({ id }) => id));
  return were.filter(({ id }) => !ids.has(id));
}
