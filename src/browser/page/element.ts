import { z } from 'zod';
import { noop, untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import type { ActionCheck, BoxPoint } from '../injected/contract.js';
import {
  callExpression,
  findBySelector,
  standIn,
  untilActionable,
  type InjectedFunction,
} from '../cdp/injectedFunctions.js';
import type { NodeAddress } from './elementUids.js';
import type { SessionPage } from './sessionPage.js';

const actionableTimeoutMs = 1_000;

export interface Point {
  readonly x: number;
  readonly y: number;
}

const checkSchema = z.union([
  z.object({ problem: z.string() }),
  z.object({
    isStandIn: z.boolean(),
    box: z.tuple([z.number(), z.number()]).optional(),
    at: z.tuple([z.number(), z.number()]).optional(),
    key: z.enum(['Space', 'Enter']).optional(),
  }),
]) satisfies z.ZodType<ActionCheck>;

/** A node of a page, found by its uid. Valid for one action; released by `releaseElements`. */
export class PageElement {
  readonly uid: string;
  readonly address: NodeAddress;
  readonly #page: SessionPage;
  readonly #objectId: string;
  /** Where in its box a pointer reaches it, and the size of that. */
  #reachedAt: BoxPoint = [0.5, 0.5];
  #box: readonly [width: number, height: number] | undefined;
  #key: 'Space' | 'Enter' | undefined;

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
    return (await this.#callFunction(source, values, true)).value;
  }

  /** The node that an injected function answers, if it answers one. */
  async related<Args extends readonly unknown[]>(
    source: InjectedFunction<(...args: Args) => unknown>,
    ...values: Args
  ): Promise<PageElement | undefined> {
    const { objectId } = await this.#callFunction(source, values, false);
    if (objectId === undefined) return undefined;
    const { document } = this.address;
    const { node } = await document.cdp.send('DOM.describeNode', { objectId });
    return new PageElement(this.#page, this.uid, { document, backendNodeId: node.backendNodeId }, objectId);
  }

  /** The objects of a list that an injected function answers, by their CDP object ids. */
  async objectsOf<Args extends readonly unknown[]>(
    source: InjectedFunction<(...args: Args) => unknown>,
    ...values: Args
  ): Promise<string[]> {
    const { objectId } = await this.#callFunction(source, values, false);
    if (objectId === undefined) return [];
    const { result } = await this.address.document.cdp.send('Runtime.getProperties', { objectId, ownProperties: true });
    return result.flatMap(({ name, value }) => (/^\d+$/.test(name) && value?.objectId ? [value.objectId] : []));
  }

  /** Another node of its document. */
  async sameDocument(backendNodeId: number): Promise<PageElement> {
    const { document } = this.address;
    const executionContextId = await this.#page.isolatedWorldOf(document.cdp, document.frameId);
    const { object } = await document.cdp.send('DOM.resolveNode', { backendNodeId, executionContextId, objectGroup });
    return new PageElement(this.#page, this.uid, { document, backendNodeId }, object.objectId ?? '');
  }

  async #callFunction(
    functionDeclaration: string,
    values: readonly unknown[],
    returnByValue: boolean,
  ): Promise<{ value?: unknown; objectId?: string | undefined }> {
    const { result, exceptionDetails } = await this.address.document.cdp.send('Runtime.callFunctionOn', {
      objectId: this.#objectId,
      functionDeclaration,
      arguments: values.map((value) => ({ value })),
      awaitPromise: true,
      returnByValue,
      ...(!returnByValue && { objectGroup }),
    });
    if (exceptionDetails)
      throw new ToolError(`uid ${this.uid}: ${exceptionDetails.exception?.description ?? 'failed'}`);
    return { value: result.value as unknown, objectId: result.objectId };
  }

  /**
   * Scrolls it into view and waits up to a second until a user could act on it. Answers the element to act on: itself, or
   * what stands for a hidden choice. Throws a ToolError that names the obstacle.
   */
  async waitUntilActionable(by: 'pointer' | 'keyboard'): Promise<PageElement> {
    const checked = await this.check(by);
    if ('problem' in checked) throw new ToolError(`uid ${this.uid} ${checked.problem}.`);
    const acting = checked.isStandIn ? await this.related(standIn) : this;
    if (acting === undefined) return this;
    acting.#key = checked.key;
    if (checked.at) [acting.#reachedAt, acting.#box] = [checked.at, checked.box];
    return acting;
  }

  /** The key that acts on it, where no pointer reaches it. Known after `waitUntilActionable`. */
  get key(): 'Space' | 'Enter' | undefined {
    return this.#key;
  }

  async focus(): Promise<void> {
    const { backendNodeId, document } = this.address;
    await document.cdp.send('DOM.focus', { backendNodeId });
  }

  /** The same without an error. */
  async check(by: 'pointer' | 'keyboard'): Promise<ActionCheck> {
    await this.scrollIntoView();
    return checkSchema.parse(await this.call(untilActionable, by === 'pointer', actionableTimeoutMs));
  }

  /** An element without a box stays where it is. */
  async scrollIntoView(): Promise<void> {
    const { backendNodeId, document } = this.address;
    await document.cdp.send('DOM.scrollIntoViewIfNeeded', { backendNodeId }).catch(() => undefined);
  }

  /** A point of its first box that a pointer reaches, in CSS pixels of the page's viewport. Call `waitUntilActionable` first. */
  async clickablePoint(): Promise<Point> {
    const { backendNodeId, document } = this.address;
    const { quads } = await document.cdp.send('DOM.getContentQuads', { backendNodeId });
    // Those of an inline element include what is placed elsewhere within it.
    const quad = quads.find((candidate) => hasSize(candidate, this.#box)) ?? quads[0];
    const [x1, y1, , , x2, y2] = quad ?? [];
    if (x1 === undefined || y1 === undefined || x2 === undefined || y2 === undefined) {
      throw new ToolError(`uid ${this.uid} is not visible. take_snapshot again to see what is.`);
    }
    const origin = await this.#page.frames.originOf(document.cdp);
    const [right, down] = this.#reachedAt;
    return { x: origin.x + x1 + (x2 - x1) * right, y: origin.y + y1 + (y2 - y1) * down };
  }
}

function hasSize(quad: readonly number[], size: readonly [width: number, height: number] | undefined): boolean {
  const spanOf = (axis: number): number => {
    const values = quad.filter((_, index) => index % 2 === axis);
    return Math.max(...values) - Math.min(...values);
  };
  return size !== undefined && size.every((side, axis) => Math.abs(spanOf(axis) - side) < 1);
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

/** The first element that a CSS selector finds in a page, its frames and open shadow trees. Throws a ToolError without one. */
export async function findElementBySelector(page: SessionPage, selector: string): Promise<PageElement> {
  for (const document of await page.frames.documents()) {
    const contextId = await page.isolatedWorldOf(document.cdp, document.frameId);
    const expression = callExpression(findBySelector, selector);
    const { result, exceptionDetails } = await document.cdp.send('Runtime.evaluate', {
      expression,
      contextId,
      objectGroup,
    });
    if (exceptionDetails) throw new ToolError(`${JSON.stringify(selector)} is no CSS selector.`);
    if (result.objectId === undefined) continue;
    const { node } = await document.cdp.send('DOM.describeNode', { objectId: result.objectId });
    const address = { document, backendNodeId: node.backendNodeId };
    return new PageElement(page, page.elements.uidOf(document, node.backendNodeId), address, result.objectId);
  }
  throw new ToolError(`No element matches ${JSON.stringify(selector)}, in no frame and no open shadow tree.`);
}

/** A page whose code does not end does not answer. */
const releaseTimeoutMs = 1_000;

/** Releases the nodes of `findElement` for garbage collection. Never rejects. */
export async function releaseElements(page: SessionPage): Promise<void> {
  // An interrupted page does not answer: its nodes are released next time, or with their document.
  if (page.interruptions.current) return;
  const releasing = page.frames.sessions().map((cdp) => cdp.send('Runtime.releaseObjectGroup', { objectGroup }));
  await untilAborted(Promise.allSettled(releasing), timeLimit(releaseTimeoutMs)).catch(noop);
}
