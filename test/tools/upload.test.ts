import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { inputTools } from '../../src/tools/inputTools.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { servePages } from '../support/servePages.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

const page = `<!doctype html><script>
    const happened = [];
    const log = (what) => void happened.push(what);
    const names = (files) => [...files].map((file) => file.webkitRelativePath || file.name).join(' ');
    async function pick(picker) {
      try {
        const found = [await picker()].flat();
        for (const handle of found) log(handle.kind + ' ' + handle.name + (handle.kind === 'file' ? ' ' + (await (await handle.getFile()).text()) : ''));
      } catch (error) { log(error.name); }
    }
  </script>
  <label>Single <input type="file" onchange="log(names(this.files))"></label>
  <label>Several <input type="file" multiple onchange="log(names(this.files))"></label>
  <label>Folder <input type="file" webkitdirectory onchange="log(names(this.files))"></label>
  <div role="group" aria-label="Zone" style="height:60px" ondragover="event.preventDefault()"
    ondrop="event.preventDefault(); log('dropped ' + names(event.dataTransfer.files))">Drop here</div>
  <button onclick="pick(() => showOpenFilePicker())">Open</button>
  <button onclick="pick(() => showDirectoryPicker())">Open folder</button>
  <button>Idle</button>`;

let site: Awaited<ReturnType<typeof servePages>>;
let harness: ToolHarness;
let workspace: string;
let snapshot: string;

beforeAll(async () => {
  workspace = await mkdtemp(join(tmpdir(), 'upload-'));
  await mkdir(join(workspace, 'album'));
  const files = ['one.txt', 'two.txt', 'album/inner.txt'];
  await Promise.all(files.map((name) => writeFile(join(workspace, name), `text of ${name}`)));
  site = await servePages({ '/': () => [page] });
  harness = await startToolHarness([...inputTools, ...lookTools, ...navigationTools]);
  await harness.run('navigate_page', { url: site.url });
  snapshot = await harness.text('take_snapshot');
});

afterAll(async () => {
  await harness.close();
  site.close();
  await rm(workspace, { recursive: true });
});

const args = (name: string, filePaths: readonly string[]) => {
  const line = snapshot.split('\n').find((candidate) => candidate.includes(`"${name}"`));
  return { uid: /uid=(e\d+)/.exec(line ?? '')?.[1], filePaths };
};
const options = () => ({ workspace: [workspace] });
const happened = async () =>
  JSON.parse(await harness.text('evaluate_script', { function: '() => happened.splice(0)' })) as unknown[];

describe('upload_file', () => {
  test.each([
    ['Several', ['one.txt', 'two.txt'], 'one.txt two.txt'],
    ['Folder', ['album'], 'album/inner.txt'],
    ['Zone', ['one.txt', 'two.txt'], 'dropped one.txt two.txt'],
    ['Open', ['one.txt'], 'file one.txt text of one.txt'],
    ['Open folder', ['album'], 'directory album'],
  ])('to %s', async (name, filePaths, what) => {
    await harness.run('upload_file', args(name, filePaths), options());
    expect(await happened()).toEqual([what]);
  });

  test.each([
    ['Single', ['one.txt', 'two.txt'], 'takes one file, and 2 were passed'],
    ['Single', ['album'], 'takes files, no folder'],
    ['Folder', ['one.txt'], 'takes a folder'],
    ['Idle', ['one.txt'], 'opens no file chooser and takes no dropped files'],
  ])('to %s is refused where a user could not: %j', async (name, filePaths, problem) => {
    expect(await harness.refusal('upload_file', args(name, filePaths), options())).toContain(problem);
    expect(await happened()).toEqual([]);
  });
});
