import type { Tool } from '../defineTool.js';
import { compareHeapsnapshotsTool } from './compareHeapsnapshots.js';
import { getHeapsnapshotSummaryTool } from './getHeapsnapshotSummary.js';
import { takeHeapsnapshotTool } from './takeHeapsnapshot.js';

export const memoryTools: readonly Tool[] = [
  takeHeapsnapshotTool,
  getHeapsnapshotSummaryTool,
  compareHeapsnapshotsTool,
];
