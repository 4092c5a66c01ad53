import type { SettledRequest } from '../../machines/events.js';
import type { Changes } from '../mcp/changes.js';
import { parseProfileChoice } from '../mcp/clientProfiles.js';
import type { Envelope } from '../mcp/envelope.js';
import type { BrowserHandles, SessionResources } from '../mcp/methodContext.js';
import type { JSONRPCMessage } from '../mcp/protocol.js';
import type { RequestStates } from '../mcp/requestState.js';
import type { Tasks } from '../mcp/tasks.js';
import type { StatelessSessionOptions } from '../mcp/stateless.js';
import { publishTo, type HandleOwner } from '../session/browserHandles.js';
import type { SessionRequest } from '../session/sessionDeps.js';
import { toPrincipal } from '../tenancy/auth.js';
import { principalKey, type Caller } from '../tenancy/principal.js';
import { withBrowserTools } from '../tools/catalogue.js';
import { openMemory, type TransportDeps } from './transport.js';

/** What requests without a session share, over whichever transport. */
export interface StatelessDeps extends Pick<TransportDeps, 'parts' | 'clock' | 'responseMemory'> {
  /** The browsers that a request can name. */
  browsersOf(owner: HandleOwner): BrowserHandles;
  /** What tools without a browser stored for a user. */
  resourcesOf(user: string): SessionResources;
  readonly requestStates: RequestStates;
  readonly allTasks: Tasks;
  readonly changes: Changes;
}

/** One request, and what its address or command line chose. */
interface NewRequest {
  readonly caller: Caller;
  readonly envelope: Envelope;
  readonly choices: Pick<SessionRequest, 'toolSet' | 'groups' | 'profile' | 'browserUrl'>;
  /** The session of the connection, where it has one. */
  readonly sessionId: string | null;
  admitOpening(): Promise<unknown>;
  write(this: void, message: JSONRPCMessage): void;
  settled?(this: void, request: SettledRequest): void;
}

export function statelessOptions(deps: StatelessDeps, added: NewRequest): StatelessSessionOptions {
  const { parts, clock } = deps;
  const { caller, envelope, choices, sessionId, admitOpening, write, settled } = added;
  const principal = toPrincipal(caller);
  const owner = principalKey(principal);
  const toolSet = withBrowserTools(choices.toolSet);
  const { client, clientCapabilities, protocolVersion } = envelope;
  const browsers = deps.browsersOf({
    ...{ ...choices, principal, caller, toolSet, client, clientCapabilities, protocolVersion, sessionId, admitOpening },
  });
  const { serverFeatures, serverInfo, workspace, secrets, profileChoice: operator, prepareBrowser, log } = parts;
  return {
    ...{
      user: principal.user,
      owner,
      requestStates: deps.requestStates,
      allTasks: deps.allTasks,
      toolSet,
      serverFeatures,
      serverInfo,
    },
    ...{ workspace: { ...workspace, owner }, secrets, browsers, prepareBrowser, clock, log, write },
    profileChoices: { operator, connection: parseProfileChoice(choices.profile ?? '') },
    resources: deps.resourcesOf(owner),
    memory: openMemory(deps, { principal }),
    changed: publishTo(deps.changes, owner),
    ...(settled && { settled }),
  };
}
