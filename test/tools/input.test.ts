import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;
let workspace: string;
let snapshot: string;

beforeAll(async () => {
  [pages, harness, workspace] = await Promise.all([
    startPageServer(),
    startToolHarness([...inputTools, ...lookTools, ...navigationTools]),
    mkdtemp(join(tmpdir(), 'input-')),
  ]);
});

beforeEach(async () => {
  await harness.run('navigate_page', { url: `${pages.url}/input.html` });
  snapshot = await harness.text('take_snapshot');
});

afterAll(async () => {
  await harness.close();
  await pages.close();
  await rm(workspace, { recursive: true });
});

const uid = (line: string) => new RegExp(`uid=(e\\d+) ${line}`).exec(snapshot)?.[1];
const read = (source: string) => harness.text('evaluate_script', { function: source });
const log = () => read('() => document.getElementById("log").textContent');
const field = (name: string) => read(`() => document.forms[0].elements.${name}.value`);

describe('pointer', () => {
  test('click reaches what lies outside the window', async () => {
    expect(await harness.text('click', { uid: uid('button "Far"') })).toBe(`Clicked ${uid('button "Far"')}.`);
    expect(await log()).toBe('"far away; "');
  });

  test('dblClick and the right button arrive as such', async () => {
    await harness.run('click', { uid: uid('button "Twice"'), dblClick: true });
    await harness.run('click', { uid: uid('button "Twice"'), button: 'right' });
    expect(await log()).toBe('"double 2; menu; "');
  });

  test('hover enters the element', async () => {
    await harness.run('hover', { uid: uid('button "Hovered"') });
    expect(await log()).toBe('"entered; "');
  });

  test('drag carries the data of what is dragged', async () => {
    await harness.run('drag', { from_uid: uid('button "Parcel"'), to_uid: uid('button "Shelf"') });
    expect(await log()).toBe('"dropped gift; "');
  });

  test('includeSnapshot adds what has changed in the snapshot that was shown, or all of it where none was', async () => {
    const { text, structured } = await harness.run('click', { uid: uid('button "Far"'), includeSnapshot: true });
    expect(structured['snapshot']).toMatch(/^Since the last snapshot [^]*far away/);
    expect(text).toContain('far away');
    await harness.run('navigate_page', { reload: true });
    const [, far] = /uid=(e\d+) button "Far"/.exec(await harness.text('find_in_snapshot', { text: 'Far' })) ?? [];
    expect(await harness.text('click', { uid: far, includeSnapshot: true })).toContain('RootWebArea');
  });

  test('what is covered, disabled or hidden is not clicked, and the answer says why', async () => {
    expect(await harness.refusal('click', { uid: uid('button "Covered"') })).toContain(
      'is covered by <div id="cover">',
    );
    expect(await harness.refusal('click', { uid: uid('button "Locked"') })).toContain('is disabled');
    await read('() => { document.querySelector("form").style.visibility = "hidden" }');
    expect(await harness.refusal('click', { uid: uid('button "Send"') })).toContain(
      'is not visible (visibility: hidden)',
    );
    await read(
      '() => { document.querySelector("form").inert = true; document.querySelector("form").style.visibility = "" }',
    );
    expect(await harness.refusal('click', { uid: uid('button "Send"') })).toContain('is inert, through <form');
    expect(await log()).toBe('""');
  });

  test('what becomes clickable within a moment is clicked', async () => {
    await read('() => void setTimeout(() => document.getElementById("cover").remove(), 200)');
    await harness.run('click', { uid: uid('button "Covered"') });
    expect(await read('() => document.activeElement.id')).toBe('"covered"');
  });
});

