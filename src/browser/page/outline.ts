import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import type { OutlineItem } from '../injected/contract.js';
import { readOutline as readOutlineInPage } from '../cdp/injectedFunctions.js';
import type { FrameDocument } from './frames.js';
import type { SessionPage } from './sessionPage.js';

type AXNode = Protocol.Accessibility.AXNode;

/** How much of a document an outline reads. */
export interface OutlineBounds {
  readonly nodes: number;
  readonly characters: number;
}

/** The first part of a document that is too big to be read whole. */
export interface Outline {
  /** As the accessibility tree would have them, with roles and names from tags and attributes. */
  readonly nodes: AXNode[];
  /** The first node that was not read. */
  readonly next: number | undefined;
}

const maxTextChars = 1_000;
let readingCount = 0;

const itemsSchema = z.array(
  z.object({
    parent: z.number(),
    role: z.string(),
    name: z.string(),
    value: z.string().optional(),
    properties: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  }),
) satisfies z.ZodType<OutlineItem[]>;
type OutlineItem = z.infer<typeof itemsSchema>[number];

/**
 * Reads a document in its own order, from the node `from` on, no further than the bounds. For documents whose
 * accessibility tree the browser would need too long to make: neither it nor this program holds more than the bounds.
 */
export async function readOutline(
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
      functionDeclaration: readOutlineInPage,
      arguments: [start, { value: bounds.nodes }, { value: bounds.characters }, { value: maxTextChars }],
      objectGroup,
    });
    const [items, nodes] = await Promise.all([readItems(cdp, result), readNodeIds(cdp, result, objectGroup)]);
    return { nodes: toAXNodes(items, nodes), next: nodes[items.length] };
  } finally {
    // A frame that is gone has let go already.
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

async function readItems(cdp: CDPSession, { objectId = '' }: Protocol.Runtime.RemoteObject): Promise<OutlineItem[]> {
  const { result } = await cdp.send('Runtime.callFunctionOn', {
    objectId,
    functionDeclaration: 'function () { return this.items }',
    returnByValue: true,
  });
  return itemsSchema.parse(JSON.parse(z.string().parse(result.value)));
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
  return Promise.all(
    elements.map(async ({ value }) => {
      const { node } = await cdp.send('DOM.describeNode', { objectId: value?.objectId ?? '' });
      return node.backendNodeId;
    }),
  );
}

function toAXNodes(items: readonly OutlineItem[], ids: readonly number[]): AXNode[] {
  const children = items.map((): string[] => []);
  for (const [index, { parent }] of items.entries()) children[parent]?.push(String(index));
  return items.map((item, index) => ({
    ...toAXNode(item),
    nodeId: String(index),
    childIds: children[index] ?? [],
    ...(ids[index] !== undefined && { backendDOMNodeId: ids[index] }),
  }));
}

function toAXNode({ role, name, value, properties }: OutlineItem): Omit<AXNode, 'nodeId'> {
  return {
    ignored: false,
    role: { type: 'role', value: role },
    name: { type: 'string', value: name },
    ...(value !== undefined && { value: { type: 'string', value } }),
    properties: Object.entries(properties).map(([property, value]) => ({
      // The names are those of `describeNode`, all of the protocol's.
      name: property as Protocol.Accessibility.AXPropertyName,
      value: { type: 'string', value: value },
    })),
  };
}
