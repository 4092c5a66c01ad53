import { z } from 'zod';
import { timeLimit } from '../clock.js';

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
    const metadata = issuerMetadataSchema.safeParse(response.ok ? await response.json() : await response.body?.cancel());
    if (!metadata.success) continue;
    // Else one issuer could speak for another (RFC 8414, 3.3).
    if (metadata.data.issuer !== issuer) throw new Error(`its metadata is that of ${metadata.data.issuer}`);
    return metadata.data.jwks_uri;
  }
  throw new Error('it has no metadata with a jwks_uri');
}
