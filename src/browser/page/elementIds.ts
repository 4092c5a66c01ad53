import { ToolError } from '../../errors.js';
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
export class ElementIds {
  #last = 0;
  /** Frame id to the names of its present document. */
  readonly #documents = new Map<string, { readonly loaderId: string; readonly names: Map<number, string> }>();
  readonly #addresses = new Map<string, NodeAddress>();

  /** The node's name, made on first sight. */
  nameOf(document: FrameDocument, backendNodeId: number): string {
    this.documentChanged(document.frameId, document.loaderId);
    const { names } = this.#documents.get(document.frameId) ?? this.#begin(document);
    const known = names.get(backendNodeId);
    if (known !== undefined) return known;
    const name = `e${++this.#last}`;
    names.set(backendNodeId, name);
    this.#addresses.set(name, { document, backendNodeId });
    return name;
  }

  /** Whether the name is of a document that is still shown. */
  has(name: string): boolean {
    return this.#addresses.has(name);
  }

  /** Throws a ToolError that tells a name of an earlier document from one that never was. */
  addressOf(name: string): NodeAddress {
    const address = this.#addresses.get(name);
    if (address) return address;
    const number = Number(/^e(\d+)$/.exec(name)?.[1] ?? Number.NaN);
    if (number >= 1 && number <= this.#last) {
      throw new ToolError(`uid ${name} belongs to a page that was left. take_snapshot again for the present uids.`);
    }
    throw new ToolError(`No element has the uid ${JSON.stringify(name)}. take_snapshot shows the uids of this page.`);
  }

  /** Forgets the names of a frame's earlier document. Without a loader the frame itself is gone. */
  documentChanged(frameId: string, loaderId: string | undefined): void {
    const known = this.#documents.get(frameId);
    if (!known || known.loaderId === loaderId) return;
    for (const name of known.names.values()) this.#addresses.delete(name);
    this.#documents.delete(frameId);
  }

  #begin(document: FrameDocument): { readonly names: Map<number, string> } {
    const begun = { loaderId: document.loaderId, names: new Map<number, string>() };
    this.#documents.set(document.frameId, begun);
    return begun;
  }
}
