import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { createAuthenticator, createFiguresCheck, createOperatorCheck, type IsOperator } from './auth.js';
import type { Authenticate } from './bearerToken.js';
import {
  createAddressResolver,
  type ResolveAddress,
  createBrowserChooser,
  type ChooseBrowser,
} from './userBrowsers.js';
import type { VersionedText } from './sharedUserStore.js';
import { Users } from './users.js';

/** Authentication, users and their browsers, as configured. Owned by the orchestrator, which closes `users` last. */
export interface Tenancy {
  readonly users: Users;
  authenticate: Authenticate;
  isOperator: IsOperator;
  /** Of `/metrics` and `/health`. */
  mayReadFigures: IsOperator;
  chooseBrowser: ChooseBrowser;
  /** Checks the addresses of users' browsers. */
  resolveAddress: ResolveAddress;
  /** The OAuth issuer, with `--auth jwt`. */
  readonly jwtIssuer: string | undefined;
  /** The `--public-url`, if clients reach this server by another address than the request names. */
  readonly publicUrl: string | undefined;
}

/**
 * With authentication the user store is opened now, else at its first use. Throws a `UserStoreError`. `shared`: the store of
 * the nodes, used instead of the folder.
 */
export async function openTenancy(config: Config, clock: Clock, shared?: VersionedText): Promise<Tenancy> {
  const users = new Users({ folder: config.dataDir, shared, clock });
  if (config.auth !== 'none') await users.open();
  return {
    users,
    authenticate: createAuthenticator(config, users, clock),
    isOperator: createOperatorCheck(config),
    mayReadFigures: createFiguresCheck(config),
    chooseBrowser: createBrowserChooser(config, users),
    resolveAddress: createAddressResolver(config.allowBrowserAddresses),
    jwtIssuer: config.auth === 'jwt' ? config.jwtIssuer : undefined,
    publicUrl: config.publicUrl,
  };
}
