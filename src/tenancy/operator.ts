import type { IncomingHttpHeaders } from 'node:http';
import type { Config } from '../config/config.js';
import { readBearerToken } from './bearerToken.js';
import { hashSecret, hashesEqual } from './token.js';

/** Whether a request may manage the server: it shows the operator's token, or authentication is off. */
export type IsOperator = (headers: IncomingHttpHeaders) => boolean;

/** Without `--admin-token` and with authentication on, nobody is the operator. */
export function createOperatorCheck({ auth, adminToken }: Pick<Config, 'auth' | 'adminToken'>): IsOperator {
  if (auth === 'none') return () => true;
  if (adminToken === undefined) return () => false;
  const expected = hashSecret(adminToken);
  return (headers) => hashesEqual(hashSecret(readBearerToken(headers) ?? ''), expected);
}
