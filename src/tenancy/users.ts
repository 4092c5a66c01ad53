import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.js';
import { messageOf, Refusal } from '../errors/errors.js';
import {
  emptyDocument,
  UserStoreError,
  type DocumentChange,
  type StoredBrowser,
  type UserDocument,
  type StoredToken,
  type StoredUser,
  type UserStore,
  isEmptyRemoval,
  findRemoved,
  type RemovedRecords,
} from './userDocument.js';
import { localIssuer, type Principal } from './principal.js';
import { SharedUserStore, type VersionedText } from './sharedUserStore.js';
import { openUserFileStore, storageFailure } from './userFileStore.js';
import { hashSecret, hasTokenFormat, generateToken, hashesEqual } from './bearerToken.js';

/** How often uses of tokens are recorded, at most. */
const useIntervalMs = 60_000;

/** The store is one document: these limits keep it small. */
const maxUsers = 10_000;
const maxTokens = 100;
const maxBrowsers = 20;

export interface UsersOptions {
  readonly folder: string;
  /** The shared store of several nodes; the folder is not used then. */
  readonly shared?: VersionedText | undefined;
  readonly clock: Clock;
}

type TokenIndex = ReadonlyMap<string, { readonly userId: string; readonly token: StoredToken }>;

/** What an operator sets for a user. */
export type UserSettings = Pick<StoredUser, 'allowedUrls' | 'blockedUrls' | 'quotas'>;

export interface IssuedToken {
  /** The token itself. Not stored. */
  readonly secret: string;
  readonly token: StoredToken;
}

/**
 * The users of this server, with their tokens and browsers. Opens the store at its first use, or with `open()`. Owned by
 * the orchestrator, which closes it. An acknowledged change is durable. Every call may reject with `storage_failed` or, with
 * a shared store, `store_unreachable`.
 */
export class Users {
  readonly #options: UsersOptions;
  #store: Promise<UserStore> | undefined;
  #isClosed = false;
  /** The last document whose removals were applied. */
  #appliedDocument: UserDocument = emptyDocument;
  #applyingRemovals: Promise<void> = Promise.resolve();
  /** Called with the records removed here or at another node. A change resolves after the returned promise. */
  onRemoved: (removed: RemovedRecords) => Promise<void> = () => Promise.resolve();
  /** Uses that are not recorded yet. */
  readonly #uses = new Map<string, number>();
  #usesRecordedAt = -Infinity;
  #tokenIndex: { readonly document: UserDocument; readonly byHash: TokenIndex } | undefined;

  constructor(options: UsersOptions) {
    this.#options = options;
  }

