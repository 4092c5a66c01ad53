import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import type { Point } from './element.js';

interface Key {
  readonly key: string;
  readonly code: string;
  readonly keyCode: number;
  readonly text?: string;
}

/** Bits of `Input.dispatchKeyEvent`. */
const modifierBits = { Alt: 1, Control: 2, Meta: 4, Shift: 8 } as const;
const modifierCodes = { Alt: 18, Control: 17, Meta: 91, Shift: 16 } as const;
type Modifier = keyof typeof modifierBits;

const namedKeys: Readonly<Record<string, readonly [keyCode: number, text?: string]>> = {
  Backspace: [8],
  Tab: [9],
  Enter: [13, '\r'],
  Escape: [27],
  Space: [32, ' '],
  PageUp: [33],
  PageDown: [34],
  End: [35],
  Home: [36],
  ArrowLeft: [37],
  ArrowUp: [38],
  ArrowRight: [39],
  ArrowDown: [40],
  Insert: [45],
  Delete: [46],
  ContextMenu: [93],
};

/** The punctuation keys of a US keyboard: character, character with Shift, code, key code. */
const punctuation = [
  [';', ':', 'Semicolon', 186],
  ['=', '+', 'Equal', 187],
  [',', '<', 'Comma', 188],
  ['-', '_', 'Minus', 189],
  ['.', '>', 'Period', 190],
  ['/', '?', 'Slash', 191],
  ['`', '~', 'Backquote', 192],
  ['[', '{', 'BracketLeft', 219],
  ['\\', '|', 'Backslash', 220],
  [']', '}', 'BracketRight', 221],
  ["'", '"', 'Quote', 222],
] as const;

const shiftedDigits = ')!@#$%^&*(';

/** The key of a US keyboard for a name or character. Undefined for text without a key, which is inserted instead. */
function findKey(name: string): Key | undefined {
  if (name === ' ') return findKey('Space');
  if (name === '\n' || name === '\r') return findKey('Enter');
  const named = Object.hasOwn(namedKeys, name) ? namedKeys[name] : undefined;
  if (named) {
    const [keyCode, text] = named;
    return { key: name === 'Space' ? ' ' : name, code: name, keyCode, ...(text !== undefined && { text }) };
  }
  const functionKey = /^F([1-9]|1[0-2])$/.exec(name)?.[1];
  if (functionKey !== undefined) return { key: name, code: name, keyCode: 111 + Number(functionKey) };
  if (/^[a-z]$/i.test(name)) {
    const upper = name.toUpperCase();
    return { key: name, code: `Key${upper}`, keyCode: upper.charCodeAt(0), text: name };
  }
  const digit = /^\d$/.test(name) ? Number(name) : name.length === 1 ? shiftedDigits.indexOf(name) : -1;
  if (digit >= 0) return { key: name, code: `Digit${digit}`, keyCode: 48 + digit, text: name };
  const sign = punctuation.find(([plain, shifted]) => plain === name || shifted === name);
  return sign && { key: name, code: sign[2], keyCode: sign[3], text: name };
}

interface Chord {
  readonly modifiers: readonly Modifier[];
  readonly key: Key | undefined;
}

/** Other names that people use, in lower case. */
const keyAliases: Readonly<Record<string, string>> = {
  back: 'Backspace',
  comma: ',',
  del: 'Delete',
  down: 'ArrowDown',
  esc: 'Escape',
  ins: 'Insert',
  left: 'ArrowLeft',
  menu: 'ContextMenu',
  minus: '-',
  numpadenter: 'Enter',
  pagedn: 'PageDown',
  period: '.',
  pgdn: 'PageDown',
  pgup: 'PageUp',
  plus: '+',
  return: 'Enter',
  right: 'ArrowRight',
  slash: '/',
  spacebar: 'Space',
  up: 'ArrowUp',
  '↵': 'Enter',
};
const modifierAliases: Readonly<Record<string, Modifier>> = {
  '⌃': 'Control',
  '⌘': 'Meta',
  '⌥': 'Alt',
  '⇧': 'Shift',
  alt: 'Alt',
  cmd: 'Meta',
  cmdorctrl: 'Control',
  command: 'Meta',
  commandorcontrol: 'Control',
  control: 'Control',
  controlormeta: 'Control',
  ctrl: 'Control',
  meta: 'Meta',
  mod: 'Control',
  opt: 'Alt',
  option: 'Alt',
  shift: 'Shift',
  super: 'Meta',
  win: 'Meta',
  windows: 'Meta',
};

