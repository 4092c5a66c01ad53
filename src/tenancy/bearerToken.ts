import type { IncomingHttpHeaders } from 'node:http';
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
