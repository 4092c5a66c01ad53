import { principalKey, type Principal } from '../../tenancy/principal.js';

/**
 * Every key and channel in Redis. All of a session have its hash tag, so that one script can read and write them in a
 * Redis Cluster; all expire by themselves.
 *
 * | key | type | what | time to live |
 * |---|---|---|---|
 * | `greenroom:{sid}` | hash | the entry: issuer, user, node, epoch, state, transport, because, inbox (bytes that wait) | 10 min, renewed by the owner; once closed, 10 min |
 * | `greenroom:{sid}:inbox` | list | offers of other nodes, in order | as the entry |
 * | `greenroom:{sid}:offer:ID` | string | this offer was made | 1 min |
 * | `greenroom:{sid}:reply:ID` | list | pieces of the answer to an offer | 1 min after the last |
 * | `greenroom:{sid}:events` | hash | `STREAM.PLACE` and its size | as the entry |
 * | `greenroom:{sid}:order` | sorted set | the same ids by age | as the entry |
 * | `greenroom:{sid}:counts` | hash | last and dropped place and bytes of each stream; count, bytes and order of all | as the entry |
 * | `greenroom:{sid}:snapshot` | string | what the session can be restored from | as the entry |
 * | `greenroom:node:NODE` | string | the node's lease | `--node-lease` |
 *
 * Channel `greenroom:wake:NODE`: hints that something waits for a node. Nothing depends on their arrival. A channel is no
 * key: what a script publishes in its slot is heard at every node of a cluster.
 */
export function sessionKeys(sessionId: string) {
  const entry = `greenroom:{${sessionId}}`;
  const [inbox, snapshot] = [`${entry}:inbox`, `${entry}:snapshot`];
  const events = [entry, `${entry}:events`, `${entry}:order`, `${entry}:counts`];
  return {
    entry,
    inbox,
    snapshot,
    /** What the scripts of the event log work on. */
    events,
    /** What lives as long as the entry; the entry first. */
    all: [...events, inbox, snapshot],
    offer: (id: string) => `${entry}:offer:${id}`,
    replies: (offerId: string) => `${entry}:reply:${offerId}`,
  };
}

export const nodeKey = (node: string): string => `greenroom:node:${node}`;

/** What the channels of all nodes begin with. */
export const wakeChannelPrefix = 'greenroom:wake:';

export const wakeChannel = (node: string): string => `${wakeChannelPrefix}${node}`;

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
