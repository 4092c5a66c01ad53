import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import {
  EffectObserver,
  firableEvents,
  fireExtensionEvent,
  type Effects,
  type FiredEvent,
} from '../browser/extensions/extensionEvents.js';
import { findEnabledExtension, type Extension } from '../browser/extensions/installedExtensions.js';
import { readManifest } from '../browser/extensions/manifest.js';
import { withCdpScope, type CdpScope } from '../browser/cdp/cdpScope.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { shortUrl, truncateAnswer } from './answers.js';
import { locationText } from './consoleTools.js';
import { defineTool, type BrowserToolContext } from './defineTool.js';
import { extensionIdInput } from './extensionFields.js';
import { oneLine } from './pagination.js';

/** How long the listeners have before their effects are read, in ms. */
const effectMs = 250;
const maxLogLines = 20;

/** What an extension did; one that seems to have done nothing is asked twice, since Chrome reports late when it is busy. */
export async function effectsOf(observer: EffectObserver, signal: AbortSignal): Promise<Effects> {
  await delay(effectMs, undefined, { signal });
  const effects = await observer.read();
  if (Object.values(effects).some((list: readonly unknown[]) => list.length > 0)) return effects;
  await delay(effectMs, undefined, { signal });
  return observer.read();
}

/** The effects of an extension meanwhile, one line each. */
export function effectLines({ errors, logs, pages }: Effects): string[] {
  return [
    ...errors.map(({ message, context, url, line, column }) => {
      const place = url === undefined ? '' : ` at ${locationText({ url, line, column })}`;
      return `It threw in ${context}: ${oneLine(message, 500)}${place}`;
    }),
    ...logs
      .slice(-maxLogLines)
      .map(({ context, level, text }) => `Logged in ${context} (${level}): ${oneLine(text, 300)}`),
    ...pages.map((page) => `It opened page ${page.id}: ${shortUrl(page.url())}`),
  ];
}

export const fireEventTool = defineTool({
  name: 'fire_extension_event',
  title: 'Fire extension event',
  group: 'extension',
  needs: 'extension',
  description:
    'Fire an event of an extension: command, context menu, alarm, notification, omnibox, push. Without event: list them',
  input: z.strictObject({
    extensionId: extensionIdInput,
    event: z.string().optional().describe('Such as commands.onCommand'),
    subject: z.string().optional().describe('Command, menu entry, alarm, text, …'),
    args: z.array(z.unknown()).optional().describe('Arguments instead, without tab'),
    pageId: z.int().min(1).optional().describe('Tab; default: the selected page'),
  }),
  output: z.object({
    by: z.enum(['chrome', 'listeners']).optional(),
    suggestions: z.string().optional(),
    effects: z.array(z.string()),
  }),
  annotations: { readOnlyHint: false },
  async handler({ extensionId: id, event, subject, args, pageId }, context) {
    const { browser, signal } = context;
    return withCdpScope(browser.browser, signal, async (scope) => {
      const extension = await findEnabledExtension(scope, id);
      if (event === undefined) {
        const lines = await listEvents(scope, extension, context);
        return { text: lines.join('\n'), structured: { effects: [] } };
      }
      const name = event.replace(/^chrome\./, '');
      await browser.ensureFirstPage(signal);
      const page = browser.page(pageId);
      const observer = await EffectObserver.begin(scope, browser, id);
      const menus = browser.activity.menus.of(id);
      const fired = await fireExtensionEvent(scope, extension, { name, subject, args, page, menus });
      const effects = effectLines(await effectsOf(observer, signal));
      const tab = fired.hasTab ? page : undefined;
      const suggestions = fired.suggestions === undefined ? undefined : JSON.stringify(fired.suggestions);
      return {
        text: truncateAnswer(
          [
            describeFired(name, fired, tab),
            ...(suggestions === undefined ? [] : [`Suggested: ${suggestions}`]),
            ...effects,
            ...(effects.some((line) => /\buser gesture\b/.test(line)) ? [noGesture] : []),
          ].join('\n'),
          'get_extension_logs has the rest',
        ),
        structured: { by: fired.by, effects, ...(suggestions !== undefined && { suggestions }) },
      };
    });
  },
});

const noGesture =
  'That is no error of the extension: a real event brings a user gesture, and this one could not. trigger_extension_action clicks the action with one.';

function describeFired(name: string, { by, args }: FiredEvent, tab: SessionPage | undefined): string {
  const given = args.map((arg) => oneLine(JSON.stringify(arg), 200));
  if (tab !== undefined) given.push(`the tab of page ${tab.id}`);
  const call = `${name === 'push' ? '' : 'chrome.'}${name}(${given.join(', ')})`;
  if (by === 'chrome') return `Chrome fired ${call}.`;
  const limit =
    name === 'downloads.onDeterminingFilename'
      ? 'in this browser it does not ask extensions for the names of downloads'
      : 'it grants no activeTab for this';
  return `Called the listeners of ${call} in the service worker. Chrome was not involved: ${limit}.`;
}

async function listEvents(scope: CdpScope, extension: Extension, { browser }: BrowserToolContext): Promise<string[]> {
  await browser.activity.captureWorker(scope, extension.id);
  const [{ commands, alarms, notifications }, manifest] = await Promise.all([
    firableEvents(scope, extension),
    readManifest(extension),
  ]);
  const declared = manifest?.commands ?? {};
  const lines = [
    ...commands
      .filter(({ name = '' }) => name in declared)
      .map(({ name = '', shortcut }) =>
        name === '_execute_action'
          ? `_execute_action (${shortcut || 'no shortcut'}) clicks the action: trigger_extension_action`
          : `commands.onCommand ${name} (${shortcut || 'no shortcut'})`,
      ),
    ...browser.activity.menus.of(extension.id).map(({ id, title, parentId, contexts = ['page'] }) => {
      const below = parentId === undefined ? '' : `, below ${parentId}`;
      return `contextMenus.onClicked ${id} ("${title ?? ''}", on ${contexts.join(', ')}${below})`;
    }),
    ...alarms.map(({ name, scheduledTime, periodInMinutes }) => {
      const period = periodInMinutes === undefined ? '' : `, every ${periodInMinutes} min`;
      return `alarms.onAlarm ${name || '(no name)'} (next ${new Date(scheduledTime).toISOString()}${period})`;
    }),
    ...notifications.map((id) => `notifications.onClicked ${id}`),
    ...(manifest?.omnibox === undefined ? [] : [`omnibox.onInputEntered (keyword ${manifest.omnibox.keyword ?? ''})`]),
  ];
  const others =
    'Also push, runtime.onInstalled, runtime.onStartup, runtime.onSuspend, idle.onStateChanged and any other event.';
  return lines.length === 0
    ? [`"${extension.name}" has no commands, menu entries, alarms or notifications now. ${others}`]
    : [`Events of "${extension.name}", with their subjects:`, ...lines, others];
}
