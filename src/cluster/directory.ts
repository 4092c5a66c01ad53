import type { CloseReason } from '../../machines/events.js';
import type { Principal } from '../tenancy/principal.js';

/** What is claimed: a session that is ready, for the user it will be announced to. */
export interface Claim {
  readonly sessionId: string;
  readonly principal: Principal;
  /** By which transport its client came. */
  readonly transport: string;
}

/** Where it is written down whose each session is. */
export interface Directory {
  /**
   * Claims the session; only then is it announced (S1). A rejection, best a `Refusal`, closes the session unannounced
   * (S12). Aborted when the session ends first.
   */
  claim(claim: Claim, signal: AbortSignal): Promise<void>;
  /** Keeps what the session can be restored from at another node. Never throws; what comes later takes its place. */
  saveSnapshot?(sessionId: string, stored: string): void;
  /** Whether another node has the session by now, or may go on with it: it only ends here. */
  isHandedOff?(sessionId: string): boolean;
  /** Told of each session that was claimed: `ended` resolves with why it ended, when nothing of it is written any more. */
  releaseWhenEnded?(sessionId: string, ended: Promise<CloseReason>): void;
}

/** One process: the registry of sessions is the directory, and a session is in it before its actor starts. */
export const memoryDirectory: Directory = { claim: () => Promise.resolve() };