const oneCharacter = /^.$/su;

const modifierOf = (name: string): Modifier | undefined => modifierAliases[name.toLowerCase()];

/** The key of a name in any case, of one character, or of a common other name. */
function keyOf(name: string): Key | undefined {
  const lower = name.toLowerCase();
  const listed = Object.keys(namedKeys).find((key) => key.toLowerCase() === lower);
  const found = findKey(listed ?? keyAliases[lower] ?? (/^f\d+$/.test(lower) ? lower.toUpperCase() : name));
  if (found) return found;
  // A character that a US keyboard has not: é, ß, 你.
  return oneCharacter.test(name) ? { key: name, code: '', keyCode: 0, text: name } : undefined;
}

/** The names in `Control+A`, `Ctrl-A`, `Ctrl + Shift + a`, `Control++`. */
function namesIn(chord: string): string[] {
  if (oneCharacter.test(chord)) return [chord];
  const trimmed = chord.replace(/[⌃⌘⌥⇧]/g, '$& ').trim();
  const last = /[+-]$/.exec(trimmed)?.[0];
  const rest = last === undefined ? trimmed : trimmed.slice(0, -1);
  const names = rest.replace(/[+-]/g, ' ').split(/\s/).filter(Boolean);
  return last === undefined ? names : [...names, last];
}

/** Parses `Control+Shift+A`, `ctrl-a`, `Enter`, `+`, `Control++`. Throws a ToolError that lists the keys. */
export function parseChord(chord: string): Chord {
  const names = namesIn(chord);
  const last = names.at(-1) ?? '';
  const modifiers = names.slice(0, -1).flatMap((name) => modifierOf(name) ?? []);
  const areModifiers = modifiers.length === names.length - 1;
  const only = modifierOf(last);
  if (areModifiers && only) return { modifiers: [...modifiers, only], key: undefined };
  const key = keyOf(last);
  if (key && areModifiers) return { modifiers, key: modifiers.length > 0 ? withoutCase(key) : key };
  throw new ToolError(
    `No key ${JSON.stringify(chord)}. Use one character or ${Object.keys(namedKeys).join(', ')}, F1 to F12, ` +
      'with Alt, Control, Meta, Shift before it: Control+A. Several keys: a call for each; text: type_text.',
  );
}

/** In a chord, the case of a letter comes from Shift alone: pages compare with `k` for Control+K. */
function withoutCase(key: Key): Key {
  if (!/^[A-Z]$/.test(key.key)) return key;
  const lower = key.key.toLowerCase();
  return { ...key, key: lower, text: lower };
}

/** What a browser does on its own keys, and the tool for it. */
const browserKeys: readonly (readonly [keys: RegExp, use: string])[] = [
  [/^(?:F5|(?:Control|Meta)\+(?:Shift\+)?(?:r|F5))$/, 'To load the page again: navigate_page {"reload":true}.'],
  [/^Alt\+Arrow(?:Left|Right)$/, 'To go back or forward: navigate_page_history.'],
  [/^(?:Control|Meta)\+(?:Shift\+)?[nt]$/, 'To open a page: new_page.'],
  [/^(?:Control|Meta)\+(?:w|F4)$|^Alt\+F4$/, 'To close a page: close_page.'],
  [/^(?:Control|Meta)\+(?:Shift\+)?(?:Tab|PageUp|PageDown|[1-9])$/, 'To change the page: select_page.'],
  [/^(?:(?:Control|Meta)\+l|F6|Alt\+d)$/, 'To open an address: navigate_page.'],
  [/^(?:(?:Control|Meta)\+(?:Shift\+)?[fg]|F3)$/, 'To search the page: find_in_snapshot.'],
  [/^(?:Control|Meta)\+[=+\-0]$/, 'To change the size: resize_page or emulate.'],
  [/^(?:F11|F12|(?:Control|Meta)\+(?:Shift\+[cijm]|[dhjopsu]))$/, ''],
  [
    /^(?:Control|Alt|Meta)\+Shift\+\w$/,
    'Nor are shortcuts of extensions started: fire_extension_event does that, with the event commands.onCommand.',
  ],
];

