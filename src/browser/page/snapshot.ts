import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { CDPSession, Protocol } from 'puppeteer-core';
import { ToolError } from '../../errors/errors.js';
import type { DocumentSize, DocumentState, OutlineItem } from '../injected/contract.js';
import {
  beginReading as beginningOfReading,
  endReading as endOfReading,
  readOutline,
} from '../cdp/injectedFunctions.js';
import { captureDocuments, hashCapture, noClickables, readClickables, type Capture } from './clickable.js';
import { inSlices } from '../patterns/slices.js';
import { buildTree, type AccessibilityFrame, type SnapshotNode, type Steps } from './accessibility.js';
import { writeLines, type LineOptions, type SnapshotLines } from './snapshotLines.js';
import type { FrameDocument } from './frames.js';
import type { NodeAddress } from './elementUids.js';
import type { SessionPage, WholeSnapshot } from './sessionPage.js';

/** How much was read of a page that is too large to be read completely. */
export interface PartialRead {
  /** Nodes that were read. `nodes` and `characters` are the totals. */
  readonly read: number;
  readonly nodes: number;
  readonly characters: number;
  /** The first node that was not read. */
  readonly next: string | undefined;
}

export interface Snapshot {
  readonly url: string;
  readonly title: string;
  /** One line per node, or row of a table, indented by one space per level. */
  readonly lines: readonly string[];
  /** The uids of the elements among them that a pointer can act on. */
  readonly targets: readonly string[];
  /** Undefined when the page was read whole. */
  readonly part: PartialRead | undefined;
}

export interface SnapshotOptions {
  /** Keeps structure, and properties that are usually noise, and gives each cell of a table a line. */
  readonly verbose: boolean;
  /** The uid of the first node to show. Default: the page's first. */
  readonly from?: string | undefined;
}

/**
 * The limit for reading documents completely, in nodes of the accessibility tree; a line of text counts as one more.
 * The browser can only build the tree of a complete document, at 10,000 nodes per second on slow machines.
 */
const maxWholeNodes = 40_000;
const charactersPerLine = 50;
/** The limit of nodes bounds the work; the tool has a deadline. */
const maxBuildMs = 60_000;
/** The limit for the outline of a larger document. */
export const outlineBounds = { nodes: 2_000, characters: 100_000 };

/** A longer one is read anew each time. */
const maxKeptBytes = 1_000_000;

const stateSchema = z.object({
  nodes: z.number(),
  characters: z.number(),
  states: z.string().nullable(),
}) satisfies z.ZodType<DocumentState>;

const emptyState: DocumentState = { nodes: 0, characters: 0, states: null };

interface FrameReading extends AccessibilityFrame {
  readonly weight: DocumentSize;
  readonly isWhole: boolean;
  /** The first node that was not read, of a document that was not read whole. */
  readonly next: number | undefined;
}

/**
 * The page's accessibility tree as text (CDP Accessibility.getFullAXTree of every frame), with a uid for every node
 * shown. Of documents that are too large, an outline from the start or from `from`; `part` then says how much was read.
 * Of a page in which nothing changed since the last one, that one. Throws a ToolError if `from` is not shown.
 */
export async function takeSnapshot(page: SessionPage, { verbose, from }: SnapshotOptions): Promise<Snapshot> {
  const start = from === undefined ? undefined : page.elements.addressOf(from);
  const begun = await beginReading(page);
  const last = page.lastSnapshot;
  if (last?.verbose === verbose && last.fingerprint === (await begun.fingerprint()))
    return { ...last, lines: linesFrom(from, last), part: undefined };
  const frames = await readFrames(page, begun, start);
  const wasStill = begun.isWhole && (await endReading(page, begun));
  await Promise.all(frames.map((frame) => linkToOwner(frame, frames)));
  const [main] = frames;
  if (!main) return { url: page.url(), title: '', lines: [], targets: [], part: undefined };
  const uidOf = ({ document, backendNodeId }: SnapshotNode): string => page.elements.uidOf(document, backendNodeId);
  const written = await inSlices(writeTree(main, { verbose, uidOf }), undefined, maxBuildMs);
  const { url } = main.document;
  const fingerprint = wasStill ? await begun.fingerprint() : undefined;
  page.lastSnapshot = fingerprint === undefined ? undefined : keptSnapshot({ ...written, url, verbose, fingerprint });
  const isOutlined = frames.some(({ document, isWhole }) => !isWhole && document.frameId === start?.document.frameId);
  const lines = isOutlined ? written.lines : linesFrom(from, written);
  return { url, title: written.title, lines, targets: written.targets, part: partialReadOf(page, frames, start) };
}

