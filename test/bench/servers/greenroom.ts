import { createOrchestrator } from '../../../src/orchestrator.js';
import { present } from './serve.js';

/** This server as it is shipped, all of its default tools; the browser is leased when a tool needs it. */
const orchestrator = await createOrchestrator({
  options: { port: 0, lease: 'lazy', maxSessions: 100_000, maxSessionsPerUser: 100_000, idleTimeout: '1h' },
});
const { url } = await orchestrator.listen();
present(url);
