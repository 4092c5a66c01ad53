import { ToolError } from '../../errors/errors.js';
import { untilActionable, type InjectedFunction } from '../cdp/injectedFunctions.js';
import type { NodeAddress } from './elementUids.js';
import type { SessionPage } from './sessionPage.js';

const actionableTimeoutMs = 1_000;

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A node of a page, found by its uid. Valid for one action; the page frees it with `releaseElements`. */
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

  /** Calls an injected function on the node, in a world of our own, and waits for what it promises. */
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

  /** Scrolls to it and waits a moment until a user could act on it. Throws a ToolError that says what is in the way. */
  async waitUntilActionable(by: 'pointer' | 'keyboard'): Promise<void> {
    const { backendNodeId, document } = this.address;
    // What has no box cannot be scrolled to; the check below says so in better words.
    await document.cdp.send('DOM.scrollIntoViewIfNeeded', { backendNodeId }).catch(() => undefined);
    const problem = await this.call(untilActionable, by === 'pointer', actionableTimeoutMs);
    if (typeof problem === 'string') throw new ToolError(`uid ${this.uid} ${problem}.`);
  }

  /** Where a pointer meets it: the middle of its first box, in CSS pixels of the page's viewport. Call `ready` first. */
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

/** The node that a uid of the last snapshots names. Throws a ToolError when it is gone. */
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

/** Lets the page collect what `findElement` held. Never rejects: what is gone holds nothing. */
export async function releaseElements(page: SessionPage): Promise<void> {
  // A page that waits for a dialog answers nothing; what is held goes at the next release, or with its document.
  if (page.dialogs.open) return;
  await Promise.allSettled(
    page.frames.sessions().map((cdp) => cdp.send('Runtime.releaseObjectGroup', { objectGroup })),
  );
}
