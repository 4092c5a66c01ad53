import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';

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

/** The keys of a US keyboard that are neither letters nor digits: as they are, with Shift, code, key code. */
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

/** The key that a US keyboard has for it, or undefined: text that no key makes is inserted. */
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

function isModifier(name: string): name is Modifier {
  return Object.hasOwn(modifierBits, name);
}

/** `Control+Shift+A`, `Enter`, `+`, `Control++`. Throws a ToolError that names what can be pressed. */
export function parseChord(chord: string): Chord {
  const parts = chord.endsWith('+') ? [...chord.slice(0, -1).split('+').filter(Boolean), '+'] : chord.split('+');
  const last = parts.at(-1) ?? '';
  const before = parts.slice(0, -1);
  const modifiers = before.filter(isModifier);
  if (modifiers.length === before.length && isModifier(last))
    return { modifiers: [...modifiers, last], key: undefined };
  const key = findKey(last);
  if (key && modifiers.length === before.length) return { modifiers, key };
  throw new ToolError(
    `No key ${JSON.stringify(chord)}. Use one character or ${Object.keys(namedKeys).join(', ')}, F1 to F12, ` +
      'with Alt, Control, Meta, Shift before it: Control+A.',
  );
}

/** Presses and lets go of every key of a chord (`Input.dispatchKeyEvent`). */
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

/** Types a text key by key; what no key makes is inserted. Stops at the next character when aborted. */
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
  // Both are on their way at once: the browser keeps their order, and half the waiting is saved.
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
