import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { Refusal } from '../errors/errors.js';
import { readBearerToken, unauthorized, hashSecret, hashesEqual } from './bearerToken.js';
import { jwtAuthenticator } from './jwt.js';
import { isUserId, localIssuer, userIdRule, type Caller, type Principal } from './principal.js';
import type { Users } from './users.js';

/** What a request or an upgrade shows of who makes it. */
export interface Credentials {
  readonly headers: IncomingHttpHeaders;
  /** Without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Finds out who makes a request. Rejects with a {@link Refusal}; never lets a request through by mistake. */
export type Authenticate = (credentials: Credentials) => Promise<Caller>;

export type AuthConfig = Pick<Config, 'auth' | 'jwtIssuer' | 'jwtAudience' | 'jwtJwksUrl' | 'publicUrl'>;

/** The way of `--auth`. */
export function createAuthenticator(config: AuthConfig, users: Users, clock: Clock): Authenticate {
  const { auth, jwtIssuer, jwtAudience, jwtJwksUrl, publicUrl } = config;
  if (auth === 'none') return authenticateNone;
  if (auth === 'token') return tokenAuthenticator(users);
  if (jwtIssuer === undefined || jwtAudience === undefined) throw new Error('The configuration is not checked.');
  return jwtAuthenticator({ issuer: jwtIssuer, audience: jwtAudience, jwksUrl: jwtJwksUrl, publicUrl, clock });
}

/** `--auth none`: whoever reaches the loopback address may name the user; a request that names none speaks for any. */
const authenticateNone: Authenticate = async ({ query }) => {
  const user = query.get('userId');
  if (user === null) return 'anyone';
  if (isUserId(user)) return { issuer: localIssuer, user };
  throw new Refusal('invalid_parameter', { detail: `"userId" has ${userIdRule}.` });
};

/** `--auth token`: a token of /api/users, in the Authorization header alone. */
function tokenAuthenticator(users: Users): Authenticate {
  return async ({ headers, query }) => {
    const token = readBearerToken(headers);
    const principal = token === undefined ? undefined : await users.principalForToken(token);
    if (principal === undefined) throw unauthorized({ tokenRejected: token !== undefined, query });
    return principal;
  };
}

/** Whom a session is opened for. */
export function toPrincipal(caller: Caller): Principal {
  return caller === 'anyone' ? { issuer: localIssuer, user: 'local' } : caller;
}

/** Whether a request may manage the server: it shows the operator's token, or authentication is off. */
export type IsOperator = (headers: IncomingHttpHeaders) => boolean;

/** Without `--admin-token` and with authentication on, nobody is the operator. */
export function createOperatorCheck({ auth, adminToken }: Pick<Config, 'auth' | 'adminToken'>): IsOperator {
  if (auth === 'none') return () => true;
  if (adminToken === undefined) return () => false;
  const expected = hashSecret(adminToken);
  return (headers) => hashesEqual(hashSecret(readBearerToken(headers) ?? ''), expected);
}
