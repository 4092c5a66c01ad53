import type { Config } from '../config.js';
import type { Log } from '../log.js';
import { createOrchestrator } from '../orchestrator.js';
import type { BrowserPool } from '../browser/lease.js';

export interface Running {
  readonly url: string;
  /** Drains and stops. Idempotent. */
  close(): Promise<void>;
}

/** `greenroom serve`: opens the port and says where. The caller closes it. */
export async function serve(config: Config, pool: BrowserPool, log: Log): Promise<Running> {
  const orchestrator = createOrchestrator({ config, pool, log });
  try {
    const { url } = await orchestrator.listen();
    log.info('ready', { sse: `${url}/sse`, health: `${url}/health`, browser: config.browser, lease: config.lease });
    return { url, close: () => orchestrator.close() };
  } catch (error) {
    await orchestrator.close();
    throw error;
  }
}
