import type { Hash } from 'node:crypto';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { inSlices } from '../patterns/slices.js';

type CapturedDocument = Protocol.DOMSnapshot.DocumentSnapshot;

/** How a pointer can act on a drawn element. */
export interface PointerFacts {
  /** A listener for clicks is attached to it. */
  readonly listener: boolean;
  /** Its cursor is that of a link. */
  readonly pointer: boolean;
  /** It is the label of a field that is drawn, and only repeats it. */
  readonly labelsField: boolean;
  /** It begins a line of its own. */
  readonly block: boolean;
  /** Its id or classes, for an element that shows no text. */
  readonly hint: string;
  /** Of a canvas: 400×300. */
  readonly size: string | undefined;
}

/** An element that can be clicked, or a canvas, that the accessibility tree leaves out. */
export interface UnlistedElement {
  readonly backendNodeId: number;
  readonly role: 'generic' | 'Canvas';
  readonly text: string;
  /** Backend ids of its ancestors, the nearest first. */
  readonly ancestors: readonly number[];
}

/** The elements of one document that a pointer can act on, by backend node id. */
export interface ClickableElements {
  readonly facts: ReadonlyMap<number, PointerFacts>;
  /** Those among them that are not in `listed`, outermost first. */
  unlisted(listed: ReadonlySet<number>): UnlistedElement[];
}

export const noClickables: ClickableElements = { facts: new Map(), unlisted: () => [] };

const readStyles = ['cursor', 'display', 'visibility', 'pointer-events'];
/** Of `Node.nodeType`. */
const elementType = 1;
const nodesPerStep = 100;
/** The nodes of a document that is read are bounded. */
const maxReadMs = 60_000;
const maxHintLength = 60;
const maxTextLength = 200;
/** Elements that react to clicks without a listener, and are listed by their own roles. */
const fieldTags: ReadonlySet<string> = new Set(['INPUT', 'SELECT', 'TEXTAREA', 'BUTTON', 'OPTION', 'A', 'SUMMARY']);

/** The documents that a session renders, as they are laid out. */
export type Capture = Protocol.DOMSnapshot.CaptureSnapshotResponse;

/**
 * Captures the documents of a session (CDP DOMSnapshot.captureSnapshot, which sees listeners, computed styles and
 * closed shadow roots in one call). A closed session has none.
 */
export function captureDocuments(cdp: CDPSession): Promise<Capture> {
  return cdp
    .send('DOMSnapshot.captureSnapshot', { computedStyles: readStyles })
    .catch(() => ({ documents: [], strings: [] }));
}

/** The clickable elements of each captured document, by frame id. */
export function readClickables({ documents, strings }: Capture): Promise<ReadonlyMap<string, ClickableElements>> {
  return inSlices(readCaptured(documents, strings), undefined, maxReadMs);
}

/**
 * Adds the parts of a capture that a snapshot may show to a hash. False if the capture has a closed shadow root, since
 * elements in it may have unobservable states.
 */
export function hashCapture({ documents, strings }: Capture, hash: Hash): Promise<boolean> {
  return inSlices(hashCaptured(documents, strings, hash), undefined, maxReadMs);
}

function* hashCaptured(
  documents: readonly CapturedDocument[],
  strings: readonly string[],
  hash: Hash,
): Generator<undefined, boolean> {
  let isTold = true;
  for (const [index, text] of strings.entries()) {
    if (index % nodesPerStep === 0) yield;
    hash.update(`${text.length} ${text}`);
  }
  for (const { nodes, layout, frameId, title, documentURL } of documents) {
    isTold &&= !(nodes.shadowRootType?.value ?? []).some((type) => strings[type] === 'closed');
    // Without where the boxes are: what moves or was scrolled is the same in a snapshot.
    const boxes = layout.bounds.map(([, , width, height], at) => {
      if (width === 0 || height === 0) return 0;
      return strings[nodes.nodeName?.[layout.nodeIndex[at] ?? -1] ?? -1] === 'CANVAS' ? [width, height] : 1;
    });
    const ofNodes: unknown[] = Object.values(nodes);
    const ofLayout = [boxes, layout.nodeIndex, layout.text, layout.styles];
    for (const part of [frameId, title, documentURL, ...ofLayout, ...ofNodes]) {
      yield;
      hash.update(JSON.stringify(part));
    }
  }
  return isTold;
}

