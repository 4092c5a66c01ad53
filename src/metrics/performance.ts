import { settledRequest, type Fold } from '../session/observer.js';

/** The figures of `/health`, as a fold over the observations. */
export interface Performance {
  /** Sessions that reached `connected`. */
  readonly totalConnections: number;
  /** JSON-RPC requests that were answered or cancelled. */
  readonly totalRequests: number;
  /** Sessions that ended before they were announced without the client leaving, and tool calls that failed. */
  readonly totalErrors: number;
  readonly errorRate: string;
  /** From the moment a client asked to the announcement. */
  readonly avgConnectMs: number;
}

export function countPerformance(): { readonly fold: Fold; performance(): Performance } {
  let connections = 0;
  let requests = 0;
  let errors = 0;
  let connectMs = 0;
  return {
    fold(observation) {
      if (observation.kind === 'creation') {
        if (observation.outcome === 'failed') errors += 1;
        if (observation.outcome !== 'announced') return;
        connections += 1;
        connectMs += observation.durationMs;
        return;
      }
      const request = settledRequest(observation);
      if (request === undefined) return;
      requests += 1;
      if (request.tool !== null && request.outcome === 'failed') errors += 1;
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
