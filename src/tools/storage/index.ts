import type { Tool } from '../defineTool.js';
import { inspectPageStorageTool } from './inspectPageStorage.js';
import { setPageStorageTool } from './setPageStorage.js';

export const storageTools: readonly Tool[] = [inspectPageStorageTool, setPageStorageTool];
