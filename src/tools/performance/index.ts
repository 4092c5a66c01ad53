import type { Tool } from '../defineTool.js';
import { analyzeInsightTool } from './analyzeInsight.js';
import { startTraceTool } from './startTrace.js';
import { stopTraceTool } from './stopTrace.js';

export const performanceTools: readonly Tool[] = [
  startTraceTool,
  stopTraceTool,
  analyzeInsightTool,
];