/** The state of a page when reading it begins. */
interface BegunReading {
  readonly documents: readonly FrameDocument[];
  readonly states: readonly DocumentState[];
  /** Which documents are read whole. */
  readonly whole: readonly boolean[];
  readonly isWhole: boolean;
  /** Of those sessions all of whose documents are read whole. */
  readonly captures: ReadonlyMap<CDPSession, Promise<Capture>>;
  /** Equal for two readings if no snapshot of the page can differ. Undefined if that cannot be determined. */
  fingerprint(): Promise<string | undefined>;
}

async function beginReading(page: SessionPage): Promise<BegunReading> {
  const documents = await page.frames.documents();
  const states = await Promise.all(documents.map((document, index) => beginDocument(page, document, index === 0)));
  const whole = selectWhole(states);
  const isWhole = whole.every(Boolean);
  const partial = new Set(documents.filter((_, index) => whole[index] !== true).map(({ cdp }) => cdp));
  const sessions = new Set(documents.map(({ cdp }) => cdp).filter((cdp) => !partial.has(cdp)));
  const captures = new Map([...sessions].map((cdp) => [cdp, captureDocuments(cdp)]));
  let made: Promise<string | undefined> | undefined;
  const fingerprint = () => (made ??= fingerprintOf({ documents, states, captures }));
  return {
    documents,
    states,
    whole,
    isWhole,
    captures,
    fingerprint: async () => (isWhole ? fingerprint() : undefined),
  };
}

async function fingerprintOf({
  documents,
  states,
  captures,
}: Pick<BegunReading, 'documents' | 'states' | 'captures'>): Promise<string | undefined> {
  if (states.some((state) => state.states === null)) return undefined;
  const hash = createHash('sha256');
  hash.update(JSON.stringify(documents.map(({ frameId, loaderId }, index) => [frameId, loaderId, states[index]])));
  for (const capturing of captures.values()) {
    const capture = await capturing;
    if (capture.documents.length === 0 || !(await hashCapture(capture, hash))) return undefined;
  }
  return hash.digest('base64');
}

/** Whether the page was the same from its capture to the end of its reading. */
async function endReading(page: SessionPage, { documents }: BegunReading): Promise<boolean> {
  const ends = documents.map((document) => page.callInIsolatedWorld(endOfReading, [], document).catch(() => false));
  return (await Promise.all(ends)).every((isStill) => isStill === true);
}

function keptSnapshot(snapshot: Omit<WholeSnapshot, 'bytes'>): WholeSnapshot | undefined {
  const bytes = snapshot.lines.reduce((sum, line) => sum + line.length, 0);
  return bytes > maxKeptBytes ? undefined : { ...snapshot, bytes };
}

async function readFrames(
  page: SessionPage,
  { documents, states, whole, captures }: BegunReading,
  start: NodeAddress | undefined,
): Promise<FrameReading[]> {
  const parts = whole.filter((isWhole) => !isWhole).length;
  const bounds = { nodes: outlineBounds.nodes / parts, characters: outlineBounds.characters / parts };
  const clickables = new Map([...captures].map(([cdp, capture]) => [cdp, capture.then(readClickables)]));
  const readings = documents.map(async (document, index): Promise<FrameReading> => {
    const isWhole = whole[index] === true;
    const from = start?.document.frameId === document.frameId ? start.backendNodeId : undefined;
    const reading = page.navigations.unlessBlocked(
      document.cdp,
      isWhole ? readWhole(document) : readDocumentOutline(page, document, bounds, from),
    );
    const read = await (index === 0 ? reading : reading.catch(() => ({ nodes: [], next: undefined })));
    const clickable = (await clickables.get(document.cdp))?.get(document.frameId) ?? noClickables;
    return { ...read, document, clickable, weight: states[index] ?? emptyState, isWhole, inner: new Map() };
  });
  return Promise.all(readings);
}