  /** Opens the store now. Rejects with a {@link UserStoreError} if it is unusable; may be called again then. */
  open(): Promise<UserStore> {
    const { folder, shared } = this.#options;
    if (this.#isClosed) return Promise.reject(new Refusal('draining'));
    if (shared !== undefined) return (this.#store ??= Promise.resolve(new SharedUserStore(shared)));
    this.#store ??= openUserFileStore(folder).then(
      (store) => {
        this.#appliedDocument = store.document;
        return store;
      },
      (error: unknown) => {
        this.#store = undefined;
        throw error;
      },
    );
    return this.#store;
  }

  /** Waits for the current write and closes the store for good. Idempotent. */
  async close(): Promise<void> {
    if (this.#store !== undefined && this.#uses.size > 0) await this.#recordUses();
    this.#isClosed = true;
    const store = await this.#store?.catch(() => undefined);
    await store?.close();
  }

  /** Reads the changes of other nodes. Resolves when removals were applied at this node. */
  async refresh(): Promise<void> {
    if (!this.#isClosed) await this.#applyRemovals(await this.#refreshedDocument());
  }

  async list(): Promise<readonly StoredUser[]> {
    return (await this.#refreshedDocument()).users;
  }

  /** Throws `not_registered`. */
  async get(id: string): Promise<StoredUser> {
    return findUser(await this.#refreshedDocument(), id);
  }

  async create(id: string, settings: UserSettings = {}): Promise<StoredUser> {
    const user: StoredUser = { id, createdAt: this.#now(), tokens: [], browsers: [], ...settings };
    return this.#update((document) => {
      if (document.users.some((user) => user.id === id)) {
        throw new Refusal('already_registered', { detail: `A user "${id}" is already registered.` });
      }
      if (document.users.length >= maxUsers) throw new Refusal('too_many_records', { limit: `${maxUsers} users` });
      return { document: { ...document, users: [...document.users, user] }, result: user };
    });
  }

  /** Replaces the given settings. URL patterns are for sessions that are opened from now on. Throws `not_registered`. */
  async change(id: string, settings: UserSettings): Promise<StoredUser> {
    return this.#updateUser(id, (user) => {
      const changed = { ...user, ...settings };
      return { user: changed, result: changed };
    });
  }

  /** The URL patterns of a user; undefined without any. */
  async urlListsOf(id: string): Promise<{ allowed: readonly string[]; blocked: readonly string[] } | undefined> {
    const user = (await this.#refreshedDocument()).users.find((known) => known.id === id);
    const { allowedUrls: allowed = [], blockedUrls: blocked = [] } = user ?? {};
    return allowed.length + blocked.length === 0 ? undefined : { allowed, blocked };
  }

  /** As this process knows them: read with each call of a tool. */
  async quotasOf(id: string): Promise<readonly string[]> {
    return (await this.#openedStore()).document.users.find((known) => known.id === id)?.quotas ?? [];
  }

  /** Removes a user with all tokens and browsers. Resolves with the removed user. */
  async remove(id: string): Promise<StoredUser> {
    return this.#update((document) => {
      const user = findUser(document, id);
      const users = document.users.filter((other) => other !== user);
      return { document: { ...document, users }, result: user };
    });
  }

  async issueToken(userId: string, { label, lifeMs }: { label?: string; lifeMs?: number }): Promise<IssuedToken> {
    const secret = generateToken();
    const token: StoredToken = {
      id: newId(),
      hash: hashSecret(secret),
      ...(label !== undefined && { label }),
      createdAt: this.#now(),
      ...(lifeMs !== undefined && { expiresAt: new Date(this.#options.clock.now() + lifeMs).toISOString() }),
    };
    return this.#updateUser(userId, (user) => {
      if (user.tokens.length >= maxTokens) throw new Refusal('too_many_records', { limit: `${maxTokens} tokens` });
      return { user: { ...user, tokens: [...user.tokens, token] }, result: { secret, token } };
    });
  }

  async revokeToken(userId: string, tokenId: string): Promise<void> {
    await this.#updateUser(userId, (user) => {
      const token = findItem(user.tokens, tokenId, 'token');
      return { user: { ...user, tokens: user.tokens.filter((other) => other !== token) }, result: undefined };
    });
  }

  async addBrowser(userId: string, { url, label }: { url: string; label?: string }): Promise<StoredBrowser> {
    const browser = { id: newId(), url, ...(label !== undefined && { label }), createdAt: this.#now() };
    return this.#updateUser(userId, (user) => {
      if (user.browsers.some((registered) => registered.url === url)) {
        throw new Refusal('already_registered', { detail: 'The user already has a browser at this address.' });
      }
      if (user.browsers.length >= maxBrowsers)
        throw new Refusal('too_many_records', { limit: `${maxBrowsers} browsers` });
      return { user: { ...user, browsers: [...user.browsers, browser] }, result: browser };
    });
  }

