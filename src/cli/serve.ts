import type { Config } from '../config.js';
import type { Log } from '../log.js';
import { createOrchestrator, type OrchestratorOptions } from '../orchestrator.js';

export interface Running {
  readonly url: string;
  /** Drains and stops. Idempotent. */
  close(): Promise<void>;
}

/** Opens the port and says where. The caller closes it. */
export async function serve(config: Config, search: OrchestratorOptions['search'], log: Log): Promise<Running> {
  const orchestrator = await createOrchestrator({ config, log, ...(search && { search }) });
  try {
    const { url } = await orchestrator.listen();
    log.info('ready', { sse: `${url}/sse`, health: `${url}/health`, browser: config.browser, lease: config.lease });
    return { url, close: () => orchestrator.close() };
  } catch (error) {
    await orchestrator.close();
    throw error;
  }
}
