import type { IncomingMessage } from 'node:http';
import proxyAddr from 'proxy-addr';
import { Refusal } from '../errors/errors.js';
import { toPrincipal } from '../tenancy/auth.js';
import { readCredentials, type Authenticate } from '../tenancy/bearerToken.js';
import type { Caller } from '../tenancy/principal.js';
import type { RateLimits } from '../tenancy/rateLimits.js';

/**
 * Admits a request or an upgrade after the host/origin policy, or throws a Refusal: first authentication, then the rate
 * limit. Runs before any body is read. The limits on open sessions follow in `SessionRegistry.open`.
 */
export type Admit = (request: IncomingMessage, purpose: 'connection' | 'message') => Promise<Caller>;

/** Whether the address, `hop` hops away from this server, is a trusted proxy. */
export type IsTrustedProxy = (address: string, hop: number) => boolean;

export interface AdmissionDeps {
  readonly authenticate: Authenticate;
  readonly rateLimits: Pick<RateLimits, 'countConnection' | 'countMessages'>;
  readonly isTrustedProxy: IsTrustedProxy;
  /** A session was refused before its creation because the store is unreachable: it counts as a failed creation. */
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
  // A request is counted once for each purpose, however often it is checked.
  const admissions = {
    connection: new WeakMap<IncomingMessage, Promise<Caller>>(),
    message: new WeakMap<IncomingMessage, Promise<Caller>>(),
  };
  return (request, purpose) => {
    const admission = admissions[purpose].get(request) ?? admit(request, purpose);
    admissions[purpose].set(request, admission);
    return admission;
  };
}

/** Compiles `--trust-proxy` with the rules of Express. Throws a TypeError that names the invalid address. */
export function compileTrustedProxies(proxies: readonly string[]): IsTrustedProxy {
  return proxyAddr.compile([...proxies]);
}