  async removeBrowser(userId: string, browserId: string): Promise<StoredBrowser> {
    return this.#updateUser(userId, (user) => {
      const browser = findItem(user.browsers, browserId, 'browser');
      return { user: { ...user, browsers: user.browsers.filter((other) => other !== browser) }, result: browser };
    });
  }

  /** The principal of a token; undefined if the token is unknown, revoked or expired. */
  async principalForToken(secret: string): Promise<Principal | undefined> {
    if (!hasTokenFormat(secret)) return undefined;
    const hash = hashSecret(secret);
    const indexed = this.#indexTokens((await this.#openedStore()).document).get(hash);
    // An unknown token may be new from another node. Revocations of other nodes arrive by `refresh`.
    const found = indexed ?? this.#indexTokens(await this.#refreshedDocument()).get(hash);
    if (found === undefined || !hashesEqual(found.token.hash, hash) || !this.#isUnexpired(found.token))
      return undefined;
    const { id: credentialId, expiresAt } = found.token;
    this.#noteUse(credentialId);
    const principal = { issuer: localIssuer, user: found.userId, credentialId };
    return expiresAt === undefined ? principal : { ...principal, expiresAt: Date.parse(expiresAt) };
  }

  /** When tokens were used last, in milliseconds. Uses at other nodes may be a minute late. */
  async lastUses(tokenIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const recorded = await translateStoreError((await this.#openedStore()).uses.read(tokenIds));
    return new Map([...recorded, ...[...this.#uses].filter(([id]) => tokenIds.includes(id))]);
  }

  #noteUse(tokenId: string): void {
    const now = this.#options.clock.now();
    this.#uses.set(tokenId, now);
    if (now - this.#usesRecordedAt < useIntervalMs) return;
    this.#usesRecordedAt = now;
    void this.#recordUses();
  }

  /** Uses that cannot be written are kept for the next time. Never rejects. */
  async #recordUses(): Promise<void> {
    const uses = new Map(this.#uses);
    try {
      await (await this.open()).uses.record(uses);
      for (const [id, at] of uses) if (this.#uses.get(id) === at) this.#uses.delete(id);
    } catch {
      // The next use tries again.
    }
  }

  /** Whether the token of a principal is still valid. True for a principal without a token of this server. */
  async isTokenValid({ user, credentialId }: Principal): Promise<boolean> {
    if (credentialId === undefined) return true;
    const { users } = await this.#refreshedDocument();
    const token = users.find(({ id }) => id === user)?.tokens.find(({ id }) => id === credentialId);
    return token !== undefined && this.#isUnexpired(token);
  }

  /** The browsers of a user, oldest first; none if the user is not registered. */
  async browsersOf(userId: string): Promise<readonly StoredBrowser[]> {
    return (await this.#refreshedDocument()).users.find(({ id }) => id === userId)?.browsers ?? [];
  }

  /** The tokens of a document by hash. Computed once for each document. */
  #indexTokens(document: UserDocument): TokenIndex {
    if (this.#tokenIndex?.document === document) return this.#tokenIndex.byHash;
    const tokens = document.users.flatMap(({ id, tokens }) => tokens.map((token) => ({ userId: id, token })));
    const byHash = new Map(tokens.map((owned) => [owned.token.hash, owned]));
    this.#tokenIndex = { document, byHash };
    return byHash;
  }

  #isUnexpired({ expiresAt }: StoredToken): boolean {
    return expiresAt === undefined || Date.parse(expiresAt) > this.#options.clock.now();
  }

  #updateUser<Result>(
    id: string,
    change: (user: StoredUser) => { readonly user: StoredUser; readonly result: Result },
  ): Promise<Result> {
    return this.#update((document) => {
      const before = findUser(document, id);
      const { user, result } = change(before);
      const users = document.users.map((other) => (other === before ? user : other));
      return { document: { ...document, users }, result };
    });
  }

  async #update<Result>(change: DocumentChange<Result>): Promise<Result> {
    const store = await this.#openedStore();
    const result = await translateStoreError(store.update(change));
    await this.#applyRemovals(store.document);
    return result;
  }

  /** The newest document. */
  async #refreshedDocument(): Promise<UserDocument> {
    const store = await this.#openedStore();
    await translateStoreError(store.refresh());
    this.#applyRemovals(store.document).catch(() => undefined);
    return store.document;
  }

  #openedStore(): Promise<UserStore> {
    return translateStoreError(this.open());
  }

  /** Reports the records that are missing in the new document. Resolves when `onRemoved` has. */
  #applyRemovals(document: UserDocument): Promise<void> {
    const before = this.#appliedDocument;
    if (before === document) return this.#applyingRemovals;
    this.#appliedDocument = document;
    const removed = findRemoved(before, document);
    if (isEmptyRemoval(removed)) return Promise.resolve();
    return (this.#applyingRemovals = this.onRemoved(removed));
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString();
  }
}

/** Translates a UserStoreError to `storage_failed`. */
async function translateStoreError<Result>(work: Promise<Result>): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    throw error instanceof UserStoreError ? storageFailure(messageOf(error), error) : error;
  }
}

const newId = (): string => randomBytes(9).toString('base64url');

function findUser({ users }: UserDocument, id: string): StoredUser {
  const user = users.find((candidate) => candidate.id === id);
  if (user === undefined) throw new Refusal('not_registered', { detail: 'There is no such user.' });
  return user;
}

function findItem<Item extends { readonly id: string }>(items: readonly Item[], id: string, name: string): Item {
  const item = items.find((candidate) => candidate.id === id);
  if (item === undefined) throw new Refusal('not_registered', { detail: `The user has no such ${name}.` });
  return item;
}
