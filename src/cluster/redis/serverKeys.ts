import { principalKey, type Principal } from '../../tenancy/principal.js';

/**
 * The keys of what nodes share beside the sessions, each group with a hash tag of its own.
 *
 * | key | type | what | time to live |
 * |---|---|---|---|
 * | `greenroom:rate:WINDOW:WHO` | string | how often somebody asked in this window (rate-limiter-flexible) | the window |
 * | `greenroom:{places}` | sorted set | places of open sessions, by until when they count | two leases, renewed by their nodes |
 * | `greenroom:{places}:ISSUER USER` | sorted set | those of one user | the same |
 * | `greenroom:{rosters}` | hash | what each node tells of its sessions, as JSON | two leases, renewed |
 * | `greenroom:{rosters}:until` | sorted set | the nodes, by until when that holds | the same |
 * | `greenroom:creations` | hash | `PART CAUSE`: how many creations ended so in this twelfth of `--alert-window` | a little more than the window |
 * | `greenroom:episode` | string | `ringing` while the alarm does, `over` for a moment after | the window, renewed; two twelfths |
 * | `greenroom:contexts:BROWSER` | hash | whose each context is in a browser that runs elsewhere: `SESSION NODE`, without a session when the node closes it | a day, renewed by each node that uses it |
 * | `greenroom:users` | hash | users with the hashes of their tokens and their browsers: `text`, and its `version` | for good |
 *
 * Channel `greenroom:users`: there is a new version. Nothing depends on its arrival.
 */
export const quotaKeys = (owner: Principal): [string, string] => [
  'greenroom:{places}',
  `greenroom:{places}:${principalKey(owner)}`,
];

export const rateLimitPrefix = (window: string): string => `greenroom:rate:${window}`;

export const usersKey = 'greenroom:users';
export const usersChannel = 'greenroom:users';

export const rosterKeys = ['greenroom:{rosters}', 'greenroom:{rosters}:until'];

export const contextsKey = (browser: string): string => `greenroom:contexts:${browser}`;

export const creationsKey = 'greenroom:creations';
export const episodeKey = 'greenroom:episode';
