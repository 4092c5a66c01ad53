import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Refusal } from '../errors/errors.js';
import type { Caller } from './principal.js';

/** The parts of a request or an upgrade that authentication reads. */
interface Credentials {
  readonly headers: IncomingHttpHeaders;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Authenticates a request. Rejects with a {@link Refusal}. */
export type Authenticate = (credentials: Credentials) => Promise<Caller>;

/** Read once for each request and address: a router may change the address on the way. */
const known = new WeakMap<IncomingHttpHeaders, ReadCredentials>();

/** Of every address without one. It is only read. */
const noQuery = new URLSearchParams();

class ReadCredentials implements Credentials {
  readonly headers: IncomingHttpHeaders;
  readonly url: string;
  readonly path: string;
  #query: URLSearchParams | undefined;

  constructor(headers: IncomingHttpHeaders, url: string) {
    this.headers = headers;
    this.url = url;
    [this.path = ''] = url.split('?', 1);
  }

  /** Parsed when it is asked for. */
  get query(): URLSearchParams {
    if (this.path === this.url) return noQuery;
    return (this.#query ??= new URLSearchParams(this.url.slice(this.path.length + 1)));
  }
}

/** Never throws: a request target may be any text, so no URL is parsed. */
export function readCredentials({ headers, url = '' }: Pick<IncomingMessage, 'headers' | 'url'>): Credentials {
  const read = known.get(headers);
  if (read?.url === url) return read;
  const credentials = new ReadCredentials(headers, url);
  known.set(headers, credentials);
  return credentials;
}

/** The token of an Authorization header (RFC 6750, 2.1); undefined if there is none. */
export function readBearerToken({ authorization = '' }: IncomingHttpHeaders): string | undefined {
  return /^Bearer +([\w.~+/=-]+) *$/i.exec(authorization)?.[1];
}

/** Query parameters in which clients wrongly send tokens: proxies and logs would store them. */
const tokenQueryParameters = ['access_token', 'token', 'apiKey', 'api_key'];

/**
 * The refusal of a request without a valid token: 401 with the challenge (RFC 6750, 3; RFC 9728, 5.1). `tokenRejected`: the
 * request had a token, which is not valid.
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

/** The prefix lets secret scanners find tokens in repositories and logs. */
const tokenPrefix = 'gr_';
const tokenPattern = /^gr_[\w-]{43}$/;

/** A new token: 32 random bytes. */
export const generateToken = (): string => tokenPrefix + randomBytes(32).toString('base64url');

export const hasTokenFormat = (text: string): boolean => tokenPattern.test(text);

/** The stored form of a secret. Tokens are random bytes, not passwords: one round of SHA-256 withstands a search. */
export const hashSecret = (secret: string): string => createHash('sha256').update(secret).digest('hex');

/** Compares two hashes in constant time. */
export const hashesEqual = (left: string, right: string): boolean =>
  left.length === right.length && timingSafeEqual(Buffer.from(left), Buffer.from(right));
