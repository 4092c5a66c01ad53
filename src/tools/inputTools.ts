import { z } from 'zod';
import { click, drag, hover } from '../browser/page/userActions.js';
import { actionOutput, answerAction, includeSnapshot, uid } from './answers.js';
import { definePageTool } from './defineTool.js';

export const clickTool = definePageTool({
  name: 'click',
  group: 'input',
  description: 'Click an element and wait for what that leads to',
  input: z.strictObject({
    uid,
    dblClick: z.boolean().optional(),
    button: z.enum(['left', 'right', 'middle']).optional(),
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

export const hoverTool = definePageTool({
  name: 'hover',
  group: 'input',
  description: 'Move the mouse over an element',
  input: z.strictObject({ uid, includeSnapshot }),
  output: actionOutput,
  annotations: { readOnlyHint: false, idempotentHint: true },
  handler(args, { page, signal }) {
    const done = `Moved the mouse over ${args.uid}.`;
    return answerAction({ page, signal, done, includeSnapshot: args.includeSnapshot }, () => hover(page, args.uid));
  },
});

export const dragTool = definePageTool({
  name: 'drag',
  group: 'input',
  description: 'Drag an element onto another one',
  input: z.strictObject({ from_uid: uid, to_uid: uid, includeSnapshot }),
  output: actionOutput,
  annotations: { readOnlyHint: false },
  handler(args, { page, signal }) {
    const done = `Dragged ${args.from_uid} onto ${args.to_uid}.`;
    return answerAction({ page, signal, done, includeSnapshot: args.includeSnapshot }, () =>
      drag(page, args.from_uid, args.to_uid),
    );
  },
});
