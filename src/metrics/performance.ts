import { settledRequest, type CreationOutcome, type ObservationHandler } from '../telemetry/observer.js';

/** The figures of `/health`, as a fold over the observations. */
export interface PerformanceFigures {
  /** Sessions that reached `connected`. */
  readonly totalConnections: number;
  /** JSON-RPC requests that were answered or cancelled. */
  readonly totalRequests: number;
  /** Sessions that clients asked for, by how that ended. */
  readonly connects: Readonly<Record<CreationOutcome, number>>;
  /** Connects that failed, and tool calls that did. */
  readonly totalErrors: number;
  readonly errorRate: string;
  /** From the moment a client asked to the announcement. */
  readonly avgConnectMs: number;
}

export function createPerformanceCounter(): { readonly fold: ObservationHandler; performance(): PerformanceFigures } {
  const connects: Record<CreationOutcome, number> = { announced: 0, failed: 0, abandoned: 0, cancelled: 0, refused: 0 };
  let requests = 0;
  let errors = 0;
  let connectMs = 0;
  return {
    fold(observation) {
      if (observation.kind === 'creation') {
        const { outcome, durationMs } = observation;
        connects[outcome] += 1;
        if (outcome === 'failed') errors += 1;
        if (outcome === 'announced') connectMs += durationMs;
        return;
      }
      const request = settledRequest(observation);
      if (request === undefined) return;
      requests += 1;
      if (request.tool !== null && request.outcome === 'failed') errors += 1;
    },
    performance() {
      const { announced: connections } = connects;
      const attempts = connections + requests;
      return {
        connects: { ...connects },
        totalConnections: connections,
        totalRequests: requests,
        totalErrors: errors,
        errorRate: `${((errors / Math.max(1, attempts, errors)) * 100).toFixed(2)}%`,
        avgConnectMs: connections === 0 ? 0 : Math.round(connectMs / connections),
      };
    },
  };
}
