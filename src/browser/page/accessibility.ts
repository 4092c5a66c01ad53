import type { Protocol } from 'puppeteer-core';
import type { ClickableElements, PointerFacts, UnlistedElement } from './clickable.js';
import type { FrameDocument } from './frames.js';

type AXNode = Protocol.Accessibility.AXNode;

/** A frame's accessibility tree as the browser returns it. */
export interface AccessibilityFrame {
  readonly document: FrameDocument;
  readonly nodes: readonly AXNode[];
  readonly clickable: ClickableElements;
  /** Child frames, by the backend node id of their owner element. */
  readonly inner: Map<number, AccessibilityFrame>;
}

/** A node of the snapshot. It gets a uid when it is written. */
export interface SnapshotNode {
  readonly document: FrameDocument;
  readonly backendNodeId: number;
  readonly role: string;
  readonly name: string;
  /** Value and states, as printed after the name. */
  readonly states: string;
  /** A pointer can act on it itself. */
  readonly isTarget: boolean;
  readonly isFocusable: boolean;
  readonly children: readonly SnapshotNode[];
}

/** Nodes that only repeat the content of others. */
const droppedRoles: ReadonlySet<string> = new Set(['InlineTextBox', 'LineBreak', 'ListMarker']);
/** Nodes without meaning of their own: replaced by their children, unless focusable, named or clickable. */
const foldedRoles: ReadonlySet<string> = new Set(
  'none generic MenuListPopup LabelText Section LayoutTable rowgroup'.split(' '),
);
/** Fields whose parts (day, month, year) are set as a whole. */
const wholeRoles: ReadonlySet<string> = new Set(['Date', 'DateTime', 'InputTime', 'ColorWell']);
/** Roles that say by themselves that a pointer can act on the element. */
const pointerRoles: ReadonlySet<string> = new Set([
  ...wholeRoles,
  ...(
    'button checkbox combobox DisclosureTriangle link listbox menuitem menuitemcheckbox ' +
    'menuitemradio option PopUpButton radio searchbox slider spinbutton switch tab textbox treeitem'
  ).split(' '),
]);
/** Roles whose name already contains the text of their children. */
const rolesNamedByContent: ReadonlySet<string> = new Set(
  'button checkbox image menuitem menuitemcheckbox menuitemradio option radio switch tab'.split(' '),
);
/** Roles whose name the browser makes of all that they hold, which is shown itself. */
const rolesAroundContent: ReadonlySet<string> = new Set([
  'cell',
  'columnheader',
  'gridcell',
  'LayoutTableCell',
  'LayoutTableRow',
  'row',
  'rowheader',
]);
/** States shown when true, or with their value when it is a text. */
const shownStates: readonly string[] = [
  'busy',
  'checked',
  'disabled',
  'expanded',
  'focused',
  'hasPopup',
  'invalid',
  'modal',
  'multiselectable',
  'pressed',
  'readonly',
  'required',
  'selected',
];
const range: readonly string[] = ['valuemin', 'valuemax'];
/** States that are shown when false, too. */
const statesShownWhenFalse: ReadonlySet<string> = new Set(['expanded', 'checked', 'pressed']);

/** A node before adjacent texts are joined. */
interface DraftNode {
  readonly source: AXNode;
  readonly document: FrameDocument;
  readonly role: string;
  name: string;
  children: DraftNode[];
  /** A pointer can act on it, which its role does not say. Then the hint of an element without text. */
  readonly clickable: string | undefined;
  readonly size?: string | undefined;
  /** A pointer can act on it or on a part of it. */
  readonly isActionable: boolean;
  /** A text that begins or ends a line of its own. */
  startsLine?: boolean;
  endsLine?: boolean;
}

/** A computation that pauses now and then. */
export type Steps<Result> = Generator<undefined, Result>;

/** Merges the trees of a page's frames into one tree of the relevant nodes. Undefined if the page has none. */
export function* buildTree(main: AccessibilityFrame, verbose: boolean): Steps<SnapshotNode | undefined> {
  const [root] = yield* frameNodes(main, verbose);
  return root && (yield* toSnapshotNode(root, verbose));
}

