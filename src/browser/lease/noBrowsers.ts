import { Refusal } from '../../errors/errors.js';
import type { BrowserPool } from '../pool/browserLease.js';

const noBrowserDetail = 'This server has no browser: none of the tools that it was made with needs one.';

/** The pool of a server whose tools need no browser: nothing is started, and nothing is left behind. */
export const noBrowserPool: BrowserPool = {
  lease: () => ({
    current: undefined,
    browserId: undefined,
    browser: () => Promise.reject(new Refusal('browser_failed', { detail: noBrowserDetail })),
    check: () => Promise.resolve(),
    release: () => Promise.resolve(),
  }),
  isFull: false,
  health: () => ({ total: 0, ready: 0, connecting: 0, lost: 0, failed: 0, contexts: 0, queued: 0 }),
  memory: () => Promise.resolve(0),
  close: () => Promise.resolve(),
};
