import type { Tool } from '../defineTool.js';
import { performanceAnalyzeInsightTool } from './analyzeInsight.js';
import { performanceStartTraceTool } from './startTrace.js';
import { performanceStopTraceTool } from './stopTrace.js';

export const performanceTools: readonly Tool[] = [
  performanceStartTraceTool,
  performanceStopTraceTool,
  performanceAnalyzeInsightTool,
];
