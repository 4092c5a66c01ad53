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
