import type { Tool } from './defineTool.js';
import { mockNetworkTool } from './networkMockTool.js';
import { getNetworkRequestTool } from './networkRequest.js';
import { listNetworkRequestsTool } from './networkRequests.js';
import { listWebSocketFramesTool } from './webSocketFrameTool.js';

/** The tools about what a page asks for and gets. */
export const networkTools: readonly Tool[] = [listNetworkRequestsTool, getNetworkRequestTool, listWebSocketFramesTool, mockNetworkTool];