/** A child frame that is removed or waits for its server counts as empty; for the main frame the error is thrown. */
async function beginDocument(page: SessionPage, document: FrameDocument, isMain: boolean): Promise<DocumentState> {
  const beginning = page.navigations.unlessBlocked(
    document.cdp,
    page.callInIsolatedWorld(beginningOfReading, [], document),
  );
  return stateSchema.parse(await (isMain ? beginning : beginning.catch(() => emptyState)));
}

/** Selects the documents to read whole, so that together they are within the limit. */
function selectWhole(weights: readonly DocumentSize[]): boolean[] {
  let remaining = maxWholeNodes;
  return weights.map(({ nodes, characters }) => {
    const cost = nodes + characters / charactersPerLine;
    if (cost > remaining) return false;
    remaining -= cost;
    return true;
  });
}

async function readWhole({ cdp, frameId }: FrameDocument): Promise<Pick<FrameReading, 'nodes' | 'next'>> {
  const { nodes } = await cdp.send('Accessibility.getFullAXTree', { frameId });
  return { nodes, next: undefined };
}

/** How much was read; `next` is in the frame of `start` or in a later one. */
function partialReadOf(
  page: SessionPage,
  frames: readonly FrameReading[],
  start: NodeAddress | undefined,
): PartialRead | undefined {
  const parts = frames.filter(({ isWhole }) => !isWhole);
  if (parts.length === 0) return undefined;
  const sum = (numberOf: (frame: FrameReading) => number): number =>
    parts.reduce((total, frame) => total + numberOf(frame), 0);
  const first = parts.findIndex(({ document }) => document.frameId === start?.document.frameId);
  const unfinished = parts.slice(Math.max(first, 0)).find(({ next }) => next !== undefined);
  return {
    read: sum(({ nodes }) => nodes.length),
    nodes: sum(({ weight }) => weight.nodes),
    characters: sum(({ weight }) => weight.characters),
    next: unfinished?.next === undefined ? undefined : page.elements.uidOf(unfinished.document, unfinished.next),
  };
}

function linesFrom(uid: string | undefined, { lines, lineOf }: SnapshotLines): readonly string[] {
  const index = uid === undefined ? 0 : lineOf.get(uid);
  if (index !== undefined) return index === 0 ? lines : lines.slice(index);
  throw new ToolError(`uid ${uid} is not in the snapshot any more. take_snapshot shows the present uids.`);
}

/** Links a frame to its owner element. */
async function linkToOwner(frame: AccessibilityFrame, all: readonly AccessibilityFrame[]): Promise<void> {
  const { frameId } = frame.document;
  for (const outer of all) {
    if (outer === frame || outer.nodes.length === 0) continue;
    if (frame.document.parentId !== undefined && frame.document.parentId !== outer.document.frameId) continue;
    const owner = await outer.document.cdp.send('DOM.getFrameOwner', { frameId }).catch(() => undefined);
    if (owner) outer.inner.set(owner.backendNodeId, frame);
  }
}

function* writeTree(main: AccessibilityFrame, options: LineOptions): Steps<SnapshotLines & { readonly title: string }> {
  const root = yield* buildTree(main, options.verbose);
  return { title: root?.name ?? '', ...(yield* writeLines(root, options)) };
}

type AXNode = Protocol.Accessibility.AXNode;

/** How much of a document an outline reads. */
export interface OutlineBounds {
  readonly nodes: number;
  readonly characters: number;
}

/** A part of a document that is too large to be read completely. */
export interface Outline {
  /** Nodes like those of the accessibility tree, with roles and names from tags and attributes. */
  readonly nodes: AXNode[];
  /** The first node that was not read. */
  readonly next: number | undefined;
}

const maxTextChars = 1_000;
let readingCount = 0;

const itemSchema = z.object({
  parent: z.number(),
  role: z.string(),
  name: z.string(),
  value: z.string().optional(),
  properties: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
}) satisfies z.ZodType<OutlineItem>;
type ParsedItem = z.infer<typeof itemSchema>;

/** Items checked, and ids asked for, between two pauses. */
const itemsAtOnce = 200;

