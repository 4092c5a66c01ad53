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