function* readCaptured(
  documents: readonly CapturedDocument[],
  strings: readonly string[],
): Generator<undefined, Map<string, ClickableElements>> {
  const found = new Map<string, ClickableElements>();
  for (const document of documents) {
    const elements = new CapturedElements(document, strings);
    yield* elements.read();
    found.set(strings[document.frameId] ?? '', elements);
  }
  return found;
}

interface Layout {
  readonly styles: readonly string[];
  readonly width: number;
  readonly height: number;
  readonly text: string;
}

const sizeOf = (width: number, height: number): string | undefined =>
  width > 0 && height > 0 ? `${Math.round(width)}×${Math.round(height)}` : undefined;

class CapturedElements implements ClickableElements {
  readonly facts = new Map<number, PointerFacts>();
  readonly #nodes: Protocol.DOMSnapshot.NodeTreeSnapshot;
  readonly #layout: Protocol.DOMSnapshot.LayoutTreeSnapshot;
  readonly #strings: readonly string[];
  /** By index of the node. */
  readonly #layouts = new Map<number, Layout>();
  readonly #indexes = new Map<number, number>();

  constructor({ nodes, layout }: CapturedDocument, strings: readonly string[]) {
    this.#nodes = nodes;
    this.#layout = layout;
    this.#strings = strings;
  }

  /** Must run to its end before other methods are called. */
  *read(): Generator<undefined, void> {
    const [nodes, layout] = [this.#nodes, this.#layout];
    for (const [at, index] of layout.nodeIndex.entries()) {
      if (at % nodesPerStep === 0) yield;
      const [, , width = 0, height = 0] = layout.bounds[at] ?? [];
      this.#layouts.set(index, {
        styles: (layout.styles[at] ?? []).map((style) => this.#text(style)),
        width,
        height,
        text: this.#text(layout.text[at]),
      });
    }
    const clickable = new Set(nodes.isClickable?.index);
    const fieldOfLabel = this.#fieldsOfLabels();
    for (const [index, drawn] of this.#layouts) {
      if (index % nodesPerStep === 0) yield;
      const id = nodes.backendNodeId?.[index];
      if (id === undefined || nodes.nodeType?.[index] !== elementType) continue;
      this.facts.set(id, this.#factsOf(index, drawn, clickable.has(index), fieldOfLabel.get(index)));
      this.#indexes.set(id, index);
    }
  }

  #factsOf(
    index: number,
    { styles, width, height }: Layout,
    isClickable: boolean,
    field: number | undefined,
  ): PointerFacts {
    const [cursor, display = '', visibility, pointerEvents] = styles;
    const isReached = sizeOf(width, height) !== undefined && visibility === 'visible' && pointerEvents !== 'none';
    const isFieldDrawn = field !== undefined && this.#layouts.has(field);
    const tag = this.#tagOf(index);
    // Chrome counts every label as clickable. One whose field is not drawn is the only way to it.
    const listener = tag === 'LABEL' ? field !== undefined && !isFieldDrawn : isClickable;
    return {
      listener: isReached && listener && tag !== 'BODY' && tag !== 'HTML',
      pointer: isReached && cursor === 'pointer',
      labelsField: isFieldDrawn,
      block: !display.startsWith('inline') && display !== 'contents',
      hint: this.#hintOf(index),
      size: tag === 'CANVAS' ? sizeOf(width, height) : undefined,
    };
  }

