import type { IncomingHttpHeaders } from 'node:http';
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../errors/errors.js';

/** The token of an Authorization header (RFC 6750, 2.1); undefined if there is none. */
export function readBearerToken({ authorization = '' }: IncomingHttpHeaders): string | undefined {
  return /^Bearer +([\w.~+/=-]+) *$/i.exec(authorization)?.[1];
}

/** Names under which clients put tokens into addresses, where proxies and logs would keep them. */
const tokenQueryParameters = ['access_token', 'token', 'apiKey', 'api_key'];

/**
 * The refusal of a request that does not show who makes it: 401 with the challenge (RFC 6750, 3; RFC 9728, 5.1). `wrong`: it
 * showed a token that does not hold.
 */
export function unauthorized(options: {
  readonly tokenRejected: boolean;
  readonly query?: URLSearchParams;
  readonly resourceMetadata?: string | undefined;
}): Refusal {
  const { tokenRejected, query, resourceMetadata } = options;
  const parameters = [
    'realm="greenroom"',
    ...(tokenRejected ? ['error="invalid_token"'] : []),
    ...(resourceMetadata === undefined ? [] : [`resource_metadata="${resourceMetadata}"`]),
  ];
  const misplaced = tokenQueryParameters.find((name) => query?.has(name) === true);
  return new Refusal('unauthorized', {
    challenge: `Bearer ${parameters.join(', ')}`,
    ...(tokenRejected && { detail: 'This token is not valid: it is wrong, expired, revoked, or for another server.' }),
    ...(!tokenRejected &&
      misplaced !== undefined && {
        detail: `A token in the address ("${misplaced}") is not read. Send it as Authorization: Bearer TOKEN.`,
      }),
  });
}

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