/** What a page answered, checked. */
export function* outlineItems(json: string): Steps<ParsedItem[]> {
  const items: ParsedItem[] = [];
  for (const item of z.array(z.unknown()).parse(JSON.parse(json))) {
    items.push(itemSchema.parse(item));
    if (items.length % itemsAtOnce === 0) yield;
  }
  return items;
}

/**
 * Reads a document in document order, starting at the node `from`, within the bounds. For documents whose accessibility
 * tree would take the browser too long; neither side holds more than the bounds.
 */
export async function readDocumentOutline(
  page: SessionPage,
  document: FrameDocument,
  bounds: OutlineBounds,
  from: number | undefined,
): Promise<Outline> {
  const { cdp, frameId } = document;
  const objectGroup = `greenroom-outline-${++readingCount}`;
  const executionContextId = await page.isolatedWorldOf(cdp, frameId);
  try {
    const start =
      from === undefined
        ? { value: null }
        : await resolveNode(cdp, { backendNodeId: from, executionContextId, objectGroup });
    const { result } = await cdp.send('Runtime.callFunctionOn', {
      executionContextId,
      functionDeclaration: readOutline,
      arguments: [start, { value: bounds.nodes }, { value: bounds.characters }, { value: maxTextChars }],
      objectGroup,
    });
    const [items, nodes] = await Promise.all([readItems(cdp, result), readNodeIds(cdp, result, objectGroup)]);
    return { nodes: toAXNodes(items, nodes), next: nodes[items.length] };
  } finally {
    // A removed frame has nothing to release.
    await cdp.send('Runtime.releaseObjectGroup', { objectGroup }).catch(() => undefined);
  }
}

async function resolveNode(
  cdp: CDPSession,
  request: Protocol.DOM.ResolveNodeRequest,
): Promise<Protocol.Runtime.CallArgument> {
  const { object } = await cdp.send('DOM.resolveNode', request);
  return object.objectId === undefined ? { value: null } : { objectId: object.objectId };
}

async function readItems(cdp: CDPSession, { objectId = '' }: Protocol.Runtime.RemoteObject): Promise<ParsedItem[]> {
  const { result } = await cdp.send('Runtime.callFunctionOn', {
    objectId,
    functionDeclaration: 'function () { return this.items }',
    returnByValue: true,
  });
  return inSlices(outlineItems(z.string().parse(result.value)), undefined, maxBuildMs);
}

/** The backend ids of the nodes, in their order. */
async function readNodeIds(
  cdp: CDPSession,
  { objectId = '' }: Protocol.Runtime.RemoteObject,
  objectGroup: string,
): Promise<number[]> {
  const list = await cdp.send('Runtime.callFunctionOn', {
    objectId,
    functionDeclaration: 'function () { return this.nodes }',
    objectGroup,
  });
  const { result } = await cdp.send('Runtime.getProperties', {
    objectId: list.result.objectId ?? '',
    ownProperties: true,
  });
  const elements = result.filter(({ name }) => /^\d+$/.test(name));
  const ids: number[] = [];
  for (let at = 0; at < elements.length; at += itemsAtOnce) {
    const asked = elements.slice(at, at + itemsAtOnce).map(async ({ value }) => {
      const { node } = await cdp.send('DOM.describeNode', { objectId: value?.objectId ?? '' });
      return node.backendNodeId;
    });
    ids.push(...(await Promise.all(asked)));
  }
  return ids;
}

function toAXNodes(items: readonly ParsedItem[], ids: readonly number[]): AXNode[] {
  const children = items.map((): string[] => []);
  for (const [index, { parent }] of items.entries()) children[parent]?.push(String(index));
  return items.map((item, index) => ({
    ...toAXNode(item),
    nodeId: String(index),
    childIds: children[index] ?? [],
    ...(ids[index] !== undefined && { backendDOMNodeId: ids[index] }),
  }));
}

function toAXNode({ role, name, value, properties }: ParsedItem): Omit<AXNode, 'nodeId'> {
  return {
    ignored: false,
    role: { type: 'role', value: role },
    name: { type: 'string', value: name },
    ...(value !== undefined && { value: { type: 'string', value } }),
    properties: Object.entries(properties).map(([property, value]) => ({
      // The names come from the injected outline, all of them CDP's.
      name: property as Protocol.Accessibility.AXPropertyName,
      value: { type: 'string', value: value },
    })),
  };
}
