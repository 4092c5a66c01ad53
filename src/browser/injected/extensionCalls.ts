import type {} from './chromeApi.js';
import type {
  ActionState,
  GrantedPermissions,
  RuleMatch,
  RuleState,
  SendResult,
  TabPosition,
  SidePanels,
} from './contract.js';
import { toJson } from './values.js';

/** In a document of the extension. */
export async function readActionState(): Promise<ActionState> {
  const { action, tabs, sidePanel } = globalThis.chrome ?? {};
  if (action === undefined || tabs === undefined) return null;
  const [tab] = await tabs.query({ active: true, lastFocusedWindow: true });
  const popup = await action.getPopup(tab === undefined ? {} : { tabId: tab.id });
  const { openPanelOnActionClick: opensPanel = false } = (await sidePanel?.getPanelBehavior()) ?? {};
  return { popup, enabled: await action.isEnabled(tab?.id), opensPanel };
}

/** In a document of the extension. */
export async function readSidePanels(): Promise<SidePanels> {
  const { runtime, sidePanel, tabs } = globalThis.chrome ?? {};
  const [tab] = (await tabs?.query({ active: true, lastFocusedWindow: true })) ?? [];
  const { path = '', enabled = true } = (await sidePanel?.getOptions(tab === undefined ? {} : { tabId: tab.id })) ?? {};
  const contexts = (await runtime?.getContexts?.({ contextTypes: ['SIDE_PANEL'] })) ?? [];
  return { path: enabled ? path : '', open: contexts.map(({ documentUrl }) => documentUrl ?? '') };
}

/** In a document of the extension: those of `chrome.scripting` and of `chrome.userScripts`, with their files. */
export async function readRegisteredScripts(): Promise<readonly object[]> {
  const { scripting, userScripts } = globalThis.chrome ?? {};
  const [scripts = [], ofUsers = []] = await Promise.all([
    scripting?.getRegisteredContentScripts(),
    userScripts?.getScripts(),
  ]);
  const withFiles = ofUsers.map(({ js = [], ...script }) => ({
    world: 'USER_SCRIPT',
    ...script,
    js: js.flatMap(({ file }) => file ?? []),
  }));
  return [...scripts, ...withFiles];
}

/** In a document of the extension. */
export async function readPermissions(): Promise<GrantedPermissions> {
  const { permissions = [], origins = [] } = (await globalThis.chrome?.permissions?.getAll()) ?? {};
  return { apis: permissions, hosts: origins };
}

/** In a document of the extension. Chrome refuses required ones. */
export async function removePermissions(permissions: object): Promise<boolean> {
  return (await globalThis.chrome?.permissions?.remove(permissions)) ?? false;
}

/** In a document of the extension; null without the permission for rules. */
export async function readRuleState(): Promise<RuleState | null> {
  const rules = globalThis.chrome?.declarativeNetRequest;
  if (rules === undefined) return null;
  const enabled = await rules.getEnabledRulesets();
  const ids = enabled.map(async (rulesetId) => [rulesetId, await rules.getDisabledRuleIds({ rulesetId })] as const);
  const disabled = Object.fromEntries(await Promise.all(ids));
  return { enabled, disabled, dynamic: await rules.getDynamicRules(), session: await rules.getSessionRules() };
}

/** In a document of the extension: its rules that match each request. No rules if Chrome refuses the request. */
export async function testRequestRules(requests: readonly object[]): Promise<readonly (readonly RuleMatch[])[]> {
  const rules = globalThis.chrome?.declarativeNetRequest;
  const matchesOf = async (request: object): Promise<readonly RuleMatch[]> => {
    const outcome = await rules?.testMatchOutcome?.(request).catch(() => undefined);
    return (outcome?.matchedRules ?? []).map(({ ruleId, rulesetId }) => ({ ruleId, rulesetId }));
  };
  return Promise.all(requests.map(matchesOf));
}

/** In any context of an extension: sends a message to a tab, or to the extension itself, and waits for the reply. */
export async function sendFromExtension(
  message: unknown,
  tab: TabPosition | null,
  timeoutMs: number,
): Promise<SendResult> {
  if (globalThis.chrome?.runtime?.id === undefined) {
    return { error: 'Its sender is cut off: the extension was reloaded or disabled since. Reload the page.' };
  }
  const start = performance.now();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<SendResult>((resolve) => {
    timer = setTimeout(() => resolve({ error: `No reply within ${timeoutMs} ms.` }), timeoutMs);
  });
  const reply = deliver(message, tab).then(
    (value) => ({ ...headOf(toJson(value)), ms: Math.round(performance.now() - start) }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
  );
  try {
    return await Promise.race([reply, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** More than an answer shows. As a text in the text of a result it is at most four times as long. */
const maxReplyChars = 200_000;

function headOf(reply: string | undefined): { readonly reply: string | undefined; readonly length?: number } {
  if (reply === undefined || reply.length <= maxReplyChars) return { reply };
  return { reply: reply.slice(0, maxReplyChars), length: reply.length };
}

async function deliver(message: unknown, tab: TabPosition | null): Promise<unknown> {
  const { runtime, tabs } = globalThis.chrome ?? {};
  if (tab === null) return runtime?.sendMessage(message);
  const [found] = (await tabs?.query(tab)) ?? [];
  if (found === undefined) throw new Error('The tab is closed.');
  return tabs?.sendMessage(found.id, message);
}
