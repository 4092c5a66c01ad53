import { Refusal } from '../errors/errors.js';
import type { AuthConfig } from './auth.js';
import type { Principal } from './principal.js';
import type { Users } from './users.js';

/** The address of the browser that a session works in; undefined: one of the server's. */
export type ChooseBrowser = (principal: Principal, requested: string | null) => Promise<string | undefined>;

/**
 * `?browser=ID` is one of the user's own, `?browser=launch` one of the server's. Without it an authenticated user gets the
 * first of those that are registered for them, if any. Throws `invalid_parameter` for an id that is not theirs.
 */
export function createBrowserChooser({ auth }: Pick<AuthConfig, 'auth'>, users: Users): ChooseBrowser {
  return async ({ user }, requested) => {
    // Without authentication a user is only a name, and the store stays shut until somebody asks for it.
    if (requested === 'launch' || (requested === null && auth === 'none')) return undefined;
    const browsers = await users.browsersOf(user);
    if (requested === null) return browsers[0]?.url;
    const browser = browsers.find(({ id }) => id === requested);
    if (browser !== undefined) return browser.url;
    const known = ['launch', ...browsers.map(({ id }) => id)].join(', ');
    throw new Refusal('invalid_parameter', {
      detail: `"browser" names none of this user's browsers. Known: ${known}.`,
    });
  };
}
