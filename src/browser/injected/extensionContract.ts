/** What the server and the functions that it sends into contexts of extensions agree on. As JSON. */

/** State of `chrome.action` for the active tab; null without `action` in the manifest. */
export type ActionState = {
  readonly popup: string;
  readonly enabled: boolean;
  readonly opensPanel: boolean;
} | null;

/** `path`: of the tab that was asked for; empty if it has none. `open`: addresses of those that are open. */
export type SidePanels = { readonly path: string; readonly open: readonly string[] };

/** A query for `chrome.tabs.query` that matches one tab and needs no permission. */
export type TabPosition = { readonly windowId: number; readonly index: number };

/** `reply` is JSON, absent for a reply of `undefined`. */
export type SendResult =
  /** `length`: of the whole reply in characters, if the text here is only its beginning. */
  | { readonly reply?: string | undefined; readonly length?: number | undefined; readonly ms: number }
  | { readonly error: string };

export interface StorageItem {
  readonly key: string;
  /** JSON, cut to the maximum length. */
  readonly value: string;
  /** Characters of the whole JSON. */
  readonly length: number;
}

/** Content of one area of `chrome.storage`. */
export interface StorageContent {
  readonly entries: readonly StorageItem[];
  /** Requested keys that did not fit. */
  readonly omitted: number;
  /** Number of all keys in the area. */
  readonly keys: number;
  /** Null where Chrome does not count. */
  readonly bytes: number | null;
}

/** Applied in this order. */
export interface StorageEdit {
  readonly clear: boolean;
  readonly remove: readonly string[];
  readonly set: Readonly<Record<string, unknown>>;
}

/** Payload of the binding that `listenToStorage` calls, as JSON. Values are JSON; absent where the key has none. */
export interface StorageChangeReport {
  readonly area: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly changes: Readonly<
    Record<string, { readonly oldValue?: string | undefined; readonly newValue?: string | undefined }>
  >;
}

/**
 * How the listeners of one context took a message. `heard`: none of them takes the function that answers. `silent`: they
 * returned without an answer and without `true`. `late`: one answered after that. `pending`: one returned `true` or a promise. `empty`: its promise had no value.
 * `closed`: the other end closed a port, and nothing had come through it.
 */
export type DeliveryOutcome = 'heard' | 'silent' | 'late' | 'pending' | 'empty' | 'answered' | 'threw' | 'closed';

/** The result of `chrome.permissions.getAll`. */
export interface GrantedPermissions {
  readonly apis: readonly string[];
  readonly hosts: readonly string[];
}

/** A rule of `declarativeNetRequest`. */
export interface RuleMatch {
  readonly ruleId: number;
  readonly rulesetId: string;
}

/** The dynamic and session rules of `declarativeNetRequest`, and which static ones are enabled. */
export interface RuleState {
  /** The ids of the rulesets that are on. */
  readonly enabled: readonly string[];
  /** Rules that are off, by the ruleset that is on. */
  readonly disabled: Readonly<Record<string, readonly number[]>>;
  readonly dynamic: readonly object[];
  readonly session: readonly object[];
}

/** `unknown`: it has no such event, or alarm. `unheard`: no listener. `unfirable`: Chrome does not let them be called. */
export interface FireResult {
  readonly state: 'fired' | 'unheard' | 'unfirable' | 'unknown';
  /** What a listener passed to the function `suggest`. */
  readonly suggestions?: unknown;
}

export interface FirableEvents {
  readonly commands: readonly { readonly name?: string | undefined; readonly shortcut?: string | undefined }[];
  readonly alarms: readonly {
    readonly name: string;
    readonly scheduledTime: number;
    readonly periodInMinutes?: number | undefined;
  }[];
  /** The ids of those that are shown. */
  readonly notifications: readonly string[];
}

/** Payload of the binding that an instrumented context calls, as JSON. */
export interface ActivityReport {
  /** Shared by `begin` and `end` of one call or message. Unique within a context. */
  readonly id: number;
  readonly phase: 'begin' | 'end';
  readonly kind: 'send' | 'receive' | 'call' | 'menu' | 'prompt' | 'request';
  /** `runtime.sendMessage`, `port "name"`, `storage.local.get`, … */
  readonly api: string;
  /** JSON, capped: the message or the arguments; at the end the reply or result. */
  readonly value?: string | undefined;
  readonly error?: string | undefined;
  /** At the end of a received message: how its listeners took it. At the end of an opened port: `closed`. */
  readonly outcome?: DeliveryOutcome | undefined;
  /** The sender of a received message as Chrome describes it, JSON. */
  readonly sender?: string | undefined;
  /** Of a message that is sent: where, as `content.js:2`. */
  readonly place?: string | undefined;
  /** Of a message that is sent to another extension: its id. */
  readonly target?: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Value of a report of the kind `request`, as JSON: a request that has ended. */
export interface RequestReport {
  readonly url: string;
  /** 0 if it failed, or may not be read by the extension. */
  readonly status: number;
  readonly bytes: number;
  readonly ms: number;
  /** When it began, in milliseconds since 1970. */
  readonly at: number;
}

/** What happened in a worker since it started. Times are in milliseconds since 1970. */
export interface WorkerActivity {
  readonly startedAt: number;
  /** The first event that one of its listeners received. */
  readonly first?: { readonly name: string; readonly at: number } | undefined;
  readonly events: readonly { readonly name: string; readonly count: number; readonly last: number }[];
  /** Names of the ports that are open. */
  readonly ports: readonly string[];
}
