import { buildTree, type SnapshotNode, type SourceFrame } from './accessibility.js';
import type { FrameDocument } from './frames.js';
import type { SessionPage } from './page.js';

export interface Snapshot {
  readonly url: string;
  readonly title: string;
  /** One line a node, a child two spaces further in. */
  readonly lines: readonly string[];
}

/**
 * What a user of assistive technology meets on the page, as text (`Accessibility.getFullAXTree` of every frame). Names
 * every node shown, so that actions can refer to it. `verbose` keeps structure and properties that are usually noise.
 */
export async function takeSnapshot(page: SessionPage, verbose: boolean): Promise<Snapshot> {
  const documents = await page.frames.documents();
  const frames = await Promise.all(documents.map(readFrame));
  await Promise.all(frames.map((frame) => linkOwner(frame, frames)));
  const [main] = frames;
  if (!main) return { url: page.url(), title: '', lines: [] };
  const root = buildTree(main, {
    verbose,
    nameOf: (document, backendNodeId) => page.elements.nameOf(document, backendNodeId),
  });
  const lines: string[] = [];
  write(root, 0, lines);
  return { url: main.document.url, title: root.name, lines };
}

async function readFrame(document: FrameDocument, index: number): Promise<SourceFrame> {
  const { cdp, frameId } = document;
  const reading = cdp.send('Accessibility.getFullAXTree', { frameId });
  // An inner frame that went away while it was read has nothing to show; without the main frame there is nothing at all.
  const { nodes } = index === 0 ? await reading : await reading.catch(() => ({ nodes: [] }));
  return { document, nodes, inner: new Map() };
}

/** Puts a frame under the element that holds it. */
async function linkOwner(frame: SourceFrame, all: readonly SourceFrame[]): Promise<void> {
  const { frameId } = frame.document;
  for (const outer of all) {
    if (outer === frame || outer.nodes.length === 0) continue;
    if (frame.document.parentId !== undefined && frame.document.parentId !== outer.document.frameId) continue;
    const owner = await outer.document.cdp.send('DOM.getFrameOwner', { frameId }).catch(() => undefined);
    if (owner) outer.inner.set(owner.backendNodeId, frame);
  }
}

function write(node: SnapshotNode, depth: number, lines: string[]): void {
  lines.push(`${'  '.repeat(depth)}uid=${node.uid} ${node.role}${node.details}`);
  for (const child of node.children) write(child, depth + 1, lines);
}
