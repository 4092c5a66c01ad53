import type { IncomingMessage } from 'node:http';
import proxyAddr from 'proxy-addr';
import { Refusal } from '../errors/errors.js';
import { toPrincipal, type Authenticate } from '../tenancy/auth.js';
import type { Caller } from '../tenancy/principal.js';
import type { RateLimits } from '../tenancy/rateLimits.js';
import { readCredentials } from './transport.js';

/**
 * Lets a request or an upgrade in that passed the doors, or throws why not: first who asks, then how often. The caps on
 * what is open at once come last, in `SessionRegistry.open`. Nothing of a body is read before.
 */
export type Admit = (request: IncomingMessage, asks: 'connection' | 'message') => Promise<Caller>;

/** Whether an address, so many hops away, is a proxy whose word is believed. */
export type IsTrustedProxy = (address: string, hop: number) => boolean;

export interface AdmissionDeps {
  readonly authenticate: Authenticate;
  readonly rateLimits: Pick<RateLimits, 'countConnection' | 'countMessages'>;
  readonly isTrustedProxy: IsTrustedProxy;
  /** A client that asked for a session was turned away before there was one, and not for anything that it did. */
  onStoreUnreachable(): void;
}

export function createAdmission({
  authenticate,
  rateLimits,
  isTrustedProxy,
  onStoreUnreachable,
}: AdmissionDeps): Admit {
  const admit: Admit = async (request, purpose) => {
    const caller = await authenticate(readCredentials(request));
    const principal = toPrincipal(caller);
    if (purpose === 'message') await rateLimits.countMessages(principal);
    else await rateLimits.countConnection(principal, proxyAddr(request, isTrustedProxy)).catch(reportIfUnreachable);
    return caller;
  };
  const reportIfUnreachable = (error: unknown): never => {
    if (error instanceof Refusal && error.reason === 'store_unreachable') onStoreUnreachable();
    throw error;
  };
  // Who asks twice about a request hears the same, and it is counted once.
  const admissions = new WeakMap<IncomingMessage, Promise<Caller>>();
  return (request, purpose) => {
    const answer = admissions.get(request) ?? admit(request, purpose);
    admissions.set(request, answer);
    return answer;
  };
}

/** The rule of `--trust-proxy`, the same that express follows. Throws a TypeError that names a wrong address. */
export function compileTrustedProxies(proxies: readonly string[]): IsTrustedProxy {
  return proxyAddr.compile([...proxies]);
}
