/**
 * Greenroom as a library: the orchestrator with tools, prompts and resources of one's own, on an express app of one's
 * own.
 *
 * @packageDocumentation
 */
export { createOrchestrator, type Orchestrator, type OrchestratorOptions } from './orchestrator.js';
export type { Embedding } from './orchestrator/embedding.js';
export type { OpenSession } from './session/openSession.js';
export type { Additions } from './mcp/offer.js';

export {
  definePageTool,
  defineTextTool,
  defineTool,
  type Answer,
  type BrowserToolContext,
  type PageToolContext,
  type SessionFacts,
  type TextTool,
  type Tool,
  type ToolAnswer,
  type ToolContext,
} from './tools/defineTool.js';
export type { Client, ClientCapabilities, LogLevel } from './tools/client.js';
export type { Content } from './tools/content.js';
export { allTools } from './tools/index.js';

export { definePrompt, type Prompt, type PromptMessage } from './mcp/definePrompt.js';
export { defineResource, type Completer, type FeatureContext as OfferContext, type Resource } from './mcp/defineResource.js';
export { allPrompts } from './mcp/prompts/index.js';

export { ConfigError, type Options } from './config.js';
export { Refusal, ToolError } from './errors.js';
export { createLog, silentLog, type Log } from './log.js';
