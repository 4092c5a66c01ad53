import type { Clock } from '../clock.js';
import type { Config } from '../config/config.js';
import { createAuthenticator, type Authenticate, createOperatorCheck, type IsOperator } from './auth.js';
import {
  createAddressResolver,
  type ResolveAddress,
  createBrowserChooser,
  type ChooseBrowser,
} from './userBrowsers.js';
import type { VersionedText } from './sharedUserStore.js';
import { Users } from './users.js';

/** Who may do what, as configured. Made by the orchestrator, which closes `users` last. */
export interface Tenancy {
  readonly users: Users;
  authenticate: Authenticate;
  isOperator: IsOperator;
  chooseBrowser: ChooseBrowser;
  /** Checks where users' browsers are. */
  resolveAddress: ResolveAddress;
  /** Who gives the tokens that are asked for, if it is an OAuth issuer. */
  readonly jwtIssuer: string | undefined;
  /** How clients reach this server, where it is not as the request names it. */
  readonly publicUrl: string | undefined;
}

/**
 * With authentication the store is opened now, else when it is first asked for. Throws a `UserStoreError`. `shared`: where many
 * nodes keep their users, instead of the folder.
 */
export async function openTenancy(config: Config, clock: Clock, shared?: VersionedText): Promise<Tenancy> {
  const users = new Users({ folder: config.dataDir, shared, clock });
  if (config.auth !== 'none') await users.open();
  return {
    users,
    authenticate: createAuthenticator(config, users, clock),
    isOperator: createOperatorCheck(config),
    chooseBrowser: createBrowserChooser(config, users),
    resolveAddress: createAddressResolver(config.allowBrowserAddresses),
    jwtIssuer: config.auth === 'jwt' ? config.jwtIssuer : undefined,
    publicUrl: config.publicUrl,
  };
}
