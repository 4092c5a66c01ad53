import type { Tool } from './defineTool.js';
import { mockNetwork } from './networkMocks.js';
import { getNetworkRequest } from './networkRequest.js';
import { listNetworkRequests } from './networkRequests.js';
import { listWebSocketFrames } from './webSocketFrames.js';

/** The tools about what a page asks for and gets. */
export const networkTools: readonly Tool[] = [listNetworkRequests, getNetworkRequest, listWebSocketFrames, mockNetwork];
