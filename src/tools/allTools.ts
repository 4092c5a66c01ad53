import { consoleTools } from './consoleTools.js';
import type { Tool } from './defineTool.js';
import { emulationTools } from './emulation/index.js';
import { extensionTools } from './extensions/index.js';
import { inputTools } from './input/index.js';
import { lookTools } from './lookTools.js';
import { memoryTools } from './memory/index.js';
import { navigationTools } from './navigationTools.js';
import { networkTools } from './networkTools.js';
import { pageTools } from './pageTools.js';
import { performanceTools } from './performance/index.js';
import { sessionTools } from './sessionTools.js';
import { storageTools } from './storage/index.js';

/** Every tool of this package, in the order in which clients list them. */
export const allTools: readonly Tool[] = [
  ...sessionTools,
  ...pageTools,
  ...navigationTools,
  ...lookTools,
  ...inputTools,
  ...consoleTools,
  ...networkTools,
  ...performanceTools,
  ...memoryTools,
  ...emulationTools,
  ...storageTools,
  ...extensionTools,
];
