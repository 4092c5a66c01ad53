import type { CDPSession, Protocol } from 'puppeteer-core';
import { z } from 'zod';
import { untilAborted } from '../../async.js';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import { fileField, readDrag, takeDroppedFiles, watchDrag } from '../cdp/injectedFunctions.js';
import type { FileField } from '../injected/contract.js';
import { findElement, type PageElement } from './element.js';
import { clickAt } from './deviceInput.js';
import type { SessionPage } from './sessionPage.js';

/** The chosen files, or one chosen folder. */
export interface ChosenFiles {
  readonly paths: readonly string[];
  readonly isFolder: boolean;
}

const fieldSchema = z
  .object({ multiple: z.boolean(), folder: z.boolean() })
  .nullable() satisfies z.ZodType<FileField | null>;
const chooserTimeoutMs = 2_000;

/**
 * Passes files to a file input (CDP DOM.setFileInputFiles), to the chooser that an element opens, or to an element that
 * accepts dropped files. Resolves with the way, if it was not an input.
 */
export async function upload(
  page: SessionPage,
  uid: string,
  files: ChosenFiles,
  signal: AbortSignal,
): Promise<string | undefined> {
  const element = await findElement(page, uid);
  if (await setFiles(uid, element, files)) return undefined;
  const acting = await element.waitUntilActionable('pointer');
  const picker = await offerPicker(page, acting, files);
  try {
    const chooser = await openChooser(page, acting, picker, signal);
    if (chooser === 'picked') return undefined;
    if (chooser !== undefined) {
      await setFiles(uid, chooser, files);
      return undefined;
    }
  } finally {
    await picker.stop();
  }
  if (await dropOnElement(page, acting, files)) return 'It opens no file chooser: they were dropped on it.';
  throw new ToolError(
    `uid ${uid} opens no file chooser and takes no dropped files. Use the uid of the file field or of its button.`,
  );
}

/** False if the element is no file field. Throws a ToolError for files that a user could not choose in it. */
async function setFiles(uid: string, element: PageElement, { paths, isFolder }: ChosenFiles): Promise<boolean> {
  const field = fieldSchema.parse(await element.call(fileField));
  if (!field) return false;
  if (isFolder && !field.folder) throw new ToolError(`uid ${uid} takes files, no folder. Pass the files in it.`);
  if (!isFolder && field.folder) throw new ToolError(`uid ${uid} takes a folder. Pass the path of one.`);
  if (!field.multiple && paths.length > 1) {
    throw new ToolError(`uid ${uid} takes one file, and ${paths.length} were passed. Pass one.`);
  }
  const { backendNodeId, document } = element.address;
  await document.cdp.send('DOM.setFileInputFiles', { files: [...paths], backendNodeId });
  return true;
}

/** An answer to `showOpenFilePicker` and `showDirectoryPicker`, which interception alone would abort. */
interface OfferedPicker {
  /** Resolves once the page has requested and received its files; never, if it does not request any. */
  readonly picked: Promise<'picked'>;
  stop(): Promise<void>;
}

/** Files that are dropped are the ones that a page gets handles of. */
async function offerPicker(page: SessionPage, element: PageElement, files: ChosenFiles): Promise<OfferedPicker> {
  const { cdp } = element.address.document;
  const { backendNodeId } = element.address;
  const { object } = await cdp.send('DOM.resolveNode', { backendNodeId });
  const at = await element.clickablePoint();
  const offer = await cdp.send('Runtime.callFunctionOn', {
    objectId: object.objectId ?? '',
    functionDeclaration: takeDroppedFiles,
  });
  const objectId = offer.result.objectId ?? '';
  const on = (functionDeclaration: string) =>
    cdp.send('Runtime.callFunctionOn', { objectId, functionDeclaration, awaitPromise: true });
  const asked = on('function () { return this.asked }').then(async () => {
    await dispatchDrop(page.cdp, files, at, ['dragEnter', 'dragOver', 'drop']);
    return 'picked' as const;
  });
  return {
    // A page that is left never answers.
    picked: asked.catch(() => new Promise<never>(() => undefined)),
    stop: () => on('function () { this.stop() }').then(noValue, noValue),
  };
}

const noValue = (): undefined => undefined;

/** Clicks, and resolves with the file field whose chooser opened. The chooser itself is intercepted. */
async function openChooser(
  page: SessionPage,
  element: PageElement,
  { picked }: OfferedPicker,
  signal: AbortSignal,
): Promise<PageElement | 'picked' | undefined> {
  const { cdp } = element.address.document;
  const giveBack = await page.prompts.takeChoosers(cdp);
  let onOpened = (_: Protocol.Page.FileChooserOpenedEvent): void => undefined;
  const opened = new Promise<PageElement>((resolve) => {
    onOpened = ({ backendNodeId }) => {
      if (backendNodeId !== undefined) void element.sameDocument(backendNodeId).then(resolve, noValue);
    };
  });
  cdp.on('Page.fileChooserOpened', onOpened);
  const limit = AbortSignal.any([signal, timeLimit(chooserTimeoutMs)]);
  try {
    await clickAt(page.cdp, await element.clickablePoint(), 'left', 1);
    return await untilAborted(Promise.race([opened, picked]), limit);
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) return undefined;
    throw error;
  } finally {
    cdp.off('Page.fileChooserOpened', onOpened);
    await giveBack();
  }
}

/** What is dropped: files by path, and data by MIME type. */
export interface DroppedData {
  readonly paths: readonly string[];
  readonly items?: readonly { readonly mimeType: string; readonly data: string }[];
}

/** Drops files or data from outside on an element (CDP Input.dispatchDragEvent). Throws if nothing accepts them. */
export async function dropOn(page: SessionPage, uid: string, dropped: DroppedData): Promise<void> {
  const element = await findElement(page, uid);
  const acting = await element.waitUntilActionable('pointer');
  if (await dropOnElement(page, acting, dropped)) return;
  throw new ToolError(
    `uid ${uid} takes no drop of this. Use the uid of the place that does, often the element around it.`,
  );
}

/** Whether the element took the drop. Nothing is dropped where nothing takes it: the browser would open the file. */
async function dropOnElement(page: SessionPage, element: PageElement, dropped: DroppedData): Promise<boolean> {
  const { document } = element.address;
  const read = z.object({ isAccepted: z.boolean(), isDropped: z.boolean() });
  const at = await element.clickablePoint();
  const watched = async (types: readonly DragEventType[]): Promise<z.infer<typeof read>> => {
    await page.callInIsolatedWorld(watchDrag, [], document);
    await dispatchDrop(page.cdp, dropped, at, types);
    return read.parse(await page.callInIsolatedWorld(readDrag, [], document));
  };
  const { isAccepted } = await watched(['dragEnter', 'dragOver']);
  if (isAccepted) return (await watched(['dragOver', 'drop'])).isDropped;
  await dispatchDrop(page.cdp, dropped, at, ['dragCancel']);
  return false;
}

type DragEventType = Protocol.Input.DispatchDragEventRequest['type'];

const copyOperation = 1;

async function dispatchDrop(
  cdp: CDPSession,
  { paths, items = [] }: DroppedData,
  at: { readonly x: number; readonly y: number },
  types: readonly DragEventType[],
): Promise<void> {
  const data = { items: [...items], files: [...paths], dragOperationsMask: copyOperation };
  for (const type of types) await cdp.send('Input.dispatchDragEvent', { type, ...at, data });
}