function* frameNodes(frame: AccessibilityFrame, verbose: boolean): Steps<DraftNode[]> {
  const nodes = withUnlisted(frame);
  yield;
  const byId = new Map(nodes.map((node) => [node.nodeId, node]));
  yield;
  const [root] = nodes;
  return root ? yield* draftNodes(root, { frame, byId, verbose, inPointer: false, inControl: false }) : [];
}

/** The nodes, and under their nearest ancestor the clickable elements that the browser leaves out of its tree. */
function withUnlisted({ nodes, clickable }: AccessibilityFrame): readonly AXNode[] {
  const byBackendId = new Map(nodes.map((node) => [node.backendDOMNodeId, node]));
  const listed = new Set(nodes.flatMap(({ backendDOMNodeId = 0 }) => backendDOMNodeId));
  const added = new Map<string, AXNode[]>();
  for (const { ancestors, ...element } of clickable.unlisted(listed)) {
    const parentId = ancestors.find((ancestor) => listed.has(ancestor));
    const parent = byBackendId.get(parentId);
    if (parent) added.set(parent.nodeId, [...(added.get(parent.nodeId) ?? []), unlistedNode(element)]);
  }
  if (added.size === 0) return nodes;
  const extended = nodes.map((node) => {
    const more = added.get(node.nodeId);
    return more ? { ...node, childIds: [...(node.childIds ?? []), ...more.map(({ nodeId }) => nodeId)] } : node;
  });
  return [...extended, ...[...added.values()].flat()];
}

function unlistedNode({ backendNodeId: backendDOMNodeId, text, role }: Omit<UnlistedElement, 'ancestors'>): AXNode {
  return {
    nodeId: `unlisted-${backendDOMNodeId}`,
    ignored: false,
    role: { type: 'role', value: role },
    name: { type: 'string', value: text },
    backendDOMNodeId,
  };
}

interface WalkContext {
  readonly frame: AccessibilityFrame;
  readonly byId: ReadonlyMap<string, AXNode>;
  readonly verbose: boolean;
  /** Within an element that has the cursor of a link, which is inherited. */
  readonly inPointer: boolean;
  /** Within an element whose role says that it can be clicked. */
  readonly inControl: boolean;
}

/** Nodes between two pauses: a pause passes through all levels of the tree. */
const nodesPerStep = 32;
let nodesSeen = 0;
const isPauseDue = (): boolean => (nodesSeen += 1) % nodesPerStep === 0;

function* draftNodes(source: AXNode, walk: WalkContext): Steps<DraftNode[]> {
  if (isPauseDue()) yield;
  const role = textValue(source.role);
  if (droppedRoles.has(role)) return [];
  const name = collapseWhitespace(textValue(source.name));
  const { document } = walk.frame;
  if (role === 'StaticText') return name === '' ? [] : [textDraft(source, document, name)];
  const facts = walk.frame.clickable.facts.get(source.backendDOMNodeId ?? 0);
  const isControl = pointerRoles.has(role);
  const children = yield* childDrafts(source, walk, facts, isControl);
  const isClickable = !isControl && isClickTarget(source, facts, walk, children);
  if (!isClickable && isFolded(source, role, name, walk.verbose)) return inPlaceOf(facts, children);
  const isActionable = isControl || isClickable || children.some((child) => child.isActionable);
  const { hint = '', size } = facts ?? {};
  const clickable = isClickable ? hint : undefined;
  return [
    { source, document, role: role === 'none' ? 'generic' : role, name, children, clickable, size, isActionable },
  ];
}

/** The children of a folded node. */
function inPlaceOf(facts: PointerFacts | undefined, children: DraftNode[]): DraftNode[] {
  const [first, last] = [children[0], children.at(-1)];
  if (facts?.block === true && first && last) {
    first.startsLine = true;
    last.endsLine = true;
  }
  return children;
}

function* childDrafts(
  source: AXNode,
  walk: WalkContext,
  facts: PointerFacts | undefined,
  isControl: boolean,
): Steps<DraftNode[]> {
  if (wholeRoles.has(textValue(source.role)) && !walk.verbose) return [];
  const inner = {
    ...walk,
    inPointer: facts?.pointer ?? walk.inPointer,
    inControl: walk.inControl || isControl || facts?.labelsField === true,
  };
  const children: DraftNode[] = [];
  for (const id of source.childIds ?? []) {
    const child = walk.byId.get(id);
    if (child) children.push(...(yield* draftNodes(child, inner)));
  }
  const frame = source.backendDOMNodeId === undefined ? undefined : walk.frame.inner.get(source.backendDOMNodeId);
  if (frame) children.push(...(yield* frameNodes(frame, walk.verbose)));
  return children;
}

