import type { DocumentSize, OutlineItem, OutlineReading } from './contract.js';
import { isElement, isShadowRoot, isSlot, isText, openNodes } from './elements.js';
import { describeNode } from './outlineNode.js';

/** Measures the document with its open shadow roots. */
export function measureDocument(): DocumentSize {
  let nodes = 0;
  let characters = 0;
  for (const node of openNodes(document)) {
    nodes += 1;
    if (isText(node)) characters += node.length;
  }
  return { nodes, characters };
}

interface OpenNode {
  /** Of its item. */
  readonly index: number;
  readonly children: Iterator<Node, unknown>;
}

/**
 * Reads a document in its order, beginning at the node `from` with its ancestors, until it has `maxNodes` nodes or
 * `maxCharacters` characters.
 */
export function readOutline(
  from: Node | null,
  maxNodes: number,
  maxCharacters: number,
  maxTextCharacters: number,
): OutlineReading {
  const path = pathTo(from);
  const ancestors = path.length;
  const nodes: Node[] = [document];
  const items: OutlineItem[] = [{ parent: -1, ...describeNode(document, maxTextCharacters) }];
  const open: OpenNode[] = [{ index: 0, children: childrenOf(document) }];
  let characters = 0;
  for (let parent = open.at(-1); parent !== undefined; parent = open.at(-1)) {
    const next = parent.children.next();
    if (next.done === true) {
      open.pop();
      continue;
    }
    const node = next.value;
    // Nodes before the first one to read are skipped.
    if (path.length > 0 && node !== path.at(-1)) continue;
    path.pop();
    if (!isShown(node, maxTextCharacters)) {
      path.length = 0;
      continue;
    }
    if (items.length > maxNodes + ancestors || characters >= maxCharacters) {
      nodes.push(node);
      break;
    }
    const item = { parent: parent.index, ...describeNode(node, maxTextCharacters) };
    if (path.length === 0) characters += item.name.length + (item.value?.length ?? 0);
    open.push({ index: items.length, children: childrenOf(node) });
    items.push(item);
    nodes.push(node);
  }
  return { items: JSON.stringify(items), nodes };
}

/** A node and its ancestors below the document, outermost last. */
function pathTo(from: Node | null): Node[] {
  const path: Node[] = [];
  for (let at = from; at && at !== document; at = parentOf(at)) path.push(at);
  return path;
}

function parentOf(node: Node): Node | null {
  const slot = isElement(node) || isText(node) ? node.assignedSlot : null;
  if (slot !== null) return slot;
  const { parentNode } = node;
  return parentNode !== null && isShadowRoot(parentNode) ? parentNode.host : parentNode;
}

/** The rendered children: of a slot its assigned nodes, of a shadow host those of its shadow root. */
function childrenOf(node: Node): Iterator<Node, unknown> {
  if (isSlot(node)) {
    const assigned = node.assignedNodes();
    if (assigned.length > 0) return assigned.values();
  }
  const shadowRoot = isElement(node) ? node.shadowRoot : null;
  return (shadowRoot ?? node).childNodes.values();
}

const hiddenTags = new Set(['HEAD', 'NOSCRIPT', 'SCRIPT', 'STYLE', 'TEMPLATE']);

function isShown(node: Node, maxTextCharacters: number): boolean {
  if (isText(node)) return /\S/.test(node.substringData(0, maxTextCharacters));
  if (!isElement(node) || hiddenTags.has(node.tagName) || node.getAttribute('aria-hidden') === 'true') return false;
  return node.checkVisibility() || getComputedStyle(node).display === 'contents';
}