describe('fields', () => {
  test('fill replaces a text with real input events', async () => {
    await harness.run('fill', { uid: uid('textbox "Name"'), value: 'Grüße 你好' });
    expect(await field('name')).toBe('"Grüße 你好"');
    expect(await log()).toContain('input Grüße 你好');
  });

  test('fill with nothing empties a field', async () => {
    await harness.run('fill', { uid: uid('textbox "Name"'), value: '' });
    expect(await field('name')).toBe('""');
  });

  test('fill_form fills every kind of field, and the form is sent with them', async () => {
    await harness.run('fill_form', {
      elements: [
        { uid: uid('textbox "Notes"'), value: 'one\ntwo' },
        { uid: uid('combobox "Size"'), value: 'Large' },
        { uid: uid('checkbox "Terms"'), value: 'true' },
        { uid: uid('radio "Kind B"'), value: 'true' },
        { uid: uid('Date "Day"'), value: '2026-01-31' },
        { uid: uid('slider "Volume"'), value: '7' },
        { uid: uid('spinbutton "Count"'), value: '12' },
      ],
    });
    await harness.run('click', { uid: uid('button "Send"') });
    const sent = /submitted (\{.*\})/.exec(JSON.parse(await log()) as string)?.[1] ?? '{}';
    expect(JSON.parse(sent)).toMatchObject({
      notes: 'one\ntwo',
      size: 'l',
      terms: 'on',
      kind: 'b',
      day: '2026-01-31',
      volume: '7',
      count: '12',
    });
    expect(await log()).toContain('change l');
  });

  test('a checkbox that is as wanted stays so', async () => {
    const terms = uid('checkbox "Terms"');
    await harness.run('fill', { uid: terms, value: 'true' });
    await harness.run('fill', { uid: terms, value: 'true' });
    expect(await read('() => document.forms[0].elements.terms.checked')).toBe('true');
    await harness.run('fill', { uid: terms, value: 'false' });
    expect(await read('() => document.forms[0].elements.terms.checked')).toBe('false');
  });

  test('an editable element takes text in place of its own', async () => {
    await harness.run('fill', { uid: uid('textbox "Editor"'), value: 'final' });
    expect(await read('() => document.querySelector("[contenteditable]").innerText')).toBe('"final"');
  });

  test('what a field cannot take is refused with what it can', async () => {
    const refuse = (line: string, value: string) => harness.refusal('fill', { uid: uid(line), value });
    expect(await refuse('combobox "Size"', 'Huge')).toContain('has no option "Huge". Its options: "Small", "Large"');
    expect(await refuse('checkbox "Terms"', 'maybe')).toContain('takes the value true or false');
    expect(await refuse('Date "Day"', 'tomorrow')).toContain(
      'does not take "tomorrow" as its date: write it as 2026-12-24',
    );
    expect(await refuse('slider "Volume"', '99')).toContain('the nearest that it takes is');
    expect(await refuse('textbox "Fixed"', 'x')).toContain('is read-only');
    expect(await refuse('button "Send"', 'x')).toContain('takes no text');
  });

  test('upload_file fills a file field, or answers the chooser that a button opens', async () => {
    await writeFile(join(workspace, 'photo.png'), 'not really');
    const files = { filePaths: ['photo.png'] };
    await harness.run('upload_file', { uid: uid('button "File'), ...files }, { workspace: [workspace] });
    await harness.run('upload_file', { uid: uid('button "Choose"'), ...files }, { workspace: [workspace] });
    expect(await log()).toBe('"file photo.png; chosen photo.png; "');
  });

  test('upload_file takes nothing from outside the workspace, and nothing that is no file', async () => {
    const upload = (path: string) =>
      harness.refusal('upload_file', { uid: uid('button "File'), filePaths: [path] }, { workspace: [workspace] });
    expect(await upload('/etc/passwd')).toContain('outside the folders');
    expect(await upload('missing.png')).toContain('is not a file');
  });
});

describe('keys', () => {
  test('type_text goes key by key into the focused field, and submitKey sends the form', async () => {
    await harness.run('fill', { uid: uid('textbox "Name"'), value: '' });
    await harness.run('type_text', { text: 'A b+ü', submitKey: 'Enter' });
    expect(await log()).toContain('input A b+; input A b+ü; submitted');
  });

  test('press_key does chords', async () => {
    await harness.run('click', { uid: uid('textbox "Name"') });
    await harness.run('press_key', { key: 'Control+A' });
    await harness.run('press_key', { key: 'x' });
    expect(await field('name')).toBe('"x"');
    await harness.run('press_key', { key: 'Shift+b' });
    expect(await field('name')).toBe('"xB"');
    await harness.run('press_key', { key: 'Backspace' });
    expect(await field('name')).toBe('"x"');
  });

  test('a key that is none is refused with those there are', async () => {
    expect(await harness.refusal('press_key', { key: 'Hyper+A' })).toContain('Control+A');
  });
});
