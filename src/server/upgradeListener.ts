import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { Refusal } from '../errors/errors.js';
import type { Log } from '../log.js';
import type { ObservationHandler } from '../telemetry/observer.js';
import { createHostOriginPolicy } from '../transport/hostOriginPolicy.js';
import { assignRequestIds, continueTrace } from '../transport/requestContext.js';
import { PendingUpgrade } from '../transport/pendingUpgrade.js';
import { createWebSocketHandler, type WebSocketDeps } from '../transport/webSocket.js';
import { toLoggedRefusal } from './routing.js';

export interface UpgradeDeps extends WebSocketDeps {
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly log: Log;
  /** Hears of refusals. */
  readonly observe: ObservationHandler;
}

/** What a server's `upgrade` event is listened to with. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** The upgrades of the contract, for the `upgrade` event of the server that the app is mounted on. Answers every one. */
export function createUpgradeListener(deps: UpgradeDeps): UpgradeListener {
  const { log } = deps;
  const hostOriginPolicy = createHostOriginPolicy(deps.allowedHosts, deps.allowedOrigins);
  const identify = assignRequestIds(deps.observe);
  const open = createWebSocketHandler(deps);
  const answer = async (upgrade: PendingUpgrade): Promise<void> => {
    const { url = '' } = upgrade.request;
    try {
      hostOriginPolicy(upgrade.request);
      if (!/^\/ws(\?|$)/.test(url)) throw new Refusal('not_found');
      await open(upgrade);
    } catch (error) {
      upgrade.refuse(toLoggedRefusal(error, { path: '/ws', response: upgrade.response, log }));
    }
  };
  return (request, socket, head) => {
    try {
      const upgrade = new PendingUpgrade(request, head);
      const { response } = upgrade;
      identify(request, response, () => continueTrace(request, response, () => void answer(upgrade)));
    } catch {
      // An earlier answer is still under way on this connection: the two must not mix.
      socket.destroy();
    }
  };
}
