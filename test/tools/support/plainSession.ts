import { noCapabilities } from '../../../src/mcp/callClient.js';
import type { BrowserHandles } from '../../../src/mcp/methodContext.js';
import type { Client } from '../../../src/tools/client.js';
import { FileEncryption } from '../../../src/tools/encryptedFiles.js';
import type { Workspace } from '../../../src/tools/workspace.js';
import type { SessionFacts } from '../../../src/tools/defineTool.js';

export const sessionFacts: SessionFacts = {
  id: 'session-of-a-test',
  user: 'local',
  transport: 'sse',
  state: 'active',
  createdAt: new Date(0),
  client: { name: 'test', version: '1.0.0' },
  protocolVersion: '2025-06-18',
  toolCalls: 3,
  lease: 'eager',
  browserState: 'ready',
};

/** A user who has no browser beside that of the session. */
export const noBrowsers: BrowserHandles = {
  idleTimeoutMs: 1_800_000,
  open: () => Promise.reject(new Error('not asked')),
  close: () => Promise.reject(new Error('not asked')),
  list: () => Promise.resolve([]),
  forward: () => Promise.reject(new Error('not asked')),
  resources: () => [],
};

/** No folder, and a key that no test needs. */
export const noWorkspace: Workspace = {
  ...{ folders: [], closed: [], owner: 'local local' },
  encryption: new FileEncryption('/nowhere'),
};

/** A client that declared nothing, so that no tool asks it for anything. */
export const plainClient: Client = {
  capabilities: noCapabilities,
  createMessage: () => Promise.reject(new Error('not asked')),
  elicit: () => Promise.reject(new Error('not asked')),
  elicitUrl: () => Promise.reject(new Error('not asked')),
  elicitationCompleted: () => undefined,
  listRoots: () => Promise.reject(new Error('not asked')),
  log: () => undefined,
  suspend: () => undefined,
};
