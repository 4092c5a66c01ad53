import type { Protocol } from 'puppeteer-core';
import type { FrameDocument } from './frames.js';

type AXNode = Protocol.Accessibility.AXNode;

/** A frame's accessibility tree as the browser returns it. */
export interface AccessibilityFrame {
  readonly document: FrameDocument;
  readonly nodes: readonly AXNode[];
  /** Child frames, by the backend node id of their owner element. */
  readonly inner: Map<number, AccessibilityFrame>;
}

/** A node of the snapshot. */
export interface SnapshotNode {
  readonly uid: string;
  readonly role: string;
  readonly name: string;
  /** Name, states and value, as printed after the role. */
  readonly details: string;
  readonly children: readonly SnapshotNode[];
}

export interface TreeOptions {
  readonly verbose: boolean;
  readonly uidOf: (document: FrameDocument, backendNodeId: number) => string;
}

/** Nodes that only repeat the content of others. */
const droppedRoles: ReadonlySet<string> = new Set(['InlineTextBox', 'LineBreak', 'ListMarker']);
/** Nodes without meaning of their own: replaced by their children, unless focusable or named. */
const foldedRoles: ReadonlySet<string> = new Set([
  'none',
  'generic',
  'LabelText',
  'Section',
  'LayoutTable',
  'LayoutTableRow',
  'LayoutTableCell',
  'rowgroup',
]);
/** Roles whose name already contains the text of their children. */
const rolesNamedByContent: ReadonlySet<string> = new Set([
  'button',
  'checkbox',
  'image',
  'menuitem',
  'menuitemcheckbox',
  'menuitemradio',
  'option',
  'radio',
  'switch',
  'tab',
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
/** States that are shown when false, too. */
const statesShownWhenFalse: ReadonlySet<string> = new Set(['expanded', 'checked', 'pressed']);

/** A node before adjacent texts are joined. */
interface DraftNode {
  readonly source: AXNode;
  readonly document: FrameDocument;
  readonly role: string;
  name: string;
  children: DraftNode[];
}

/** Folds the trees of a page's frames into one of the relevant nodes. Only shown nodes get a uid. */
export function buildTree(main: AccessibilityFrame, options: TreeOptions): SnapshotNode {
  const drafts = frameNodes(main, options.verbose);
  const [root] = drafts;
  if (!root) return { uid: 'e0', role: 'RootWebArea', name: '', details: '', children: [] };
  return toSnapshotNode(root, options);
}

function frameNodes(frame: AccessibilityFrame, verbose: boolean): DraftNode[] {
  const byId = new Map(frame.nodes.map((node) => [node.nodeId, node]));
  const [root] = frame.nodes;
  return root ? draftNodes(root, { frame, byId, verbose }) : [];
}

interface WalkContext {
  readonly frame: AccessibilityFrame;
  readonly byId: ReadonlyMap<string, AXNode>;
  readonly verbose: boolean;
}

function draftNodes(source: AXNode, walk: WalkContext): DraftNode[] {
  const role = textValue(source.role);
  if (droppedRoles.has(role)) return [];
  const name = collapseWhitespace(textValue(source.name));
  const { document } = walk.frame;
  if (role === 'StaticText') return name === '' ? [] : [{ source, document, role: 'text', name, children: [] }];
  const children = [...childNodes(source, walk), ...innerFrameNodes(source, walk)];
  if (isFolded(source, role, name, walk.verbose)) return children;
  return [{ source, document, role, name, children }];
}

function childNodes(source: AXNode, walk: WalkContext): DraftNode[] {
  return (source.childIds ?? []).flatMap((id) => {
    const child = walk.byId.get(id);
    return child ? draftNodes(child, walk) : [];
  });
}

function innerFrameNodes(source: AXNode, { frame, verbose }: WalkContext): DraftNode[] {
  const inner = source.backendDOMNodeId === undefined ? undefined : frame.inner.get(source.backendDOMNodeId);
  return inner ? frameNodes(inner, verbose) : [];
}

function isFolded(source: AXNode, role: string, name: string, verbose: boolean): boolean {
  if (source.ignored) return true;
  if (source.backendDOMNodeId === undefined) return true;
  if (verbose || !foldedRoles.has(role)) return false;
  return name === '' && propertyValue(source, 'focusable') !== true;
}

function toSnapshotNode(node: DraftNode, options: TreeOptions): SnapshotNode {
  const joined = joinText(node.children);
  const children = joined.filter((child, index) => !isRedundantText(child, node, joined[index - 1], joined[index + 1]));
  const [only] = children;
  // A paragraph with a single text is one line, not two.
  const merged = node.name === '' && children.length === 1 && only?.role === 'text';
  const name = merged ? only.name : node.name;
  return {
    uid: options.uidOf(node.document, node.source.backendDOMNodeId ?? 0),
    role: node.role,
    name,
    details: detailsOf(node.source, name, node.role, options.verbose),
    children: merged ? [] : children.map((child) => toSnapshotNode(child, options)),
  };
}

/** Joins adjacent texts (a bold word, a line of source code). */
function joinText(nodes: readonly DraftNode[]): DraftNode[] {
  const joined: DraftNode[] = [];
  for (const node of nodes) {
    const before = joined.at(-1);
    if (node.role === 'text' && before?.role === 'text') before.name = `${before.name} ${node.name}`;
    else joined.push({ ...node });
  }
  return joined;
}

/** Whether a text only repeats its parent's name or value, or the name of the field that it labels. */
function isRedundantText(
  child: DraftNode,
  parent: DraftNode,
  before: DraftNode | undefined,
  after: DraftNode | undefined,
): boolean {
  if (child.role !== 'text') return false;
  if (before?.name === child.name || after?.name === child.name) return true;
  if (parent.name === '' || parent.role === 'RootWebArea') return false;
  if (rolesNamedByContent.has(parent.role) || parent.name.includes(child.name)) return true;
  return collapseWhitespace(textValue(parent.source.value)) === child.name;
}

function detailsOf(source: AXNode, name: string, role: string, verbose: boolean): string {
  const parts: string[] = [];
  if (name !== '') parts.push(JSON.stringify(name));
  const level = propertyValue(source, 'level');
  if (role === 'heading' && level !== undefined) parts.push(`level=${String(level)}`);
  const value = collapseWhitespace(textValue(source.value));
  if (value !== '' && value !== name) parts.push(`value=${JSON.stringify(value)}`);
  parts.push(...shownStates.flatMap((state) => stateOf(source, state)));
  if (role === 'slider' || role === 'spinbutton') parts.push(...rangeOf(source));
  if (verbose) parts.push(...verboseDetails(source));
  return parts.map((part) => ` ${part}`).join('');
}

function stateOf(source: AXNode, state: string): string[] {
  const value = propertyValue(source, state);
  if (value === undefined || value === '') return [];
  if (value === true || value === 'true') return [state];
  if (value === false || value === 'false') return statesShownWhenFalse.has(state) ? [`${state}=false`] : [];
  return [`${state}=${String(value)}`];
}

function rangeOf(source: AXNode): string[] {
  return ['valuemin', 'valuemax'].flatMap((bound) => {
    const value = propertyValue(source, bound);
    return value === undefined ? [] : [`${bound}=${String(value)}`];
  });
}

function verboseDetails(source: AXNode): string[] {
  const url = propertyValue(source, 'url');
  const description = collapseWhitespace(textValue(source.description));
  return [
    ...(description === '' ? [] : [`description=${JSON.stringify(description)}`]),
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

function isPrimitive(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function collapseWhitespace(value: string): string {
  return value.replace(/\s+/g, ' ').trim();
}
