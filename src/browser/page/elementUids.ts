import { ToolError } from '../../errors/errors.js';
import type { FrameDocument } from './frames.js';

/** A node of a document that is still shown. */
export interface NodeAddress {
  readonly document: FrameDocument;
  readonly backendNodeId: number;
}

/**
 * The short names (`e12`) under which a page's nodes were shown. A node keeps its name as long as its document lives; a
 * name is never given twice on a page. Owned by its page.
 */
export class ElementUids {
  #last = 0;
  /** Frame id to the names of its present document. */
  readonly #documents = new Map<string, { readonly loaderId: string; readonly names: Map<number, string> }>();
  readonly #addresses = new Map<string, NodeAddress>();

  /** The node's name, made on first sight. */
  uidOf(document: FrameDocument, backendNodeId: number): string {
    this.documentChanged(document.frameId, document.loaderId);
    const { names: uids } = this.#documents.get(document.frameId) ?? this.#startDocument(document);
    const known = uids.get(backendNodeId);
    if (known !== undefined) return known;
    const uid = `e${++this.#last}`;
    uids.set(backendNodeId, uid);
    this.#addresses.set(uid, { document, backendNodeId });
    return uid;
  }

  /** Whether the name is of a document that is still shown. */
  has(uid: string): boolean {
    return this.#addresses.has(uid);
  }

  /** Throws a ToolError that tells a name of an earlier document from one that never was. */
  addressOf(uid: string): NodeAddress {
    const address = this.#addresses.get(uid);
    if (address) return address;
    const number = Number(/^e(\d+)$/.exec(uid)?.[1] ?? Number.NaN);
    if (number >= 1 && number <= this.#last) {
      throw new ToolError(`uid ${uid} belongs to a page that was left. take_snapshot again for the present uids.`);
    }
    throw new ToolError(`No element has the uid ${JSON.stringify(uid)}. take_snapshot shows the uids of this page.`);
  }

  /** Forgets the names of a frame's earlier document. Without a loader the frame itself is gone. */
  documentChanged(frameId: string, loaderId: string | undefined): void {
    const known = this.#documents.get(frameId);
    if (!known || known.loaderId === loaderId) return;
    for (const uid of known.names.values()) this.#addresses.delete(uid);
    this.#documents.delete(frameId);
  }

  #startDocument(document: FrameDocument): { readonly names: Map<number, string> } {
    const begun = { loaderId: document.loaderId, names: new Map<number, string>() };
    this.#documents.set(document.frameId, begun);
    return begun;
  }
}
