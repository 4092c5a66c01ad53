import type { JWTVerifyGetKey, JWTVerifyOptions } from 'jose';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { type Clock, timeLimit } from '../clock.js';
import { codeOf, messageOf, Refusal } from '../errors/errors.js';
import type { Authenticate } from './auth.js';
import { readBearerToken, unauthorized, hashSecret } from './bearerToken.js';
import { isSubject, type Principal } from './principal.js';
import { metadataUrl, resourceUrl } from './resourceMetadata.js';

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

interface VerifiedToken {
  readonly principal: Principal;
  /** The time from which the token has to be verified again. */
  readonly verifiedUntil: number;
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
const verificationCacheMs = 60_000;
const verificationCacheSize = 1_000;

/**
 * `--auth jwt`: this server as an OAuth 2.1 resource server (RFC 9068, RFC 9728). Checks signature, issuer, audience and
 * expiry; the user is the token's subject. Rejects with `unauthorized`, or `issuer_unreachable` when there are no keys to
 * check with.
 */
export function jwtAuthenticator(options: JwtOptions): Authenticate {
  const { publicUrl, clock } = options;
  const verify = createVerifier(options);
  // Promises, so that messages which come together with a new token keep their order (S4).
  const verifications = new LRUCache<string, Promise<VerifiedToken>>({ max: verificationCacheSize });
  return async ({ headers, path, query }) => {
    const token = readBearerToken(headers);
    const resourceMetadata = metadataUrl(resourceUrl(path, publicUrl, headers));
    if (token === undefined) throw unauthorized({ tokenRejected: false, query, resourceMetadata });
    const key = hashSecret(token);
    try {
      const verifying = verifications.get(key) ?? cacheVerification(verifications, key, verify(token));
      const { principal, verifiedUntil } = await verifying;
      if (clock.now() < verifiedUntil) return principal;
      return (await cacheVerification(verifications, key, verify(token))).principal;
    } catch (error) {
      throw error instanceof Refusal ? error : unauthorized({ tokenRejected: true, resourceMetadata });
    }
  };
}

/** A failure is not kept. */
function cacheVerification(
  verifications: LRUCache<string, Promise<VerifiedToken>>,
  key: string,
  verifying: Promise<VerifiedToken>,
) {
  verifications.set(key, verifying);
  verifying.catch(() => verifications.delete(key));
  return verifying;
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

/** The issuer's public keys, asked for at the first token and again for a key that is new. */
function createKeyResolver(issuer: string, jwksUrl: string | undefined, cooldownDuration: number): JWTVerifyGetKey {
  let finding: Promise<JWTVerifyGetKey> | undefined;
  const find = async (): Promise<JWTVerifyGetKey> => {
    const url = new URL(jwksUrl ?? (await discoverJwksUrl(issuer, keyTimeoutMs)));
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
      if (tokenFaultCodes.has(codeOf(error) ?? '')) throw error;
      throw issuerUnreachable(issuer, error);
    }
  };
}

/** The key set is there, and no key of it fits the token. Everything else is the issuer's fault. */
const tokenFaultCodes: ReadonlySet<string> = new Set([
  'ERR_JWKS_NO_MATCHING_KEY',
  'ERR_JWKS_MULTIPLE_MATCHING_KEYS',
  'ERR_JOSE_NOT_SUPPORTED',
]);

function issuerUnreachable(issuer: string, cause: unknown): Refusal {
  const detail = `The keys of the issuer ${issuer} cannot be had (${messageOf(cause)}). Try again in a moment.`;
  return new Refusal('issuer_unreachable', { detail }, { cause });
}

const issuerMetadataSchema = z.object({ issuer: z.string(), jwks_uri: z.url({ protocol: /^https?$/ }) });

/** Where an issuer's key set is, by its metadata (RFC 8414, 3; else OpenID Connect Discovery 1.0, 4). */
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
    // Else one issuer could speak for another (RFC 8414, 3.3).
    if (metadata.data.issuer !== issuer) throw new Error(`its metadata is that of ${metadata.data.issuer}`);
    return metadata.data.jwks_uri;
  }
  throw new Error('it has no metadata with a jwks_uri');
}
