import type { BrowserLease } from '../../src/browser/pool/browserLease.js';
import { systemClock } from '../../src/clock.js';
import { silentLog } from '../../src/log.js';
import { noProfileChoice, profileOf } from '../../src/mcp/clientProfiles.js';
import { compileFeatures } from '../../src/mcp/features.js';
import type { McpSession } from '../../src/mcp/methodContext.js';
import { Secrets } from '../../src/mcp/secrets.js';
import { ResponseMemory } from '../../src/mcp/responseMemory.js';
import { ResourceStore } from '../../src/mcp/resourceStore.js';
import { emptyToolSet } from '../../src/tools/catalogue.js';
import { noBrowsers, noWorkspace, sessionFacts } from '../tools/support/plainSession.js';

/** A call of a client that reads structured answers. */
export const asProgram = {
  profile: profileOf('', noProfileChoice, { fields: { structured: true } }),
  revision: sessionFacts.protocolVersion,
  tolerated: () => undefined,
};

/** A session without a client, for calls that need only its browser lease. */
export function fakeMcpSession(lease: BrowserLease): McpSession {
  return {
    toolSet: emptyToolSet,
    serverFeatures: compileFeatures({ isExtensible: false }),
    serverInfo: { name: 'greenroom', version: '0.0.0' },
    workspace: noWorkspace,
    secrets: new Secrets(),
    memory: new ResponseMemory().open(''),
    resources: new ResourceStore(),
    browsers: noBrowsers,
    profileChoices: { operator: noProfileChoice, connection: noProfileChoice },
    clock: systemClock,
    log: silentLog,
    facts: () => sessionFacts,
    requireBrowserLease: () => lease,
    send: () => undefined,
    requestCancelled: () => undefined,
    suspend: () => undefined,
    requestSettled: () => undefined,
  };
}
