import assert from 'node:assert/strict';
import { assertIncludes, type Check } from '../checkContext.js';

export const evidenceChecks: readonly Check[] = [
  {
    tool: 'save_pdf',
    async run(context) {
      const nonce = await context.openControls();
      const answer = await context.call('save_pdf');
      const pdf = await context.readLink(answer, '.pdf');
      assert.equal(pdf.toString('latin1', 0, 5), '%PDF-');
      assertIncludes(pdf.toString('latin1'), `/Title (Selftest ${nonce})`);
      assert.equal(pdf.length, answer.data['bytes']);
      return `a PDF of ${pdf.length} bytes`;
    },
  },
  {
    tool: 'export_har',
    async run(context) {
      const nonce = await context.openControls();
      const answer = await context.call('export_har', { url: `nonce=${nonce}` });
      const har = (await context.readLink(answer, '.har')).toString();
      assertIncludes(har, `nonce=${nonce}`);
      assertIncludes(har, 'Hover</button>');
      assert.equal(answer.data['requests'], 1);
      return 'one request, with the text of the page';
    },
  },
  {
    tool: 'start_recording',
    async run(context) {
      await context.openControls();
      await context.call('start_recording', { maxWidth: 320, frameRate: 5 });
      assertIncludes(await context.expectError('start_recording', {}), 'stop_recording');
      await context.call('stop_recording');
      return 'one at a time for each page';
    },
  },
  {
    tool: 'stop_recording',
    async run(context) {
      await context.openControls();
      assertIncludes(await context.expectError('stop_recording', {}), 'start_recording');
      await context.call('start_recording', { maxWidth: 320, frameRate: 5 });
      await context.call('hover', { uid: await context.uidOf('button', 'Hover') });
      const video = await context.readLink(await context.call('stop_recording'), '.mp4');
      assert.equal(video.toString('latin1', 4, 8), 'ftyp');
      return `a video of ${video.length} bytes`;
    },
  },
  {
    tool: 'export_script',
    async run(context) {
      const nonce = await context.openControls();
      await context.call('click', { uid: await context.uidOf('button', 'Hover') });
      const answer = await context.call('export_script', { framework: 'playwright' });
      const script = (await context.readLink(answer, '.mjs')).toString();
      assertIncludes(script, `nonce=${nonce}`);
      assertIncludes(script, '.locator("#hover").click();');
      return `${String(answer.data['actions'])} actions`;
    },
  },
];
