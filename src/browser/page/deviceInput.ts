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

function isModifier(name: string): name is Modifier {
  return Object.hasOwn(modifierBits, name);
}

/** Parses `Control+Shift+A`, `Enter`, `+`, `Control++`. Throws a ToolError that lists the keys. */
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

/** Moves there and clicks, `count` times. */
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

/**
 * Presses at one point and releases at another. HTML drag and drop is intercepted and dispatched (CDP
 * Input.setInterceptDrags), since a headless browser has no desktop that would do it.
 */
export async function dragBetween(cdp: CDPSession, from: Point, to: Point): Promise<void> {
  await cdp.send('Input.setInterceptDrags', { enabled: true });
  try {
    const held = { button: 'left', buttons: buttonBits.left } as const;
    let data: Protocol.Input.DragData | undefined;
    cdp.once('Input.dragIntercepted', (event) => (data = event.data));
    await movePointer(cdp, from);
    await cdp.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...from, ...held, clickCount: 1 });
    // The first step exceeds the threshold below which a browser sees a click.
    for (const part of [0.1, 0.5, 1]) {
      const x = from.x + (to.x - from.x) * part;
      const y = from.y + (to.y - from.y) * part;
      await cdp.send('Input.dispatchMouseEvent', { type: 'mouseMoved', x, y, ...held });
    }
    if (data) await dispatchDrop(cdp, to, data);
    await cdp.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...to, button: 'left', clickCount: 1 });
  } finally {
    await cdp.send('Input.setInterceptDrags', { enabled: false });
  }
}

async function dispatchDrop(cdp: CDPSession, to: Point, data: Protocol.Input.DragData): Promise<void> {
  await cdp.send('Input.dispatchDragEvent', { type: 'dragEnter', ...to, data });
  await cdp.send('Input.dispatchDragEvent', { type: 'dragOver', ...to, data });
  await cdp.send('Input.dispatchDragEvent', { type: 'drop', ...to, data });
}