const textDraft = (source: AXNode, document: FrameDocument, name: string): DraftNode => ({
  ...{ source, document, role: 'text', name, children: [] },
  clickable: undefined,
  isActionable: false,
});

/** Entries of lists and tables: a listener on one is for clicks on it, also where it has targets of its own. */
const entryRoles: ReadonlySet<string> = new Set(
  'article cell columnheader gridcell LayoutTableCell LayoutTableRow listitem row rowheader'.split(' '),
);

/**
 * Whether clicks are meant for this element: it has the cursor of a link and its parent has not, or it has a listener and
 * is an entry, or has no targets in it, whose clicks it may only collect.
 */
function isClickTarget(
  source: AXNode,
  facts: PointerFacts | undefined,
  { inPointer, inControl }: WalkContext,
  children: readonly DraftNode[],
): boolean {
  if (propertyValue(source, 'clickable') === true) return true;
  if (!facts || facts.labelsField || source.backendDOMNodeId === undefined) return false;
  const hasTargets = children.some((child) => child.isActionable);
  if (facts.listener && (!hasTargets || entryRoles.has(textValue(source.role)))) return true;
  const isCover = children.length === 1 && hasTargets;
  return facts.pointer && !inPointer && !inControl && !isCover;
}

function isFolded(source: AXNode, role: string, name: string, verbose: boolean): boolean {
  if (source.ignored) return true;
  if (source.backendDOMNodeId === undefined) return true;
  if (verbose || !foldedRoles.has(role)) return false;
  if (role === 'MenuListPopup') return true;
  return name === '' && propertyValue(source, 'focusable') !== true;
}

function* toSnapshotNode(draft: DraftNode, verbose: boolean): Steps<SnapshotNode> {
  if (isPauseDue()) yield;
  const joined = joinText(draft.children);
  const node = !verbose && isNamedByContent(draft, joined) ? { ...draft, name: '' } : draft;
  const value = joined.length === 0 ? '' : collapseWhitespace(textValue(node.source.value));
  const parent = { ...node, value };
  const children = joined.filter(
    (child, index) => !isRedundantText(child, parent, joined[index - 1], joined[index + 1]),
  );
  const [only] = children;
  // A paragraph with a single text is one line, not two.
  const merged = node.name === '' && children.length === 1 && only?.role === 'text';
  const name = merged ? only.name : node.name;
  const shown: SnapshotNode[] = [];
  if (!merged) for (const child of children) shown.push(yield* toSnapshotNode(child, verbose));
  return {
    document: node.document,
    backendNodeId: node.source.backendDOMNodeId ?? 0,
    role: node.role,
    name,
    states: statesOf(node, name, verbose) + sizeOf(node) + clickableDetails(node, name, children),
    isTarget: pointerRoles.has(node.role) || node.clickable !== undefined,
    isFocusable: propertyValue(node.source, 'focusable') === true,
    children: shown,
  };
}

function isNamedByContent({ role, name }: DraftNode, children: readonly DraftNode[]): boolean {
  if (
    !rolesAroundContent.has(role) ||
    name.length > maxComparedChars ||
    children.every((child) => child.role === 'text')
  )
    return false;
  const wanted = name.replaceAll(' ', '');
  let content = '';
  for (const text of textsIn(children)) {
    content += text.replaceAll(' ', '');
    // Elements around elements would each read all that is in them.
    if (!wanted.startsWith(content)) return false;
  }
  return content === wanted;
}

function* textsIn(nodes: readonly DraftNode[]): Generator<string> {
  for (const { name, children } of nodes) {
    if (children.length === 0) yield name;
    else yield* textsIn(children);
  }
}

const sizeOf = ({ size }: DraftNode): string => (size === undefined ? '' : ` ${size}`);

/** Identifies a clickable element without text by its id or classes. */
function clickableDetails({ clickable }: DraftNode, name: string, children: readonly DraftNode[]): string {
  if (clickable === undefined) return '';
  const isBare = name === '' && children.length === 0 && clickable !== '';
  return isBare ? ` clickable ${clickable}` : ' clickable';
}

