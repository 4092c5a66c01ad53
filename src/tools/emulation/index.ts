import type { Tool } from '../defineTool.js';
import { emulateTool } from './emulate.js';
import { emulateCpuTool } from './emulateCpu.js';
import { emulateNetworkTool } from './emulateNetwork.js';

export const emulationTools: readonly Tool[] = [emulateTool, emulateCpuTool, emulateNetworkTool];
