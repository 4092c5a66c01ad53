import { createOrchestrator } from '../../../src/orchestrator.js';
import { present } from './serve.js';

/** This server as it is shipped, all of its default tools, its limits raised; a browser is leased when a tool needs one. */
const limits = { maxSessions: 100_000, maxSessionsPerUser: 100_000, connectRate: 1e9, requestRate: 1e9 };
const orchestrator = await createOrchestrator({ options: { port: 0, lease: 'lazy', idleTimeout: '1h', ...limits } });
const { url } = await orchestrator.listen();
present(url);
