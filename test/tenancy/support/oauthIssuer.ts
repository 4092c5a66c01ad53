import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK, type JWTPayload } from 'jose';

interface SigningKey {
  readonly id: string;
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

type Claims = { readonly [Name in keyof JWTPayload]?: JWTPayload[Name] | undefined };

/** A small OAuth issuer on loopback: metadata, key set, and tokens as the test wants them. The test stops it. */
export class OAuthIssuer {
  readonly #http: Server;
  readonly #keys: SigningKey[] = [];
  #port = 0;
  /** Requests of the key set so far. */
  keySetReads = 0;
  /** What the metadata claims to be, if not the truth. */
  claimedIssuer: string | undefined;

  constructor() {
    this.#http = createServer((request, response) => {
      const content = this.#answer(request.url ?? '');
      response.writeHead(content === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(content ?? {}));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<this> {
    await once(this.#http.listen(this.#port, '127.0.0.1'), 'listening');
    this.#port = (this.#http.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    this.#http.closeAllConnections();
    await once(this.#http.close(), 'close');
  }

  /** Signs with a new key from now on; the key set names it, and the older ones unless they are withdrawn. */
  async rotate(algorithm = 'ES256', { withdraw = false } = {}): Promise<void> {
    if (withdraw) this.#keys.length = 0;
    const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
    const id = `key-${Math.random().toString(36).slice(2)}`;
    this.#keys.push({
      id,
      algorithm,
      privateKey,
      publicJwk: { ...(await exportJWK(publicKey)), kid: id, alg: algorithm },
    });
  }

  /** A token that is right in everything that `claims` does not change; `undefined` leaves a claim out. */
  sign(claims: Claims = {}, now = Date.now()): Promise<string> {
    const key = this.#keys.at(-1);
    if (key === undefined) throw new Error('rotate() first');
    const seconds = Math.floor(now / 1_000);
    const right = { iss: this.url, sub: 'anna', aud: 'https://mcp.example', iat: seconds, exp: seconds + 300 };
    // A claim that is undefined is left out by JSON.
    const payload: JWTPayload = JSON.parse(JSON.stringify({ ...right, ...claims })) as JWTPayload;
    return new SignJWT(payload).setProtectedHeader({ alg: key.algorithm, kid: key.id }).sign(key.privateKey);
  }

  #answer(path: string): object | undefined {
    if (path === '/.well-known/openid-configuration') {
      return { issuer: this.claimedIssuer ?? this.url, jwks_uri: `${this.url}/keys` };
    }
    if (path !== '/keys') return undefined;
    this.keySetReads += 1;
    return { keys: this.#keys.map(({ publicJwk }) => publicJwk) };
  }
}
