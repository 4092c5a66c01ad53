import type { IncomingHttpHeaders } from 'node:http';
import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { Refusal } from '../errors/errors.js';
import { readBearerToken, unauthorized, hashSecret, hashesEqual, type Authenticate } from './bearerToken.js';
import { jwtAuthenticator } from './jwt.js';
import { isUserId, localIssuer, userIdRule, type Caller, type Principal } from './principal.js';
import type { Users } from './users.js';

export type AuthConfig = Pick<Config, 'auth' | 'jwtIssuer' | 'jwtAudience' | 'jwtJwksUrl' | 'publicUrl'>;

/** The authentication of `--auth`. */
export function createAuthenticator(config: AuthConfig, users: Users, clock: Clock): Authenticate {
  const { auth, jwtIssuer, jwtAudience, jwtJwksUrl, publicUrl } = config;
  if (auth === 'none') return authenticateNone;
  if (auth === 'token') return tokenAuthenticator(users);
  if (jwtIssuer === undefined || jwtAudience === undefined)
    throw new Error('--auth jwt needs jwtIssuer and jwtAudience.');
  return jwtAuthenticator({ issuer: jwtIssuer, audience: jwtAudience, jwksUrl: jwtJwksUrl, publicUrl, clock });
}

/** `--auth none`: a request may name its user with `?userId=`; a request without it may use any session. */
const authenticateNone: Authenticate = async ({ query }) => {
  const user = query.get('userId');
  if (user === null) return 'anyone';
  if (isUserId(user)) return { issuer: localIssuer, user };
  throw new Refusal('invalid_parameter', { detail: `"userId" must have ${userIdRule}.` });
};

/** `--auth token`: a token of /api/users, in the Authorization header only. */
function tokenAuthenticator(users: Users): Authenticate {
  return async ({ headers, query }) => {
    const token = readBearerToken(headers);
    const principal = token === undefined ? undefined : await users.principalForToken(token);
    if (principal === undefined) throw unauthorized({ tokenRejected: token !== undefined, query });
    return principal;
  };
}

/** The principal for which a session is opened. */
export function toPrincipal(caller: Caller): Principal {
  return caller === 'anyone' ? { issuer: localIssuer, user: 'local' } : caller;
}

/** Whether a request may manage the server: it has the operator's token, or authentication is off. */
export type IsOperator = (headers: IncomingHttpHeaders) => boolean;

/** Whether a request may read the metrics of the server: it has the operator's token or the metrics token. */
export function createFiguresCheck(config: Pick<Config, 'auth' | 'adminToken' | 'metricsToken'>): IsOperator {
  const isOperator = createOperatorCheck(config);
  const hasToken = createOperatorCheck({ auth: config.auth, adminToken: config.metricsToken });
  return (headers) => isOperator(headers) || hasToken(headers);
}

/** With authentication on and no `--admin-token`, every check fails. */
export function createOperatorCheck({ auth, adminToken }: Pick<Config, 'auth' | 'adminToken'>): IsOperator {
  if (auth === 'none') return () => true;
  if (adminToken === undefined) return () => false;
  const expected = hashSecret(adminToken);
  return (headers) => hashesEqual(hashSecret(readBearerToken(headers) ?? ''), expected);
}
