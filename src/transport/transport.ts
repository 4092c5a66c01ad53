import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import type { Channel } from '../session/channel.js';

/**
 * The contract of every transport: the SDK's `Transport`, so that anything which speaks it can be put behind one of ours,
 * and the session's `Channel`, which adds the one thing the SDK lacks: `start()` opens without telling the client anything,
 * `announce()` tells it.
 *
 * Owned by whoever accepted the connection; ended by its session (`end`) or by either side closing it (`close`). `onclose`
 * fires exactly once, however it ends, and nothing is written afterwards (S7).
 */
export interface SessionTransport extends Transport, Channel {}
