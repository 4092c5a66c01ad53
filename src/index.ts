/**
 * Greenroom as a library: the orchestrator with tools of one's own, on an express app of one's own.
 *
 * @packageDocumentation
 */
export { createOrchestrator, type Orchestrator, type OrchestratorOptions } from './orchestrator.js';
