/**
 * Greenroom as a library: the orchestrator with the embedder's tools, prompts and resources, on the embedder's express app.
 *
 * @packageDocumentation
 */
export { createOrchestrator, type Orchestrator, type OrchestratorOptions } from './server/orchestrator.js';
export type { Embedding } from './server/embedding.js';
export type { OpenSession } from './session/embedderView.js';
export type { Additions } from './mcp/features.js';

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
export type { Client, ClientCapabilities, Content, LogLevel } from './tools/client.js';
export { allTools } from './tools/allTools.js';

export { definePrompt, type Prompt, type PromptMessage } from './mcp/definitions.js';
export {
  defineResource,
  type Completer,
  type FeatureContext as OfferContext,
  type Resource,
} from './mcp/definitions.js';
export { allPrompts } from './mcp/prompts.js';

export { ConfigError, type Options } from './config/config.js';
export { Refusal, ToolError } from './errors/errors.js';
export { createLog, silentLog, type Log } from './log.js';
