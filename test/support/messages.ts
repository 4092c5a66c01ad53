import type { RequestId } from '../../src/mcp/protocol.js';

/** The plainest request. */
export const ping = (id: RequestId) => ({ jsonrpc: '2.0', id, method: 'ping' });

/** A call of a tool. */
export const call = (id: RequestId, name: string, args: object = {}) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
});

/** What a client says first. */
export const initialize = (id: RequestId, protocolVersion = '2025-11-25') => ({
  jsonrpc: '2.0',
  id,
  method: 'initialize',
  params: { protocolVersion, capabilities: {}, clientInfo: { name: 'raw', version: '1' } },
});

/** What it says when it was answered. */
export const initialized = { jsonrpc: '2.0', method: 'notifications/initialized' };
