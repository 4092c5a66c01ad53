import { z } from 'zod';
import { locateElement } from '../cdp/injectedFunctions.js';
import { RingBuffer, type KeptPart } from '../collectors/ringBuffer.js';
import type { ElementLocator } from '../injected/contract.js';
import { findElement, releaseElements } from './element.js';
import type { SessionPage } from './sessionPage.js';

/** Selectors by which a script finds an element again. */
export interface ActionTarget extends ElementLocator {
  /** The URL of its frame, unless that is the page. */
  readonly frame: string | undefined;
}

/** One call of a tool that a person could have done. */
export interface RecordedAction {
  readonly tool: string;
  readonly pageId: number;
  readonly args: Readonly<Record<string, unknown>>;
  /** By uid. */
  readonly targets: Readonly<Record<string, ActionTarget>>;
  /** The pages that it opened. */
  readonly opened: readonly number[];
}

const locatorSchema = z
  .object({ selectors: z.array(z.string()), field: z.enum(['select', 'choice', 'other']) })
  .nullable() satisfies z.ZodType<ElementLocator | null>;

/** The newest actions of a session, bounded by count and bytes, for `export_script`. Outlives the browser. */
export class ActionLog {
  /** Made at the first action: many sessions have none. */
  #ring: RingBuffer<RecordedAction> | undefined;
  readonly #kept: KeptPart | undefined;

  constructor(kept?: KeptPart) {
    this.#kept = kept;
  }

  add(action: RecordedAction): void {
    this.#ring ??= new RingBuffer({
      maxEntries: 500,
      maxBytes: 512 * 1024,
      sizeOf: ({ args, targets }) => 100 + 2 * JSON.stringify([args, targets]).length,
      kept: this.#kept,
    });
    this.#ring.push(action);
  }

  /** Oldest first, and how many are gone. */
  read(): { readonly actions: readonly RecordedAction[]; readonly dropped: number } {
    const { entries, dropped } = this.#ring?.read() ?? { entries: [], dropped: 0 };
    return { actions: entries.map(({ value }) => value), dropped };
  }
}

/** The elements that the arguments name, before the action changes them. Never rejects: the action itself says what is wrong. */
export async function locateTargets(
  page: SessionPage,
  args: Readonly<Record<string, unknown>>,
): Promise<Record<string, ActionTarget>> {
  const uids = uidsIn(args).filter((uid) => page.elements.has(uid));
  if (uids.length === 0) return {};
  try {
    const found = await Promise.all(uids.map(async (uid) => [uid, await locate(page, uid)] as const));
    return Object.fromEntries(found.flatMap(([uid, target]) => (target === undefined ? [] : [[uid, target]])));
  } catch {
    return {};
  } finally {
    await releaseElements(page);
  }
}

async function locate(page: SessionPage, uid: string): Promise<ActionTarget | undefined> {
  const element = await findElement(page, uid);
  const located = locatorSchema.parse(await element.call(locateElement));
  const { url, parentId } = element.address.document;
  return located === null ? undefined : { ...located, frame: parentId === undefined ? undefined : url };
}

/** Those of `uid`, `from_uid`, `to_uid`, and of the elements of a form. */
function uidsIn(args: Readonly<Record<string, unknown>>): string[] {
  const { elements } = z.object({ elements: z.array(z.object({ uid: z.string() })).optional() }).parse(args);
  const own = ['uid', 'from_uid', 'to_uid'].flatMap((name) => (typeof args[name] === 'string' ? [args[name]] : []));
  return [...own, ...(elements ?? []).map(({ uid }) => uid)];
}
