import { z } from 'zod';
import { timeLimit } from '../../clock.js';
import { ToolError } from '../../errors/errors.js';
import type { FillResult } from '../injected/contract.js';
import { isFileField, prepareFill, readValue } from '../cdp/injectedFunctions.js';
import { findElement, type PageElement } from './element.js';
import { parseChord, pressChord, clickAt, dragBetween, movePointer, type MouseButton } from './deviceInput.js';
import type { SessionPage } from './sessionPage.js';

/**
 * The actions of a user, to be run by `performAction`. Each first checks that a user could do it, and throws a
 * ToolError that names the obstacle.
 */
export async function click(page: SessionPage, uid: string, button: MouseButton, count: 1 | 2): Promise<void> {
  const element = await findElement(page, uid);
  await element.waitUntilActionable('pointer');
  await clickAt(page.cdp, await element.clickablePoint(), button, count);
}

export async function hover(page: SessionPage, uid: string): Promise<void> {
  const element = await findElement(page, uid);
  await element.waitUntilActionable('pointer');
  await movePointer(page.cdp, await element.clickablePoint());
}

export async function drag(page: SessionPage, fromUid: string, toUid: string): Promise<void> {
  const [from, to] = [await findElement(page, fromUid), await findElement(page, toUid)];
  await to.waitUntilActionable('keyboard');
  await from.waitUntilActionable('pointer');
  await dragBetween(page.cdp, await from.clickablePoint(), await to.clickablePoint());
}

const preparedSchema = z.union([
  z.object({ problem: z.string() }),
  z.object({ remaining: z.enum(['set', 'clicked', 'typed']) }),
]) satisfies z.ZodType<FillResult>;

/**
 * Sets the value of a field: text, a label or value of a select, `true` or `false` for a checkbox or radio, HTML's
 * notation for dates, times, ranges and colours. Resolves with the resulting value of a text field if it differs.
 */
export async function fill(page: SessionPage, uid: string, value: string): Promise<string | undefined> {
  const element = await findElement(page, uid);
  await element.waitUntilActionable('keyboard');
  const prepared = preparedSchema.parse(await element.call(prepareFill, value));
  if ('problem' in prepared) throw new ToolError(`uid ${uid} ${prepared.problem}.`);
  if (prepared.remaining === 'clicked') return clickChecked(page, element);
  if (prepared.remaining === 'set') return undefined;
  if (value === '') await pressChord(page.cdp, parseChord('Delete'));
  else await page.cdp.send('Input.insertText', { text: value });
  const result = await element.call(readValue);
  return typeof result === 'string' && result.trimEnd() !== value.trimEnd() ? result : undefined;
}

async function clickChecked(page: SessionPage, element: PageElement): Promise<undefined> {
  await element.waitUntilActionable('pointer');
  await clickAt(page.cdp, await element.clickablePoint(), 'left', 1);
}

/**
 * Sets the files of a file field (CDP DOM.setFileInputFiles), or clicks an element that opens a file chooser and
 * answers that.
 */
export async function upload(
  page: SessionPage,
  uid: string,
  files: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const element = await findElement(page, uid);
  const { backendNodeId, document } = element.address;
  const direct = await element.call(isFileField);
  if (direct === true) {
    await document.cdp.send('DOM.setFileInputFiles', { files: [...files], backendNodeId });
    return;
  }
  await element.waitUntilActionable('pointer');
  const chosen = await openFileChooser(page, element, signal);
  await document.cdp.send('DOM.setFileInputFiles', { files: [...files], backendNodeId: chosen });
}

const chooserTimeoutMs = 2_000;

/** Clicks and resolves with the file field whose chooser opened. The chooser itself is intercepted. */
async function openFileChooser(page: SessionPage, element: PageElement, signal: AbortSignal): Promise<number> {
  const { cdp } = element.address.document;
  await cdp.send('Page.setInterceptFileChooserDialog', { enabled: true });
  const limit = AbortSignal.any([signal, timeLimit(chooserTimeoutMs)]);
  let stop = (): void => undefined;
  try {
    const opened = new Promise<number | undefined>((resolve) => {
      stop = () => resolve(undefined);
      cdp.once('Page.fileChooserOpened', (event) => resolve(event.backendNodeId));
      limit.addEventListener('abort', stop, { once: true });
    });
    await clickAt(page.cdp, await element.clickablePoint(), 'left', 1);
    const chosen = await opened;
    signal.throwIfAborted();
    if (chosen !== undefined) return chosen;
    throw new ToolError(`uid ${element.uid} opens no file chooser. Use the uid of the file field or of its button.`);
  } finally {
    limit.removeEventListener('abort', stop);
    await cdp.send('Page.setInterceptFileChooserDialog', { enabled: false });
  }
}
