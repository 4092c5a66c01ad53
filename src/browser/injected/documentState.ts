import type { DocumentState } from './contract.js';
import { everyChange, isElement, isText, openNodes } from './elements.js';

interface Reading {
  changes: number;
  readonly observer: MutationObserver;
}

interface ElementNumbers {
  last: number;
  readonly of: WeakMap<Element, number>;
}

declare global {
  interface Window {
    /** The reading that has begun in this world. */
    reading?: Reading;
    /** The elements that were in a state, by which two readings can be compared. */
    elementNumbers?: ElementNumbers;
  }
}

/** States of elements that are neither in the document nor in its layout. */
const stateSelectors = [
  ':modal',
  ':popover-open',
  ':fullscreen',
  ':open',
  ':indeterminate',
  ':invalid',
  ':user-invalid',
];
/** Relations that a script set as elements: the attribute is empty then. */
const setAsElements = 'labelledby describedby controls owns activedescendant details errormessage flowto'
  .split(' ')
  .map((name) => `[aria-${name}=""]`)
  .join();

/** Measures the document with its open shadow roots, reads its states, and watches it until `endReading`. */
export function beginReading(): DocumentState {
  endReading();
  const reading: Reading = {
    changes: 0,
    observer: new MutationObserver((records) => {
      reading.changes += records.length;
    }),
  };
  window.reading = reading;
  const states: string[] = [String(document.hasFocus()), document.designMode];
  let nodes = 0;
  let characters = 0;
  let isTold = true;
  const nodesOf = openNodes(document, (root) => {
    reading.observer.observe(root, everyChange);
    states.push(...statesIn(root));
    isTold &&= root.querySelector(setAsElements) === null;
  });
  for (const node of nodesOf) {
    nodes += 1;
    if (isText(node)) characters += node.length;
    // Only custom elements have internals, with a role and states that no other script can read.
    else if (isElement(node) && node.localName.includes('-')) isTold = false;
  }
  return { nodes, characters, states: isTold ? states.join() : null };
}

/** Ends the reading. Whether the document is unchanged since the reading began. */
export function endReading(): boolean {
  const { reading } = window;
  if (reading === undefined) return false;
  delete window.reading;
  const changes = reading.changes + reading.observer.takeRecords().length;
  reading.observer.disconnect();
  return changes === 0;
}

function statesIn(root: Document | ShadowRoot): string[] {
  const { activeElement } = root;
  const active = activeElement === null ? [] : [activeElement];
  const inState = (selector: string): Iterable<Element> =>
    CSS.supports(`selector(${selector})`) ? root.querySelectorAll(selector) : [];
  return [active, ...stateSelectors.map(inState)].map((elements) => Array.from(elements, numberOf).join(' '));
}

function numberOf(element: Element): number {
  const numbers = (window.elementNumbers ??= { last: 0, of: new WeakMap() });
  const number = numbers.of.get(element) ?? ++numbers.last;
  numbers.of.set(element, number);
  return number;
}
