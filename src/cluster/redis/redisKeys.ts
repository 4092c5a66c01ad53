import { principalKey, type Principal } from '../../tenancy/principal.js';

/**
 * Every key and channel in Redis. The keys of a session have its hash tag, so that one script can read and write them in a
 * Redis Cluster. All of them expire.
 *
 * | key | type | content | time to live |
 * |---|---|---|---|
 * | `greenroom:{sid}` | hash | the entry: issuer, user, node, epoch, state, transport, because, inbox (its bytes) | 10 min, renewed by the owner; once closed, 10 min |
 * | `greenroom:{sid}:inbox` | list | messages from other nodes, in order | as the entry |
 * | `greenroom:{sid}:offer:ID` | string | the message with this id was enqueued | 1 min |
 * | `greenroom:{sid}:reply:ID` | list | pieces of the reply to a message | 1 min after the last |
 * | `greenroom:{sid}:events` | hash | `STREAM.SEQUENCE` and its size | as the entry |
 * | `greenroom:{sid}:order` | sorted set | the same ids by age | as the entry |
 * | `greenroom:{sid}:counts` | hash | last and dropped sequence number and bytes of each stream; count, bytes and order of all | as the entry |
 * | `greenroom:{sid}:snapshot` | string | the snapshot to restore the session from | as the entry |
 * | `greenroom:node:NODE` | string | the node's lease | `--node-lease` |
 *
 * Channel `greenroom:wake:NODE`: hints for a node to read an inbox or a reply. Nothing depends on their arrival. A channel
 * has no hash slot: a message that a script publishes reaches every node of a Redis Cluster.
 */
export function sessionKeys(sessionId: string) {
  const entry = `greenroom:{${sessionId}}`;
  const [inbox, snapshot] = [`${entry}:inbox`, `${entry}:snapshot`];
  const events = [entry, `${entry}:events`, `${entry}:order`, `${entry}:counts`];
  return {
    entry,
    inbox,
    snapshot,
    /** The keys of the event log scripts. */
    events,
    /** The entry first, then every key with the same time to live. */
    all: [...events, inbox, snapshot],
    seenMessage: (messageId: string) => `${entry}:offer:${messageId}`,
    replies: (messageId: string) => `${entry}:reply:${messageId}`,
  };
}

export const nodeKey = (node: string): string => `greenroom:node:${node}`;

export const wakeChannelPrefix = 'greenroom:wake:';

export const wakeChannel = (node: string): string => `${wakeChannelPrefix}${node}`;

/**
 * The keys of the server store; the keys of one group have the same hash tag.
 *
 * | key | type | content | time to live |
 * |---|---|---|---|
 * | `greenroom:rate:WINDOW:WHO` | string | requests of an address or user in this window (rate-limiter-flexible) | the window |
 * | `greenroom:{places}` | sorted set | quota slots of open sessions, by expiry time | two leases, renewed by their nodes |
 * | `greenroom:{places}:ISSUER USER` | sorted set | the quota slots of one user | the same |
 * | `greenroom:{rosters}` | hash | the roster of each node, as JSON | two leases, renewed |
 * | `greenroom:{rosters}:until` | sorted set | the nodes, by the expiry time of their rosters | the same |
 * | `greenroom:creations` | hash | `PART CAUSE`: session creations with this cause in this twelfth of `--alert-window` | a little more than the window |
 * | `greenroom:episode` | string | `ringing` while the alert fires, then `over` until a new episode may begin | the window, renewed; two twelfths |
 * | `greenroom:contexts:BROWSER` | hash | owner of each context in a remote browser: `SESSION NODE`, without a session while the node closes it | a day, renewed by each node that uses it |
 * | `greenroom:state:ID` | string | the `requestState` with this id was used | 10 min |
 * | `greenroom:state-key` | string | the key that signs every `requestState` | none |
 * | `greenroom:file-key` | string | the key that encrypts what tools save in files | none |
 * | `greenroom:task:ID` | string | a task and its owner, as JSON | until its result is forgotten: the deadline of the call and 10 min |
 * | `greenroom:format` | string | the number of this layout of keys; a server that knows only older ones does not join | none |
 * | `greenroom:users` | hash | users with the hashes of their tokens and their browsers: `text`, and its `version` | none |
 * | `greenroom:token-use:ID` | string | when the token with this id was used last, in milliseconds | 400 days |
 *
 * Channel `greenroom:users`: a new version was written. Nothing depends on its arrival.
 * Channel `greenroom:broadcast:changes`: what streams of `subscriptions/listen` are told. Channel `greenroom:broadcast:tasks`:
 * answers and cancellations for the node of a task.
 */
export const quotaKeys = (owner: Principal): [string, string] => [
  'greenroom:{places}',
  `greenroom:{places}:${principalKey(owner)}`,
];

export const rateLimitPrefix = (window: string): string => `greenroom:rate:${window}`;

/** Raised by a change of the keys that an older server would misread. */
export const storeFormat = 1;
export const formatKey = 'greenroom:format';

export const usersKey = 'greenroom:users';
export const tokenUseKey = (tokenId: string): string => `greenroom:token-use:${tokenId}`;
export const usersChannel = 'greenroom:users';

export const rosterKeys = ['greenroom:{rosters}', 'greenroom:{rosters}:until'];

export const contextsKey = (browser: string): string => `greenroom:contexts:${browser}`;

export const requestStateKey = (id: string): string => `greenroom:state:${id}`;
export const signingKeyKey = 'greenroom:state-key';

export const fileKeyKey = 'greenroom:file-key';

export const taskKey = (id: string): string => `greenroom:task:${id}`;
export const broadcastChannel = (name: string): string => `greenroom:broadcast:${name}`;

export const creationsKey = 'greenroom:creations';
export const episodeKey = 'greenroom:episode';
