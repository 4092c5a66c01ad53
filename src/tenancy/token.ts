import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Told apart from other secrets by its beginning, so that scanners of repositories and logs can find it. */
const tokenPrefix = 'gr_';
const tokenPattern = /^gr_[\w-]{43}$/;

/** A new token: 32 random bytes. */
export const generateToken = (): string => tokenPrefix + randomBytes(32).toString('base64url');

export const hasTokenFormat = (text: string): boolean => tokenPattern.test(text);

/** What is kept of a secret. These are random bytes, not passwords: one round of SHA-256 cannot be searched. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** Compares two hashes in a time that does not tell how much of them is the same. */
export const hashesEqual = (one: string, other: string): boolean =>
  one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other));
