import type { Tool } from '../defineTool.js';
import { fillFormTool, fillTool, uploadFileTool } from './fields.js';
import { pressKeyTool, typeTextTool } from './keys.js';
import { clickTool, dragTool, hoverTool } from '../inputTools.js';

export const inputTools: readonly Tool[] = [
  clickTool,
  hoverTool,
  dragTool,
  fillTool,
  fillFormTool,
  uploadFileTool,
  pressKeyTool,
  typeTextTool,
];
