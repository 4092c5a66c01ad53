import { z } from 'zod';
import { click, drag, hover, fill } from '../browser/page/userActions.js';
import { upload } from '../browser/page/pageUpload.js';
import { actionOutput, answerAction, includeSnapshot, uid } from './answers.js';
import { definePageTool, type Tool } from './defineTool.js';
import { browserRemark, parseChord, pressChord, typeText } from '../browser/page/deviceInput.js';
import type { SessionPage } from '../browser/page/sessionPage.js';
import { ToolError } from '../errors/errors.js';
import { pointerTools } from './pointerTools.js';
import { chosenFiles } from './workspace.js';

const clickTool = definePageTool({
  name: 'click',
  title: 'Click',
  group: 'input',
  description: 'Click an element and wait for the effects: navigation, dialog, window, download',
  input: z.strictObject({
    uid,
    dblClick: z.boolean().optional().describe('Double click'),
    button: z.enum(['left', 'right', 'middle']).optional().describe('Default: left'),
    includeSnapshot,
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  handler(args, { page, signal }) {
    const double = args.dblClick === true;
    const done = `${double ? 'Double-clicked' : 'Clicked'} ${args.uid}.`;
    return answerAction({ page, signal, done, includeSnapshot: args.includeSnapshot }, () =>
      click(page, args.uid, args.button ?? 'left', double ? 2 : 1),
    );
  },
});

const hoverTool = definePageTool({
  name: 'hover',
  title: 'Hover',
  group: 'input',
  description: 'Move the mouse over an element, for menus and tooltips',
  input: z.strictObject({ uid, includeSnapshot }),
  output: actionOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  handler(args, { page, signal }) {
    const done = `Moved the mouse over ${args.uid}.`;
    return answerAction({ page, signal, done, includeSnapshot: args.includeSnapshot }, () => hover(page, args.uid));
  },
});

const dragTool = definePageTool({
  name: 'drag',
  title: 'Drag',
  group: 'input',
  description: 'Drag an element onto another one by mouse or touch',
  input: z.strictObject({ from_uid: uid, to_uid: uid.describe('Element to drop it on'), includeSnapshot }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  enters: true,
  handler(args, { page, signal }) {
    const done = `Dragged ${args.from_uid} onto ${args.to_uid}.`;
    return answerAction({ page, signal, done, includeSnapshot: args.includeSnapshot }, (either) =>
      drag(page, args.from_uid, args.to_uid, either),
    );
  },
});

const pressKeyTool = definePageTool({
  name: 'press_key',
  title: 'Press key',
  group: 'input',
  description: 'Press a key or key combination in the focused element. Text: type_text',
  input: z.strictObject({ key: z.string().min(1).describe('Such as Enter, ArrowDown, a, Control+A'), includeSnapshot }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  enters: true,
  handler({ key, includeSnapshot: withSnapshot }, { page, signal }) {
    const chord = parseChord(key);
    return answerAction({ page, signal, done: `Pressed ${key}.`, includeSnapshot: withSnapshot }, async () => {
      await pressChord(page.cdp, chord);
      return browserRemark(chord);
    });
  },
});

const typeTextTool = definePageTool({
  name: 'type_text',
  title: 'Type text',
  group: 'input',
  description: 'Type into the focused element key by key, for fields that react to keys. To set a value: fill',
  input: z.strictObject({
    text: z.string().describe('Text to type'),
    submitKey: z.string().optional().describe('Key to press afterwards, such as Enter'),
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  enters: true,
  handler({ text, submitKey }, { page, signal }) {
    const chord = submitKey === undefined ? undefined : parseChord(submitKey);
    const done = `Typed ${text.length} character(s)${submitKey === undefined ? '' : ` and ${submitKey}`}.`;
    return answerAction({ page, signal, done }, async (either) => {
      await typeText(page.cdp, text, either);
      if (chord) await pressChord(page.cdp, chord);
    });
  },
});

const fieldValue = z.string().describe('Text; label of an option; true or false for a checkbox; 2026-01-31 for a date');

const fillTool = definePageTool({
  name: 'fill',
  title: 'Fill field',
  group: 'input',
  description: 'Set the value of a form field: text, select, checkbox, date. Several fields: fill_form',
  input: z.strictObject({ uid, value: fieldValue, includeSnapshot }),
  output: actionOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  enters: true,
  handler(args, { page, signal }) {
    return answerAction({ page, signal, done: `Filled ${args.uid}.`, includeSnapshot: args.includeSnapshot }, () =>
      fill(page, args.uid, args.value),
    );
  },
});

const fillFormTool = definePageTool({
  name: 'fill_form',
  title: 'Fill form',
  group: 'input',
  description: 'Set several form fields in one call',
  input: z.strictObject({
    elements: z
      .array(z.strictObject({ uid, value: z.string().describe('As for fill') }))
      .min(1)
      .describe('Fields, in order'),
    includeSnapshot,
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  enters: true,
  handler({ elements, includeSnapshot: withSnapshot }, { page, signal }) {
    const done = `Filled ${elements.map((element) => element.uid).join(', ')}.`;
    return answerAction({ page, signal, done, includeSnapshot: withSnapshot }, (either) =>
      fillInOrder(page, elements, either),
    );
  },
});

/** Resolves with the remarks about the fields. An error says which fields are filled. */
async function fillInOrder(
  page: SessionPage,
  elements: readonly { readonly uid: string; readonly value: string }[],
  signal: AbortSignal,
): Promise<string | undefined> {
  for (const element of elements) page.elements.addressOf(element.uid);
  const filled: string[] = [];
  const remarks: string[] = [];
  for (const element of elements) {
    signal.throwIfAborted();
    try {
      remarks.push((await fill(page, element.uid, element.value)) ?? '');
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      const rest = elements.slice(filled.length + 1).map((field) => field.uid);
      const done = filled.length === 0 ? 'Nothing was filled' : `Filled: ${filled.join(', ')}`;
      const left = rest.length === 0 ? '' : `; not tried: ${rest.join(', ')}`;
      throw new ToolError(`${error.message}\n${done}${left}.`, { cause: error });
    }
    filled.push(element.uid);
  }
  return remarks.filter(Boolean).join('\n') || undefined;
}

const uploadFileTool = definePageTool({
  name: 'upload_file',
  title: 'Upload files',
  group: 'input',
  description: 'Choose files for a file field, the button that opens its chooser, or a place to drop them',
  input: z.strictObject({
    uid,
    filePaths: z.array(z.string()).min(1).describe("Files, or one folder, in the workspace on the server's disk"),
    includeSnapshot,
  }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  enters: true,
  async handler(args, { page, signal, workspace }) {
    const files = await chosenFiles(args.filePaths, workspace);
    const done = `Chose ${files.isFolder ? 'the folder' : `${files.paths.length} file(s)`} for ${args.uid}.`;
    return answerAction({ page, signal, done, includeSnapshot: args.includeSnapshot }, (either) =>
      upload(page, args.uid, files, either),
    );
  },
});

export const inputTools: readonly Tool[] = [
  clickTool,
  hoverTool,
  dragTool,
  fillTool,
  fillFormTool,
  uploadFileTool,
  pressKeyTool,
  typeTextTool,
  ...pointerTools,
];
