import type { EmulationSettings } from '../browser/page/pageEmulation.js';

/** How a browser is opened. */
export interface BrowserOptions {
  /** Default: that of the server. */
  readonly isolation?: 'auto' | 'context' | 'process' | undefined;
  /** Groups of tools that can be called with it, beside those that the client lists. */
  readonly groups?: string | undefined;
  /** What each of its pages emulates from its start. */
  readonly emulation?: EmulationSettings | undefined;
}

/** A browser of the user that a tool can name. */
export interface UserBrowser {
  /** The handle: the id of the session that holds the browser. */
  readonly id: string;
  readonly state: string;
  /** How its client reaches it: by its handle, or over a connection of its own. */
  readonly transport: string;
  readonly createdAt: Date;
  readonly toolCalls: number;
  /** Addresses of its pages; empty without an open browser. */
  readonly pages: readonly string[];
  /** Whether the session of this call holds it. */
  readonly isOwn: boolean;
}

/** The browsers of the user of a call, by handle. A foreign handle is unknown, whoever knows it (S6). */
export interface Browsers {
  /** Milliseconds without a call after which one is closed. */
  readonly idleTimeoutMs: number;
  /** Opens a browser; resolves when it is ready (S1). Throws a ToolError or a Refusal: nothing is left behind (S8). */
  open(options: BrowserOptions, signal: AbortSignal): Promise<UserBrowser>;
  /** Closes a browser; resolves when what it held is released, or was before. Throws a ToolError for an unknown one. */
  close(id: string): Promise<void>;
  /** Oldest first. */
  list(): Promise<readonly UserBrowser[]>;
}
