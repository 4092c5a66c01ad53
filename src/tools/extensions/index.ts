import type { Tool } from '../defineTool.js';
import { activateServiceWorkerTool } from './activateServiceWorker.js';
import { evaluateInExtensionTool } from './evaluateInExtension.js';
import { installExtensionTool } from './installExtension.js';
import { listExtensionsTool } from './listExtensions.js';

export const extensionTools: readonly Tool[] = [
  installExtensionTool,
  listExtensionsTool,
  evaluateInExtensionTool,
  activateServiceWorkerTool,
];