  unlisted(listed: ReadonlySet<number>): UnlistedElement[] {
    const found: UnlistedElement[] = [];
    for (const [backendNodeId, index] of this.#indexes) {
      if (listed.has(backendNodeId) || fieldTags.has(this.#tagOf(index))) continue;
      const facts = this.facts.get(backendNodeId);
      if (!facts || (!facts.listener && !facts.pointer && facts.size === undefined)) continue;
      const ancestors = this.#ancestorsOf(index);
      const isInside = ancestors.some((ancestor) => !listed.has(ancestor) && this.#isClickable(ancestor));
      if (isInside || (!facts.listener && this.facts.get(ancestors[0] ?? 0)?.pointer === true)) continue;
      const role = facts.size === undefined ? 'generic' : 'Canvas';
      found.push({ backendNodeId, role, text: this.#textIn(index), ancestors });
    }
    return found;
  }

  #isClickable(backendNodeId: number): boolean {
    const facts = this.facts.get(backendNodeId);
    return facts !== undefined && (facts.listener || facts.pointer);
  }

  #ancestorsOf(index: number): number[] {
    const ancestors: number[] = [];
    for (let at = this.#parentOf(index); at >= 0; at = this.#parentOf(at)) {
      const id = this.#nodes.backendNodeId?.[at];
      if (id !== undefined) ancestors.push(id);
    }
    return ancestors;
  }

  /** The text that is drawn within an element; what is in it follows it directly. */
  #textIn(index: number): string {
    const parts: string[] = [];
    const inside = new Set([index]);
    for (let at = index + 1; inside.has(this.#parentOf(at)) && parts.length < maxTextLength; at++) {
      inside.add(at);
      const text = this.#layouts.get(at)?.text;
      if (text !== undefined && text !== '') parts.push(text);
    }
    return parts.join(' ').slice(0, maxTextLength);
  }

  /** The field of each label, by index. */
  #fieldsOfLabels(): ReadonlyMap<number, number> {
    const fields = new Map<string, number>();
    const labels: number[] = [];
    const found = new Map<number, number>();
    for (let index = 0; index < (this.#nodes.nodeName?.length ?? 0); index++) {
      const tag = this.#tagOf(index);
      if (tag === 'LABEL') labels.push(index);
      if (!fieldTags.has(tag)) continue;
      fields.set(this.#attribute(index, 'id'), index);
      for (let at = this.#parentOf(index); at >= 0; at = this.#parentOf(at)) {
        if (this.#tagOf(at) === 'LABEL' && !found.has(at)) found.set(at, index);
      }
    }
    for (const index of labels) {
      const id = this.#attribute(index, 'for');
      const field = id === '' ? undefined : fields.get(id);
      if (field !== undefined) found.set(index, field);
    }
    return found;
  }

  #hintOf(index: number): string {
    const [id, classes] = [this.#attribute(index, 'id'), this.#attribute(index, 'class')];
    const named = id === '' ? (classes === '' ? '' : `class=${JSON.stringify(classes)}`) : `id=${JSON.stringify(id)}`;
    return named.length > maxHintLength ? `${named.slice(0, maxHintLength - 2)}…"` : named;
  }

  #attribute(index: number, name: string): string {
    const attributes = this.#nodes.attributes?.[index] ?? [];
    for (let at = 0; at + 1 < attributes.length; at += 2) {
      if (this.#text(attributes[at]) === name) return this.#text(attributes[at + 1]);
    }
    return '';
  }

  #tagOf(index: number): string {
    return this.#text(this.#nodes.nodeName?.[index]);
  }

  #parentOf(index: number): number {
    return this.#nodes.parentIndex?.[index] ?? -1;
  }

  #text(index: number | undefined): string {
    return (index === undefined ? undefined : this.#strings[index]) ?? '';
  }
}

/**
 * The text that is drawn in the closed shadow trees of a session's documents, which no script can see (CDP
 * DOMSnapshot.captureSnapshot).
 */
export async function readClosedText(cdp: CDPSession): Promise<string> {
  const { documents, strings } = await cdp.send('DOMSnapshot.captureSnapshot', { computedStyles: [] });
  return documents.map((document) => closedText(document, strings)).join('\n');
}

function closedText({ nodes, layout }: CapturedDocument, strings: readonly string[]): string {
  const { index: roots = [], value: types = [] } = nodes.shadowRootType ?? {};
  const inside = new Set(roots.filter((_, at) => strings[types[at] ?? -1] === 'closed'));
  if (inside.size === 0) return '';
  const texts = new Map(layout.nodeIndex.map((index, at) => [index, strings[layout.text[at] ?? -1] ?? '']));
  const parts: string[] = [];
  for (const [index, parent] of (nodes.parentIndex ?? []).entries()) {
    if (!inside.has(parent) && !inside.has(index)) continue;
    inside.add(index);
    const text = texts.get(index);
    if (text) parts.push(text);
  }
  return parts.join(' ');
}