/** What to know about a chord that a browser or an extension, other than the page, would answer. */
export function browserRemark({ modifiers, key }: Chord): string | undefined {
  if (!key) return undefined;
  const name = [...modifiers, key.key.length === 1 ? key.key.toLowerCase() : key.key].join('+');
  const found = browserKeys.find(([keys]) => keys.test(name));
  return found && `Only the page got it: the browser itself does nothing on keys. ${found[1]}`.trimEnd();
}

/** Presses and releases every key of a chord (CDP Input.dispatchKeyEvent). */
export async function pressChord(cdp: CDPSession, { modifiers, key }: Chord): Promise<void> {
  let held = 0;
  for (const name of modifiers) {
    held |= modifierBits[name];
    await dispatchKeyEvent(cdp, 'rawKeyDown', { key: name, code: `${name}Left`, keyCode: modifierCodes[name] }, held);
  }
  if (key) await pressKey(cdp, key, held);
  for (const name of modifiers.toReversed()) {
    held &= ~modifierBits[name];
    await dispatchKeyEvent(cdp, 'keyUp', { key: name, code: `${name}Left`, keyCode: modifierCodes[name] }, held);
  }
}

/** Types a text key by key; characters without a key are inserted. Stops at the next character when aborted. */
export async function typeText(cdp: CDPSession, text: string, signal: AbortSignal): Promise<void> {
  for (const character of text) {
    signal.throwIfAborted();
    const key = findKey(character);
    if (key) await pressKey(cdp, key, 0);
    else await cdp.send('Input.insertText', { text: character });
  }
}

async function pressKey(cdp: CDPSession, key: Key, held: number): Promise<void> {
  const shifted = (held & modifierBits.Shift) !== 0 && /^[a-z]$/.test(key.key);
  const pressed = shifted ? { ...key, key: key.key.toUpperCase(), text: key.key.toUpperCase() } : key;
  const writes = (held & ~modifierBits.Shift) === 0;
  const { text: _, ...silent } = pressed;
  const down = dispatchKeyEvent(
    cdp,
    writes && pressed.text !== undefined ? 'keyDown' : 'rawKeyDown',
    writes ? pressed : silent,
    held,
  );
  // Sent together: the browser keeps the order, and one round trip is saved.
  await Promise.all([down, dispatchKeyEvent(cdp, 'keyUp', silent, held)]);
}

function dispatchKeyEvent(
  cdp: CDPSession,
  type: Protocol.Input.DispatchKeyEventRequest['type'],
  { key, code, keyCode, text }: Key,
  modifiers: number,
): Promise<void> {
  return cdp.send('Input.dispatchKeyEvent', {
    type,
    key,
    code,
    windowsVirtualKeyCode: keyCode,
    modifiers,
    ...(text !== undefined && { text, unmodifiedText: text }),
  });
}

export type MouseButton = 'left' | 'right' | 'middle';

/** Bits of `buttons` in `Input.dispatchMouseEvent`. */
const buttonBits = { left: 1, right: 2, middle: 4 } as const;

/** Moves the mouse to a point of the page's viewport (`Input.dispatchMouseEvent`). */
export async function movePointer(cdp: CDPSession, to: Point): Promise<void> {
  await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', ...to });
}

/** Moves the pointer to a point and clicks `count` times. */
export async function clickAt(cdp: CDPSession, at: Point, button: MouseButton, count: 1 | 2): Promise<void> {
  await movePointer(cdp, at);
  for (let clickCount = 1; clickCount <= count; clickCount++) {
    const common = { ...at, button, clickCount };
    const pressed = cdp.send('Input.dispatchMouseEvent', {
      type: 'mousePressed',
      buttons: buttonBits[button],
      ...common,
    });
    // Sent together: the browser keeps the order, and one round trip is saved.
    await Promise.all([
      pressed,
      cdp.send('Input.dispatchMouseEvent', { type: 'mouseReleased', buttons: 0, ...common }),
    ]);
  }
}
