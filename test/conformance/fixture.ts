import { createOrchestrator, type Orchestrator } from '../../src/index.js';
import { conformancePrompts, conformanceResources } from './offers.js';
import { conformanceTools } from './tools.js';

/** The server that the official conformance suite expects, made with the library and nothing else. The caller closes it. */
export function createFixture(port: number): Promise<Orchestrator> {
  return createOrchestrator({
    serverInfo: { name: 'greenroom-conformance', version: '1.0.0' },
    tools: conformanceTools,
    prompts: conformancePrompts,
    resources: conformanceResources,
    options: { port, maxSessionsPerUser: 100 },
  });
}
