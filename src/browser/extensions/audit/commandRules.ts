import { isJsonObject, objectAt } from '../manifest.js';
import { atKey, type Audited, type Findings } from './findings.js';

const maxShortcuts = 4;

/** Shortcuts that Chrome refuses, and commands that it ignores. */
export function* commandFindings(audited: Audited): Findings {
  const commands = Object.entries(objectAt(audited.json, 'commands')).filter(([, command]) => isJsonObject(command));
  const suggested = commands.filter(([, command]) => isJsonObject(command) && command['suggested_key'] !== undefined);
  if (suggested.length > maxShortcuts)
    yield atKey(audited, 'commands', [
      'refused',
      `${suggested.length} commands suggest a key, and Chrome takes ${maxShortcuts}.`,
      'Leave out "suggested_key" of the others: users can set theirs.',
    ]);
  for (const [name, command] of commands) {
    const isAction = ['_execute_action', '_execute_browser_action', '_execute_page_action'].includes(name);
    if (isAction && name !== '_execute_action')
      yield atKey(audited, `commands.${name}`, [
        'breaks',
        `${name} is of Manifest V2, and Chrome ignores it.`,
        'Rename it to "_execute_action".',
      ]);
    else if (isAction && !('action' in audited.json))
      yield atKey(audited, `commands.${name}`, [
        'breaks',
        'There is no "action", so Chrome ignores this command.',
        'Add "action": {}.',
      ]);
    else if (
      !isAction &&
      isJsonObject(command) &&
      (typeof command['description'] !== 'string' || command['description'] === '')
    )
      yield atKey(audited, `commands.${name}`, ['refused', 'The command has no description.', 'Add "description".']);
    if (isJsonObject(command)) yield* keysOf(audited, name, command['suggested_key']);
  }
}

const modifiers = new Set(['Ctrl', 'Alt', 'Shift', 'Command', 'MacCtrl', 'Search']);
const plainKeys = /^(?:[A-Z0-9]|Comma|Period|Home|End|PageUp|PageDown|Space|Insert|Delete|Up|Down|Left|Right|Tab)$/;
const mediaKeys = /^Media(?:NextTrack|PrevTrack|PlayPause|Stop)$/;

function* keysOf(audited: Audited, name: string, suggested: unknown): Findings {
  const keys = typeof suggested === 'string' ? { default: suggested } : isJsonObject(suggested) ? suggested : {};
  for (const [platform, shortcut] of Object.entries(keys)) {
    if (typeof shortcut !== 'string' || isShortcut(shortcut.replace(/\s/g, ''), platform)) continue;
    const fix =
      'Use Ctrl or Alt (MacCtrl or Command on a Mac), perhaps with Shift, and one letter, digit or named key, as Ctrl+Shift+Y.';
    yield atKey(audited, `commands.${name}`, ['refused', `"${shortcut}" is no shortcut for ${platform}.`, fix]);
  }
}

function isShortcut(shortcut: string, platform: string): boolean {
  const parts = shortcut.split('+');
  const key = parts.pop() ?? '';
  if (mediaKeys.test(key)) return parts.length === 0;
  if (!plainKeys.test(key) || parts.some((part) => !modifiers.has(part))) return false;
  if (parts.includes('Ctrl') && parts.includes('Alt')) return false;
  if (platform !== 'mac' && (parts.includes('Command') || parts.includes('MacCtrl'))) return false;
  return parts.some((part) => part !== 'Shift') && parts.length <= (parts.includes('Shift') ? 2 : 1);
}
