import type { Observation } from './session/observer.js';

/** The figures of `/health`, as a fold over the inspection stream. */
export interface Performance {
  /** Sessions that reached `connected`. */
  readonly totalConnections: number;
  /** JSON-RPC requests that were answered or cancelled. */
  readonly totalRequests: number;
  /** Sessions that ended before they were announced without the client leaving, and tool calls that failed. */
  readonly totalErrors: number;
  readonly errorRate: string;
  /** From the creation of the session to its announcement. */
  readonly avgConnectMs: number;
}

export interface Metrics {
  fold(observation: Observation): void;
  performance(): Performance;
}

export function createMetrics(): Metrics {
  const createdAt = new Map<string, number>();
  let connections = 0;
  let requests = 0;
  let errors = 0;
  let connectMs = 0;
  return {
    fold(observation) {
      if (observation.kind === 'event' && observation.event.type === 'request.settled') {
        requests += 1;
        if (isFailedToolCall(observation.event)) errors += 1;
      }
      if (observation.kind !== 'transition') return;
      const { actor, from, to, at, context } = observation;
      if (to === 'created') createdAt.set(actor, at);
      if (to === 'connected') {
        connections += 1;
        connectMs += at - (createdAt.get(actor) ?? at);
      }
      if (to === 'connected' || to === 'closed') createdAt.delete(actor);
      const early = from === 'created' || from === 'tools-registered';
      if (to === 'closed' && early && wasAsked(context) && closedBecauseOf(context) !== 'client-closed') errors += 1;
    },
    performance() {
      const attempts = connections + requests;
      return {
        totalConnections: connections,
        totalRequests: requests,
        totalErrors: errors,
        errorRate: `${((errors / Math.max(1, attempts, errors)) * 100).toFixed(2)}%`,
        avgConnectMs: connections === 0 ? 0 : Math.round(connectMs / connections),
      };
    },
  };
}

function isFailedToolCall(event: object): boolean {
  const request: unknown = 'request' in event ? event.request : undefined;
  if (typeof request !== 'object' || request === null) return false;
  return 'tool' in request && request.tool !== null && 'outcome' in request && request.outcome === 'failed';
}

/** A warm session that ends has failed nobody. */
function wasAsked(context: unknown): boolean {
  return typeof context === 'object' && context !== null && 'attached' in context && context.attached === true;
}

function closedBecauseOf(context: unknown): unknown {
  return typeof context === 'object' && context !== null && 'closedBecause' in context
    ? context.closedBecause
    : undefined;
}
