import { ToolError } from '../../errors/errors.js';
import type { FrameDocument } from './frames.js';

/** A node of a current document. */
export interface NodeAddress {
  readonly document: FrameDocument;
  readonly backendNodeId: number;
}

/**
 * The uids (`e12`) of a page's nodes in snapshots. A node keeps its uid as long as its document exists; uids are never
 * reused on a page. Owned by its page.
 */
export class ElementUids {
  #lastNumber = 0;
  /** Uids of the present document, by frame id. */
  readonly #documents = new Map<string, { readonly loaderId: string; readonly uids: Map<number, string> }>();
  readonly #addresses = new Map<string, NodeAddress>();

  /** The node's uid, created by the first call. */
  uidOf(document: FrameDocument, backendNodeId: number): string {
    this.documentChanged(document.frameId, document.loaderId);
    const { uids } = this.#documents.get(document.frameId) ?? this.#startDocument(document);
    const known = uids.get(backendNodeId);
    if (known !== undefined) return known;
    const uid = `e${++this.#lastNumber}`;
    uids.set(backendNodeId, uid);
    this.#addresses.set(uid, { document, backendNodeId });
    return uid;
  }

  /** Whether the uid belongs to a present document. */
  has(uid: string): boolean {
    return this.#addresses.has(uid);
  }

  /** The node of a uid. Throws a ToolError: either the uid is of an earlier document, or it never existed. */
  addressOf(uid: string): NodeAddress {
    const address = this.#addresses.get(uid);
    if (address) return address;
    const number = Number(/^e(\d+)$/.exec(uid)?.[1] ?? Number.NaN);
    if (number >= 1 && number <= this.#lastNumber) {
      throw new ToolError(`uid ${uid} belongs to a page that was left. take_snapshot again for the present uids.`);
    }
    throw new ToolError(`No element has the uid ${JSON.stringify(uid)}. take_snapshot shows the uids of this page.`);
  }

  /** Removes the uids of a frame's earlier document. Without a loader the frame itself was removed. */
  documentChanged(frameId: string, loaderId: string | undefined): void {
    const known = this.#documents.get(frameId);
    if (!known || known.loaderId === loaderId) return;
    for (const uid of known.uids.values()) this.#addresses.delete(uid);
    this.#documents.delete(frameId);
  }

  #startDocument(document: FrameDocument): { readonly uids: Map<number, string> } {
    const created = { loaderId: document.loaderId, uids: new Map<number, string>() };
    this.#documents.set(document.frameId, created);
    return created;
  }
}
