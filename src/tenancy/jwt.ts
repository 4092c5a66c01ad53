import type { JWTVerifyGetKey, JWTVerifyOptions } from 'jose';
import { LRUCache } from 'lru-cache';
import type { Clock } from '../clock.js';
import { codeOf, messageOf, Refusal } from '../errors.js';
import type { Authenticate } from './auth.js';
import { bearerOf, unauthorized } from './bearer.js';
import { findKeySet } from './issuer.js';
import { isSubject, type Principal } from './principal.js';
import { metadataUrl, resourceOf } from './resource.js';
import { hashOf } from './token.js';

export interface JwtOptions {
  readonly issuer: string;
  readonly audience: readonly string[];
  /** Default: what the issuer's metadata names. */
  readonly jwksUrl?: string | undefined;
  /** How clients reach this server. Default: as the request names it. */
  readonly publicUrl?: string | undefined;
  readonly clock: Clock;
  /** How long a key that is not known is not asked for again. */
  readonly keyCooldownMs?: number;
}

interface Verified {
  readonly principal: Principal;
  /** The time from which the token has to be verified again. */
  readonly until: number;
}

/** Signatures that a public key checks. With a shared secret, whoever can check tokens could make them. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const clockToleranceS = 5;
const keyTimeoutMs = 5_000;
/** How long a verified token is taken at its word: no longer than a key that was withdrawn may go on being believed. */
const rememberedMs = 60_000;
const rememberedTokens = 1_000;

/**
 * `--auth jwt`: this server as an OAuth 2.1 resource server (RFC 9068, RFC 9728). Checks signature, issuer, audience and
 * expiry; the user is the token's subject. Rejects with `unauthorized`, or `issuer_unreachable` when there are no keys to
 * check with.
 */
export function authenticateJwt(options: JwtOptions): Authenticate {
  const { publicUrl, clock } = options;
  const verify = verifier(options);
  // Promises, so that messages which come together with a new token keep their order (S4).
  const known = new LRUCache<string, Promise<Verified>>({ max: rememberedTokens });
  return async ({ headers, path, query }) => {
    const token = bearerOf(headers);
    const resourceMetadata = metadataUrl(resourceOf(path, publicUrl, headers));
    if (token === undefined) throw unauthorized({ wrong: false, query, resourceMetadata });
    const key = hashOf(token);
    try {
      const verifying = known.get(key) ?? remember(known, key, verify(token));
      const { principal, until } = await verifying;
      if (clock.now() < until) return principal;
      return (await remember(known, key, verify(token))).principal;
    } catch (error) {
      throw error instanceof Refusal ? error : unauthorized({ wrong: true, resourceMetadata });
    }
  };
}

/** A failure is not kept. */
function remember(known: LRUCache<string, Promise<Verified>>, key: string, verifying: Promise<Verified>) {
  known.set(key, verifying);
  verifying.catch(() => known.delete(key));
  return verifying;
}

function verifier({ issuer, audience, jwksUrl, clock, keyCooldownMs = 5_000 }: JwtOptions) {
  const keyOf = keysOf(issuer, jwksUrl, keyCooldownMs);
  return async (token: string): Promise<Verified> => {
    const checks: JWTVerifyOptions = {
      issuer,
      audience: [...audience],
      algorithms,
      clockTolerance: clockToleranceS,
      currentDate: new Date(clock.now()),
      requiredClaims: ['sub', 'exp'],
    };
    const { jwtVerify } = await import('jose');
    const { payload } = await jwtVerify(token, keyOf, checks);
    const { sub = '', exp = 0 } = payload;
    if (typeof sub !== 'string' || !isSubject(sub)) throw new Error('The subject is not usable.');
    const expiresAt = (exp + clockToleranceS) * 1_000;
    return { principal: { issuer, user: sub, expiresAt }, until: Math.min(expiresAt, clock.now() + rememberedMs) };
  };
}

/** The issuer's public keys, asked for at the first token and again for a key that is new. */
function keysOf(issuer: string, jwksUrl: string | undefined, cooldownDuration: number): JWTVerifyGetKey {
  let finding: Promise<JWTVerifyGetKey> | undefined;
  const find = async (): Promise<JWTVerifyGetKey> => {
    const url = new URL(jwksUrl ?? (await findKeySet(issuer, keyTimeoutMs)));
    const { createRemoteJWKSet } = await import('jose');
    return createRemoteJWKSet(url, { timeoutDuration: keyTimeoutMs, cooldownDuration });
  };
  return async (header, token) => {
    try {
      finding ??= find();
      const keys = await finding.catch((error: unknown) => {
        finding = undefined;
        throw error;
      });
      return await keys(header, token);
    } catch (error) {
      if (tokensFault.has(codeOf(error) ?? '')) throw error;
      throw unreachable(issuer, error);
    }
  };
}

/** The key set is there, and no key of it fits the token. Everything else is the issuer's fault. */
const tokensFault: ReadonlySet<string> = new Set([
  'ERR_JWKS_NO_MATCHING_KEY',
  'ERR_JWKS_MULTIPLE_MATCHING_KEYS',
  'ERR_JOSE_NOT_SUPPORTED',
]);

function unreachable(issuer: string, cause: unknown): Refusal {
  const detail = `The keys of the issuer ${issuer} cannot be had (${messageOf(cause)}). Try again in a moment.`;
  return new Refusal('issuer_unreachable', { detail }, { cause });
}
