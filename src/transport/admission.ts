import type { IncomingMessage } from 'node:http';
import proxyAddr from 'proxy-addr';
import { Refusal } from '../errors.js';
import { principalOf, type Authenticate } from '../tenancy/auth.js';
import type { Caller } from '../tenancy/principal.js';
import type { RateLimits } from '../tenancy/rateLimits.js';
import { credentialsOf } from './transport.js';

/**
 * Lets a request or an upgrade in that passed the doors, or throws why not: first who asks, then how often. The caps on
 * what is open at once come last, in `SessionRegistry.open`. Nothing of a body is read before.
 */
export type Admit = (request: IncomingMessage, asks: 'connection' | 'message') => Promise<Caller>;

/** Whether an address, so many hops away, is a proxy whose word is believed. */
export type IsTrusted = (address: string, hop: number) => boolean;

export interface AdmissionOptions {
  readonly authenticate: Authenticate;
  readonly limits: Pick<RateLimits, 'connection' | 'message'>;
  readonly isTrusted: IsTrusted;
  /** A client that asked for a session was turned away before there was one, and not for anything that it did. */
  failed(): void;
}

export function createAdmission({ authenticate, limits, isTrusted, failed }: AdmissionOptions): Admit {
  const letIn: Admit = async (request, asks) => {
    const caller = await authenticate(credentialsOf(request));
    const principal = principalOf(caller);
    if (asks === 'message') await limits.message(principal);
    else await limits.connection(principal, proxyAddr(request, isTrusted)).catch(told);
    return caller;
  };
  const told = (error: unknown): never => {
    if (error instanceof Refusal && error.reason === 'store_unreachable') failed();
    throw error;
  };
  // Who asks twice about a request hears the same, and it is counted once.
  const asked = new WeakMap<IncomingMessage, Promise<Caller>>();
  return (request, asks) => {
    const answer = asked.get(request) ?? letIn(request, asks);
    asked.set(request, answer);
    return answer;
  };
}

/** The rule of `--trust-proxy`, the same that express follows. Throws a TypeError that names a wrong address. */
export function trustedProxies(proxies: readonly string[]): IsTrusted {
  return proxyAddr.compile([...proxies]);
}
