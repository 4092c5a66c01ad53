/** The part of `chrome` that injected functions use. Absent members depend on the kind of context and on permissions. */
export interface ChromeApi {
  readonly runtime?: {
    /** Absent once the extension was reloaded or disabled. */
    readonly id?: string;
    readonly onInstalled?: object;
    readonly onMessage?: object;
    readonly onMessageExternal?: object;
    readonly onConnect?: object;
    readonly onConnectExternal?: object;
    sendMessage(message: unknown): Promise<unknown>;
    /** From Chrome 116 on. */
    getContexts?(filter: object): Promise<{ readonly documentUrl?: string }[]>;
  };
  readonly tabs?: {
    query(query: object): Promise<{ readonly id: number }[]>;
    sendMessage(tabId: number, message: unknown): Promise<unknown>;
  };
  readonly action?: {
    getPopup(details: { tabId?: number }): Promise<string>;
    isEnabled(tabId?: number): Promise<boolean>;
  };
  readonly scripting?: {
    getRegisteredContentScripts(): Promise<object[]>;
  };
  /** Only once its user has allowed it. */
  readonly userScripts?: {
    getScripts(): Promise<{ readonly js?: readonly { readonly file?: string }[] }[]>;
  };
  readonly storage?: ChromeStorage;
  readonly commands?: { getAll(): Promise<{ name?: string; shortcut?: string }[]> };
  readonly sidePanel?: {
    getPanelBehavior(): Promise<{ openPanelOnActionClick?: boolean }>;
    getOptions(options: { tabId?: number }): Promise<{ path?: string; enabled?: boolean }>;
  };
  readonly alarms?: {
    get(name: string): Promise<ChromeAlarm | undefined>;
    getAll(): Promise<ChromeAlarm[]>;
    create(name: string, info: { when: number; periodInMinutes?: number }): Promise<void>;
    readonly onAlarm: { addListener(listener: (alarm: ChromeAlarm) => void): void };
  };
  readonly notifications?: { getAll(): Promise<object> };
  readonly contextMenus?: object;
  readonly permissions?: {
    getAll(): Promise<{ permissions?: string[]; origins?: string[] }>;
    contains(permissions: unknown): Promise<boolean>;
    remove(permissions: object): Promise<boolean>;
  };
  readonly declarativeNetRequest?: {
    getEnabledRulesets(): Promise<string[]>;
    getDisabledRuleIds(options: { rulesetId: string }): Promise<number[]>;
    getDynamicRules(): Promise<object[]>;
    getSessionRules(): Promise<object[]>;
    /** Only in unpacked extensions. */
    testMatchOutcome?(request: object): Promise<{ matchedRules: { ruleId: number; rulesetId: string }[] }>;
  };
}

export interface ChromeAlarm {
  readonly name: string;
  readonly scheduledTime: number;
  readonly periodInMinutes?: number;
}

/** The members of Chrome's events, some of which its documentation leaves out. */
export interface ChromeEvent {
  hasListeners(): boolean;
  dispatch(...args: readonly unknown[]): void;
}

export type ChromeStorage = Readonly<Partial<Record<string, ChromeStorageArea>>> & {
  readonly onChanged: {
    addListener(listener: (changes: Record<string, ChromeStorageChange>, area: string) => void): void;
  };
};

export interface ChromeStorageArea {
  get(keys: null): Promise<Record<string, unknown>>;
  set(items: Readonly<Record<string, unknown>>): Promise<void>;
  remove(keys: readonly string[]): Promise<void>;
  clear(): Promise<void>;
  /** Absent where Chrome does not count. */
  getBytesInUse?(keys: null): Promise<number>;
}

export interface ChromeStorageChange {
  readonly oldValue?: unknown;
  readonly newValue?: unknown;
}

declare global {
  /** Absent outside extensions. */
  var chrome: ChromeApi | undefined;
}
