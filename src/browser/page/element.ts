import { ToolError } from '../../errors/errors.js';
import { untilActionable, type InjectedFunction } from '../cdp/injectedFunctions.js';
import type { NodeAddress } from './elementUids.js';
import type { SessionPage } from './sessionPage.js';

const actionableTimeoutMs = 1_000;

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A node of a page, found by its uid. Valid for one action; released by `releaseElements`. */
export class PageElement {
  readonly uid: string;
  readonly address: NodeAddress;
  readonly #page: SessionPage;
  readonly #objectId: string;

  constructor(page: SessionPage, uid: string, address: NodeAddress, objectId: string) {
    this.#page = page;
    this.uid = uid;
    this.address = address;
    this.#objectId = objectId;
  }

  /** Calls an injected function on the node, in the isolated world, and awaits its promise. */
  async call<Args extends readonly unknown[]>(
    source: InjectedFunction<(...args: Args) => unknown>,
    ...values: Args
  ): Promise<unknown> {
    const { result, exceptionDetails } = await this.address.document.cdp.send('Runtime.callFunctionOn', {
      objectId: this.#objectId,
      functionDeclaration: source,
      arguments: values.map((value) => ({ value })),
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails)
      throw new ToolError(`uid ${this.uid}: ${exceptionDetails.exception?.description ?? 'failed'}`);
    return result.value;
  }

  /**
   * Scrolls it into view and waits up to a second until a user could act on it. Throws a ToolError that names the
   * obstacle.
   */
  async waitUntilActionable(by: 'pointer' | 'keyboard'): Promise<void> {
    const { backendNodeId, document } = this.address;
    // An element without a box cannot be scrolled to; the check below has a better message.
    await document.cdp.send('DOM.scrollIntoViewIfNeeded', { backendNodeId }).catch(() => undefined);
    const problem = await this.call(untilActionable, by === 'pointer', actionableTimeoutMs);
    if (typeof problem === 'string') throw new ToolError(`uid ${this.uid} ${problem}.`);
  }

  /** The centre of its first box, in CSS pixels of the page's viewport. Call `waitUntilActionable` first. */
  async clickablePoint(): Promise<Point> {
    const { backendNodeId, document } = this.address;
    const { quads } = await document.cdp.send('DOM.getContentQuads', { backendNodeId });
    const [x1, y1, , , x2, y2] = quads[0] ?? [];
    if (x1 === undefined || y1 === undefined || x2 === undefined || y2 === undefined) {
      throw new ToolError(`uid ${this.uid} is not visible. take_snapshot again to see what is.`);
    }
    const origin = await this.#page.frames.originOf(document.cdp);
    return { x: origin.x + (x1 + x2) / 2, y: origin.y + (y1 + y2) / 2 };
  }
}

const objectGroup = 'greenroom-elements';

/** The node of a uid. Throws a ToolError when it is no longer in the page. */
export async function findElement(page: SessionPage, uid: string): Promise<PageElement> {
  const address = page.elements.addressOf(uid);
  const { document, backendNodeId } = address;
  try {
    const executionContextId = await page.isolatedWorldOf(document.cdp, document.frameId);
    const { object } = await document.cdp.send('DOM.resolveNode', { backendNodeId, executionContextId, objectGroup });
    if (object.objectId !== undefined) return new PageElement(page, uid, address, object.objectId);
  } catch (error) {
    if (page.isClosed) throw error;
  }
  throw new ToolError(`uid ${uid} is no longer in the page. take_snapshot again for the present uids.`);
}

/** Releases the nodes of `findElement` for garbage collection. Never rejects. */
export async function releaseElements(page: SessionPage): Promise<void> {
  // A page with an open dialog does not answer: its nodes are released next time, or with their document.
  if (page.dialogs.open) return;
  await Promise.allSettled(
    page.frames.sessions().map((cdp) => cdp.send('Runtime.releaseObjectGroup', { objectGroup })),
  );
}
