import { z } from 'zod';
import { pointsIn, scroll, scrollIntoView, usePointer, type PointerAction } from '../browser/page/pointer.js';
import { dropOn } from '../browser/page/pageUpload.js';
import type { ScrollResult } from '../browser/injected/contract.js';
import { ToolError } from '../errors/errors.js';
import { actionOutput, answerAction, includeSnapshot, uid } from './answers.js';
import { definePageTool, type Tool } from './defineTool.js';
import { chosenFiles } from './workspace.js';

const scrollTool = definePageTool({
  name: 'scroll',
  title: 'Scroll',
  group: 'input',
  description:
    'Scroll the page, or the box around an element, for content that loads on scroll. Actions scroll to their elements',
  input: z.strictObject({
    uid: z.string().optional().describe('Element in the box; without direction: bring it into view'),
    direction: z.enum(['up', 'down', 'left', 'right']).optional().describe('Default without uid: down'),
    pixels: z.int().min(1).optional().describe('Default: most of the visible part'),
    toEnd: z.boolean().optional().describe('To the end of that direction'),
    includeSnapshot,
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  handler({ uid, direction, pixels, toEnd = false, ...args }, { page, signal }) {
    if (toEnd && pixels !== undefined) throw new ToolError('Pass either pixels or toEnd.');
    const wholeMove = direction !== undefined || uid === undefined || toEnd || pixels !== undefined;
    const action = { page, signal, done: '', ...args };
    if (!wholeMove) return answerAction({ ...action, done: `Scrolled to ${uid}.` }, () => scrollIntoView(page, uid));
    const move = { direction: direction ?? 'down', pixels, toEnd };
    return answerAction(action, async () => describeScroll(await scroll(page, uid, move), move.direction));
  },
});

function describeScroll({ box, moved, position, shown, total }: ScrollResult, direction: string): string {
  const isForward = direction === 'down' || direction === 'right';
  const isAtEnd = isForward ? position + shown >= total - 1 : position <= 0;
  const done =
    moved === 0 ? `Nothing moved: ${box} is at its end.` : `Scrolled ${box} ${direction} by ${Math.abs(moved)}.`;
  const end = isAtEnd && moved !== 0 ? ', its end' : '';
  return `${done} It shows pixels ${position} to ${position + shown} of ${total}${end}.`;
}

const pointList = /^\s*\d+(?:\.\d+)?,\d+(?:\.\d+)?(?:\s+\d+(?:\.\d+)?,\d+(?:\.\d+)?)*\s*$/;

const pointerTool = definePageTool({
  name: 'pointer',
  title: 'Pointer',
  group: 'input',
  description: 'Use the mouse at coordinates, for what has no uid: canvas, maps, games. Else click, hover, drag',
  input: z.strictObject({
    action: z.enum(['click', 'move', 'drag', 'wheel']).describe('What to do at x, y'),
    x: z.number().min(0).describe('CSS pixels from the left'),
    y: z.number().min(0).describe('From the top'),
    inScreenshot: z.boolean().optional().describe('x, y are pixels of the last take_screenshot'),
    to: z.string().regex(pointList).optional().describe('drag: the points to pass, such as 90,10 90,50'),
    button: z.enum(['left', 'right', 'middle']).optional().describe('Default: left'),
    dblClick: z.boolean().optional().describe('Double click'),
    deltaX: z.number().optional().describe('wheel: to the right'),
    deltaY: z.number().optional().describe('wheel: down; negative zooms into maps'),
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  handler({ x, y, to, inScreenshot = false, ...args }, { page, signal }) {
    const targets = to === undefined ? [] : pointsOf(to);
    const act = pointerActionOf(args, targets.length);
    return answerAction({ page, signal, done: `${pastTense[act.action]} ${x}, ${y}.` }, async (either) => {
      const points = await pointsIn(page, [{ x, y }, ...targets], { inScreenshot });
      await usePointer(page, act, points, either);
    });
  },
});

function pointsOf(text: string): { readonly x: number; readonly y: number }[] {
  return text
    .trim()
    .split(/\s+/)
    .map((pair) => {
      const [x = 0, y = 0] = pair.split(',').map(Number);
      return { x, y };
    });
}

const pastTense = {
  click: 'Clicked at',
  move: 'Moved the mouse to',
  drag: 'Dragged from',
  wheel: 'Turned the wheel at',
};

interface PointerArguments {
  readonly action: PointerAction['action'];
  readonly button?: 'left' | 'right' | 'middle' | undefined;
  readonly dblClick?: boolean | undefined;
  readonly deltaX?: number | undefined;
  readonly deltaY?: number | undefined;
}

/** Throws a ToolError for arguments of another action, and for missing ones. */
function pointerActionOf(args: PointerArguments, targets: number): PointerAction {
  const { action, button = 'left', dblClick = false, deltaX = 0, deltaY = 0 } = args;
  if ((action === 'drag') !== targets > 0) {
    throw new ToolError(action === 'drag' ? 'Pass `to`: where to drag it.' : '`to` is for the action drag.');
  }
  if (action === 'wheel' && deltaX === 0 && deltaY === 0) throw new ToolError('Pass deltaX or deltaY for the wheel.');
  if (action === 'click') return { action, button, count: dblClick ? 2 : 1 };
  return action === 'wheel' ? { action, deltaX, deltaY } : { action };
}

const dropOnTool = definePageTool({
  name: 'drop_on',
  title: 'Drop',
  group: 'input',
  description:
    'Drop files or data from outside the page onto an element. Within the page: drag; into a file field: upload_file',
  input: z.strictObject({
    uid,
    filePaths: z.array(z.string()).min(1).optional().describe("Files in the workspace on the server's disk"),
    data: z.record(z.string(), z.string()).optional().describe('By MIME type, such as {"text/plain": "…"}'),
    includeSnapshot,
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  async handler({ uid, filePaths = [], data = {}, includeSnapshot }, { page, signal, workspace }) {
    const items = Object.entries(data).map(([mimeType, text]) => ({ mimeType, data: text }));
    if (filePaths.length === 0 && items.length === 0) throw new ToolError('Pass filePaths or data.');
    const { paths } = filePaths.length === 0 ? { paths: [] } : await chosenFiles(filePaths, workspace);
    const what = [
      ...(paths.length === 0 ? [] : [paths.length === 1 ? '1 file' : `${paths.length} files`]),
      ...items.map(({ mimeType }) => mimeType),
    ];
    const done = `Dropped ${what.join(', ')} on ${uid}.`;
    return answerAction({ page, signal, done, includeSnapshot }, () => dropOn(page, uid, { paths, items }));
  },
});

export const pointerTools: readonly Tool[] = [scrollTool, pointerTool, dropOnTool];
