import type { JWTVerifyGetKey, JWTVerifyOptions } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Clock, timeLimit } from '../clock.js';
import { codeOf, messageOf, Refusal } from '../errors/errors.js';
import { readBearerToken, unauthorized, hashSecret, type Authenticate } from './bearerToken.js';
import { isSubject, type Principal } from './principal.js';
import { metadataUrl } from './resourceMetadata.js';

export interface JwtOptions {
  readonly issuer: string;
  readonly audience: readonly string[];
  /** Default: the URL in the issuer's metadata. */
  readonly jwksUrl?: string | undefined;
  /** The address at which clients reach this server. Default: the Host of the request. */
  readonly publicUrl?: string | undefined;
  readonly clock: Clock;
  /** The minimum time between two fetches of the key set. */
  readonly keyCooldownMs?: number;
}

interface VerifiedToken {
  readonly principal: Principal;
  /** The time until which the verification is cached. */
  readonly verifiedUntil: number;
}

/** Asymmetric signatures only: with a shared secret, every server that verifies tokens could also issue them. */
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
/** How long a verification is cached: no longer than a withdrawn key may stay trusted. */
const verificationCacheMs = 60_000;
const verificationCacheSize = 1_000;

/**
 * `--auth jwt`: this server as an OAuth 2.1 resource server (RFC 9068, RFC 9728). Checks signature, issuer, audience and
 * expiry; the user is the token's subject. Rejects with `unauthorized`, or `issuer_unreachable` when the keys cannot be
 * fetched.
 */
export function jwtAuthenticator(options: JwtOptions): Authenticate {
  const { publicUrl, clock } = options;
  const verify = createVerifier(options);
  // Caches promises: concurrent messages with a new token share one verification and keep their order (S4).
  const verifications = new LRUCache<string, Promise<VerifiedToken>>({ max: verificationCacheSize });
  return async ({ headers, path, query }) => {
    const token = readBearerToken(headers);
    const resourceMetadata = metadataUrl(path, publicUrl, headers);
    if (token === undefined) throw unauthorized({ tokenRejected: false, query, resourceMetadata });
    const key = hashSecret(token);
    try {
      const verification = verifications.get(key) ?? cacheVerification(verifications, key, verify(token));
      const { principal, verifiedUntil } = await verification;
      if (clock.now() < verifiedUntil) return principal;
      return (await cacheVerification(verifications, key, verify(token))).principal;
    } catch (error) {
      throw error instanceof Refusal ? error : unauthorized({ tokenRejected: true, resourceMetadata });
    }
  };
}

/** Failures are not cached. */
function cacheVerification(
  verifications: LRUCache<string, Promise<VerifiedToken>>,
  key: string,
  verification: Promise<VerifiedToken>,
) {
  verifications.set(key, verification);
  verification.catch(() => verifications.delete(key));
  return verification;
}

function createVerifier({ issuer, audience, jwksUrl, clock, keyCooldownMs = 5_000 }: JwtOptions) {
  const resolveKey = createKeyResolver(issuer, jwksUrl, keyCooldownMs);
  return async (token: string): Promise<VerifiedToken> => {
    const checks: JWTVerifyOptions = {
      issuer,
      audience: [...audience],
      algorithms,
      clockTolerance: clockToleranceS,
      currentDate: new Date(clock.now()),
      requiredClaims: ['sub', 'exp'],
    };
    const { jwtVerify } = await import('jose');
    const { payload } = await jwtVerify(token, resolveKey, checks);
    const { sub = '', exp = 0 } = payload;
    if (typeof sub !== 'string' || !isSubject(sub)) throw new Error('The subject is not usable.');
    const expiresAt = (exp + clockToleranceS) * 1_000;
    return {
      principal: { issuer, user: sub, expiresAt },
      verifiedUntil: Math.min(expiresAt, clock.now() + verificationCacheMs),
    };
  };
}

/** Resolves keys from the issuer's key set, which is fetched at the first token and again for an unknown key. */
function createKeyResolver(issuer: string, jwksUrl: string | undefined, cooldownDuration: number): JWTVerifyGetKey {
  let keySet: Promise<JWTVerifyGetKey> | undefined;
  const openKeySet = async (): Promise<JWTVerifyGetKey> => {
    const url = new URL(jwksUrl ?? (await discoverJwksUrl(issuer, keyTimeoutMs)));
    const { createRemoteJWKSet } = await import('jose');
    return createRemoteJWKSet(url, { timeoutDuration: keyTimeoutMs, cooldownDuration });
  };
  return async (header, token) => {
    try {
      keySet ??= openKeySet();
      const resolveKey = await keySet.catch((error: unknown) => {
        keySet = undefined;
        throw error;
      });
      return await resolveKey(header, token);
    } catch (error) {
      if (tokenFaultCodes.has(codeOf(error) ?? '')) throw error;
      throw issuerUnreachable(issuer, error);
    }
  };
}

/** The key set was fetched, and no key in it matches the token. Every other error counts as an unreachable issuer. */
const tokenFaultCodes: ReadonlySet<string> = new Set([
  'ERR_JWKS_NO_MATCHING_KEY',
  'ERR_JWKS_MULTIPLE_MATCHING_KEYS',
  'ERR_JOSE_NOT_SUPPORTED',
]);

function issuerUnreachable(issuer: string, cause: unknown): Refusal {
  const detail = `The keys of the issuer ${issuer} cannot be fetched (${messageOf(cause)}). Try again in a moment.`;
  return new Refusal('issuer_unreachable', { detail }, { cause });
}

const issuerMetadataSchema = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https?$/ }) });

/** The URL of an issuer's key set, from its metadata (RFC 8414, 3; else OpenID Connect Discovery 1.0, 4). */
export async function discoverJwksUrl(issuer: string, timeoutMs: number): Promise<string> {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const addresses = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ];
  const signal = timeLimit(timeoutMs);
  for (const address of addresses) {
    const response = await fetch(address, { signal, redirect: 'error', headers: { accept: 'application/json' } });
    const metadata = issuerMetadataSchema.safeParse(
      response.ok ? await response.json() : await response.body?.cancel(),
    );
    if (!metadata.success) continue;
    // Without this check one issuer could impersonate another (RFC 8414, 3.3).
    if (metadata.data.issuer !== issuer) throw new Error(`its metadata is that of ${metadata.data.issuer}`);
    return metadata.data.jwks_uri;
  }
  throw new Error('it has no metadata with a jwks_uri');
}
