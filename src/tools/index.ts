import type { Tool } from './defineTool.js';

/** Every tool of this package. */
export const allTools: readonly Tool[] = [];