/** Joins the texts of one line (a bold word, a line of source code). */
function joinText(nodes: readonly DraftNode[]): DraftNode[] {
  const joined: DraftNode[] = [];
  for (const node of nodes) {
    const before = joined.at(-1);
    const isApart = node.startsLine === true || before?.endsLine === true;
    if (node.role === 'text' && before?.role === 'text' && !isApart) {
      before.name = `${before.name} ${node.name}`;
      before.endsLine = node.endsLine === true;
    } else joined.push({ ...node });
  }
  return joined;
}

/** A longer name is not searched for the text of each child. */
const maxComparedChars = 10_000;

/** The text of a node that has nothing but text. */
const textIn = ({ name, children }: DraftNode): string =>
  children.every(({ role }) => role === 'text') ? children.map((child) => child.name).join(' ') || name : '';

/** Elements that name their parent: a line of their own would repeat the name. */
const naming = new Set(['Legend', 'caption', 'Figcaption']);

/** Whether a text only repeats its parent's name or value, or the name of the field that it labels. */
function isRedundantText(
  child: DraftNode,
  parent: DraftNode & { readonly value: string },
  before: DraftNode | undefined,
  after: DraftNode | undefined,
): boolean {
  if (naming.has(child.role)) return !child.isActionable && parent.name !== '' && textIn(child) === parent.name;
  if (child.role !== 'text') return false;
  if (before?.name === child.name || after?.name === child.name) return true;
  if (parent.name === '' || parent.role === 'RootWebArea') return false;
  if (rolesNamedByContent.has(parent.role)) return true;
  const isInName = parent.name.length <= maxComparedChars && parent.name.includes(child.name);
  return isInName || parent.value === child.name;
}

function statesOf({ source, role }: DraftNode, name: string, verbose: boolean): string {
  const parts: string[] = [];
  const level = propertyValue(source, 'level');
  // Rows of a tree stand side by side: only their level says what is within what.
  if ((role === 'heading' || role === 'row') && level !== undefined) parts.push(`level=${String(level)}`);
  const value = collapseWhitespace(textValue(source.value));
  if (value !== '' && value !== name) parts.push(`value=${quoted(value)}`);
  parts.push(...shownStates.flatMap((state) => stateOf(source, state)));
  if (role === 'slider' || role === 'spinbutton') parts.push(...range.flatMap((bound) => stateOf(source, bound)));
  if (verbose) parts.push(...verboseDetails(source));
  return parts.map((part) => ` ${part}`).join('');
}

/** Characters that change the direction of what follows are written as escapes, so that they cannot reorder a line. */
export function quoted(text: string): string {
  const escapeOf = (character: string): string => `\\u${character.charCodeAt(0).toString(16)}`;
  return JSON.stringify(text).replace(/[\u202A-\u202E\u2066-\u2069]/g, escapeOf);
}

function stateOf(source: AXNode, state: string): string[] {
  const value = propertyValue(source, state);
  if (value === undefined || value === '') return [];
  if (value === true || value === 'true') return [state];
  if (value === false || value === 'false') return statesShownWhenFalse.has(state) ? [`${state}=false`] : [];
  return [`${state}=${String(value)}`];
}

function verboseDetails(source: AXNode): string[] {
  const url = propertyValue(source, 'url');
  const description = collapseWhitespace(textValue(source.description));
  return [
    ...(description === '' ? [] : [`description=${quoted(description)}`]),
    ...(typeof url === 'string' && url !== '' ? [`url=${JSON.stringify(url)}`] : []),
    ...(propertyValue(source, 'focusable') === true ? ['focusable'] : []),
  ];
}

/** AX values are primitives of several types. */
function propertyValue(source: AXNode, name: string): string | number | boolean | undefined {
  const found = source.properties?.find((candidate) => candidate.name === name);
  const value: unknown = found?.value.value;
  return isPrimitive(value) ? value : undefined;
}

function textValue(value: Protocol.Accessibility.AXValue | undefined): string {
  const content: unknown = value?.value;
  return isPrimitive(content) ? String(content) : '';
}

const isPrimitive = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';

const collapseWhitespace = (value: string): string => value.replace(/\s+/g, ' ').trim();
