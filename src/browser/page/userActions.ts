import { shortenText } from '../../text.js';
import { z } from 'zod';
import { ToolError } from '../../errors/errors.js';
import type { FillResult } from '../injected/contract.js';
import {
  isChecked,
  isOpen,
  optionLabels,
  prepareFill,
  readValue,
  untilOption,
  untilQuiet,
} from '../cdp/injectedFunctions.js';
import { findElement, type PageElement } from './element.js';
import { parseChord, pressChord, clickAt, movePointer, type MouseButton } from './deviceInput.js';
import { dragElement } from './pageDrag.js';
import type { SessionPage } from './sessionPage.js';

/**
 * The actions of a user, to be run by `performAction`. Each first checks that a user could do it, and throws a
 * ToolError that names the obstacle.
 */
export async function click(page: SessionPage, uid: string, button: MouseButton, count: 1 | 2): Promise<void> {
  await clickElement(page, await findElement(page, uid), button, count);
}

async function clickElement(
  page: SessionPage,
  element: PageElement,
  button: MouseButton = 'left',
  count: 1 | 2 = 1,
): Promise<void> {
  const acting = await element.waitUntilActionable('pointer');
  if (acting.key === undefined) return clickAt(page.cdp, await acting.clickablePoint(), button, count);
  await acting.focus();
  await pressChord(page.cdp, parseChord(acting.key));
}

export async function hover(page: SessionPage, uid: string): Promise<void> {
  const element = await findElement(page, uid);
  const acting = await element.waitUntilActionable('pointer');
  await movePointer(page.cdp, await acting.clickablePoint());
}

export async function drag(page: SessionPage, fromUid: string, toUid: string, signal: AbortSignal): Promise<void> {
  await dragElement(page, await findElement(page, fromUid), await findElement(page, toUid), signal);
}

const preparedSchema = z.union([
  z.object({ problem: z.string() }),
  z.object({
    remaining: z.enum(['set', 'clicked', 'typed', 'replaced', 'chosen', 'stepped']),
    offers: z.boolean().optional(),
    editor: z.enum(['plain', 'rich']).optional(),
  }),
]) satisfies z.ZodType<FillResult>;

/**
 * Sets the value of a field: text, a label or value of a select or of a list of options, `true` or `false` for a
 * checkbox or radio, HTML's notation for dates, times, ranges and colours. Resolves with how the result differs from
 * the request, if it does.
 */
export async function fill(page: SessionPage, uid: string, value: string): Promise<string | undefined> {
  const element = await findElement(page, uid);
  await element.waitUntilActionable('keyboard');
  const prepared = preparedSchema.parse(await element.call(prepareFill, value));
  if ('problem' in prepared) throw new ToolError(`uid ${uid} ${prepared.problem}.`);
  const { remaining, offers = false, editor } = prepared;
  if (remaining === 'set') return undefined;
  if (remaining === 'clicked') return check(page, element, value === 'true');
  if (remaining === 'chosen') return choose(page, element, value);
  if (remaining === 'stepped') return step(page, element, Number(value));
  if (remaining === 'replaced') await pressChord(page.cdp, parseChord('Control+A'));
  if (value === '') await pressChord(page.cdp, parseChord('Delete'));
  else await enter(page, value, editor);
  if (offers && value !== '' && (await chooseOffered(page, element, value))) return undefined;
  const result = await element.call(readValue);
  // An editor shows a paragraph as two line ends.
  const read = (text: string): string => (editor === 'rich' ? text.replace(/\n+/g, '\n') : text).trimEnd();
  const isOther = typeof result === 'string' && read(result) !== read(value);
  return isOther ? `${uid} now holds ${JSON.stringify(shortenText(result, 200))}.` : undefined;
}

/** Where there are no paragraphs, a line end that is inserted becomes two: there it is typed. */
async function enter({ cdp }: SessionPage, text: string, editor: 'plain' | 'rich' | undefined): Promise<void> {
  for (const [index, line] of (editor === 'plain' ? text.split('\n') : [text]).entries()) {
    if (index > 0) await pressChord(cdp, parseChord('Shift+Enter'));
    if (line !== '') await cdp.send('Input.insertText', { text: line });
  }
}

/** Clicks a choice. Resolves with a remark if that did not change it. */
async function check(page: SessionPage, element: PageElement, wanted: boolean): Promise<string | undefined> {
  await clickElement(page, element);
  const isAsWanted = async (): Promise<boolean> => (await element.call(isChecked)) === wanted;
  if (await isAsWanted()) return undefined;
  return `${element.uid} did not change at once. take_snapshot shows its state.`;
}

const maxSteps = 500;

/** Presses the arrow keys of a slider or counter until it has the value. Resolves with its value if it differs. */
async function step(page: SessionPage, element: PageElement, wanted: number): Promise<string | undefined> {
  await element.focus();
  const read = async (): Promise<number> => Number(await element.call(readValue));
  const held = [await read()];
  for (let at = held[0]; at !== wanted && held.length < maxSteps; at = held[0]) {
    await pressChord(page.cdp, parseChord((at ?? 0) < wanted ? 'ArrowRight' : 'ArrowLeft'));
    held.unshift(await read());
    // It does not go further, or its steps pass over the value.
    if (held[0] === at || held[0] === held[2]) break;
  }
  const [now, before] = held;
  if (now === wanted) return undefined;
  if (now !== before) return `${element.uid} now holds ${now}.`;
  throw new ToolError(
    `uid ${element.uid} stays at ${now}: the arrow keys do not change it further. drag its handle, or use pointer.`,
  );
}

const optionTimeoutMs = 1_500;
const offeredTimeoutMs = 500;

/** Opens a list of options and clicks the one with that label. */
async function choose(page: SessionPage, element: PageElement, label: string): Promise<undefined> {
  if ((await element.call(isOpen)) !== true) await clickAndSettle(page, element);
  const option = await element.related(untilOption, label, optionTimeoutMs);
  if (option !== undefined) {
    await clickAndSettle(page, option);
    return undefined;
  }
  const labels = z.array(z.string()).parse(await element.call(optionLabels));
  await pressChord(page.cdp, parseChord('Escape'));
  const shown = labels.slice(0, 30).map((text) => JSON.stringify(text));
  const others = shown.length === 0 ? 'It shows none: click it, and take_snapshot.' : `It shows: ${shown.join(', ')}`;
  throw new ToolError(`uid ${element.uid} shows no option ${JSON.stringify(label)}. ${others}.`);
}

/** Clicks the option that has just the text that was typed, if one is shown for it. */
async function chooseOffered(page: SessionPage, element: PageElement, text: string): Promise<boolean> {
  const option = await element.related(untilOption, text, offeredTimeoutMs);
  if (option === undefined) return false;
  await clickAndSettle(page, option);
  return true;
}

const listQuietMs = 60;
const listLimitMs = 600;

/** Lists of options take their place, and go, over several frames. */
async function clickAndSettle(page: SessionPage, element: PageElement): Promise<void> {
  await clickElement(page, element);
  await page.callInIsolatedWorld(untilQuiet, [listQuietMs, listLimitMs], element.address.document);
}
