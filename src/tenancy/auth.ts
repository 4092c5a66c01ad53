import type { IncomingHttpHeaders } from 'node:http';
import { Refusal } from '../errors.js';
import type { Caller, Principal } from './principal.js';

/** What a request or an upgrade shows of who makes it. */
export interface Credentials {
  readonly headers: IncomingHttpHeaders;
  readonly query: URLSearchParams;
}

/** Finds out who makes a request. Rejects with a {@link Refusal}; never lets a request through by mistake. */
export type Authenticate = (credentials: Credentials) => Promise<Caller>;

const userName = /^[\w.@+-]{1,128}$/;

/** `--auth none`: whoever reaches the loopback address may name the user; a request that names none speaks for any. */
export const authenticateNone: Authenticate = async ({ query }) => {
  const user = query.get('userId');
  if (user === null) return 'anyone';
  if (userName.test(user)) return { issuer: 'local', user };
  throw new Refusal('invalid_parameter', { detail: '"userId" has 1 to 128 letters, digits or . _ @ + -' });
};

/** Whom a session is opened for. */
export function principalOf(caller: Caller): Principal {
  return caller === 'anyone' ? { issuer: 'local', user: 'local' } : caller;
}
