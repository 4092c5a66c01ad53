import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ImageContent } from '../../src/tools/client.js';
import type { Answer } from '../../src/tools/defineTool.js';
import { startPageServer, type PageServer } from '../../src/selftest/pageServer.js';
import { lookTools } from '../../src/tools/lookTools.js';
import { navigationTools } from '../../src/tools/navigationTools.js';
import { startToolHarness, type ToolHarness } from './support/toolHarness.js';

let pages: PageServer;
let harness: ToolHarness;

beforeAll(async () => {
  [pages, harness] = await Promise.all([startPageServer(), startToolHarness([...lookTools, ...navigationTools])]);
});

beforeEach(async () => {
  await harness.run('navigate_page', { url: `${pages.url}/look.html` });
});

afterAll(async () => {
  await harness.close();
  await pages.close();
});

const evaluate = (source: string, ...args: unknown[]) => harness.text('evaluate_script', { function: source, args });
const uidOf = async (line: string) =>
  /uid=(e\d+)/.exec(await harness.text('find_in_snapshot', { text: line, context: 0 }))?.[1];

describe('evaluate_script', () => {
  test.each([
    ['() => ({ sum: 1 + 2, list: [1, "two", null] })', '{"sum":3,"list":[1,"two",null]}'],
    ['async () => (await fetch("/echo")).status', '200'],
    ['() => undefined', 'undefined'],
    ['() => [undefined, NaN, 10n, () => 1]', '[null,"NaN","10n","[Function anonymous]"]'],
    [
      '() => { const a = { same: 1 }; a.self = a; return [a, a] }',
      '[{"same":1,"self":"[Circular]"},{"same":1,"self":"[Circular]"}]',
    ],
    ['() => new Map([["a", new Set([1])]])', '{"a":[1]}'],
    ['() => document.body', '"[body]"'],
    ['document.title', '"Look"'],
    ['() => 1;', '1'],
    ['```js\n() => 2;\n```', '2'],
    ['const a = 1; a + 2', '3'],
    ['return 4;', '4'],
    ['const answer = await fetch("/echo");\nreturn answer.status;', '200'],
    ['await Promise.resolve({ five: 5 })', '{"five":5}'],
    ['document.body', '"[body]"'],
    ['function () { return 6 }', '6'],
    ['() => [/a+/g, new Map([[1, 2]]), new Uint8Array([1, 2])]', '["/a+/g",[[1,2]],[1,2]]'],
    ['() => document.querySelectorAll("title")', '["[title]"]'],
    ['() => new URLSearchParams("a=1")', '[["a","1"]]'],
  ])('%s gives %s', async (source, result) => {
    expect(await evaluate(source)).toBe(result);
  });

  test('takes values, and elements by uid in their own frame', async () => {
    expect(await evaluate('(a, b) => a + b.c', 1, { c: 2 })).toBe('3');
    const inner = { uid: await uidOf('heading "Arrived"') };
    expect(await evaluate('(el, word) => [el.localName, word, el.ownerDocument.title]', inner, 'x')).toBe(
      '["h1","x","Settled"]',
    );
  });

  test('a uid that is passed as text stays text, with a hint when nothing came of it', async () => {
    const uid = await uidOf('heading "Fruit"');
    const hint = `The argument "${uid}" was passed as text; {"uid": "${uid}"} is the element.`;
    expect(await evaluate('(text) => text', uid)).toBe(`"${uid}"`);
    expect(await evaluate('(el) => el.innerText', uid)).toBe(`undefined\n${hint}`);
    const args = [uid];
    expect(await harness.refusal('evaluate_script', { function: '(el) => el.click()', args })).toContain(hint);
    expect(await evaluate('(text) => undefined', 'e9999')).toBe('undefined');
  });

  test('what the script throws, and what is no script, is an error with the reason', async () => {
    expect(await harness.refusal('evaluate_script', { function: '() => { throw new TypeError("no") }' })).toContain(
      'The script threw: TypeError: no',
    );
    const caused = '() => { throw new Error("no", { cause: new RangeError("since") }) }';
    expect(await harness.refusal('evaluate_script', { function: caused })).toContain(
      '\nCaused by: RangeError: since\n',
    );
    expect(await harness.refusal('evaluate_script', { function: 'const = 1' })).toContain('Pass one function');
    expect(await harness.refusal('evaluate_script', { function: '() => { throw "a text" }' })).toBe(
      'The script threw: a text',
    );
    expect(await harness.refusal('evaluate_script', { function: 'Promise.reject({ code: 7 })' })).toContain('code: 7');
    expect(await harness.refusal('evaluate_script', { function: '() => 1', args: [{ uid: 'e9999' }] })).toContain(
      'No element has the uid',
    );
  });

  test('the lines of a stack are those of the script, and no other frame is told', async () => {
    const source = '() => {\n  const fail = () => { throw new Error("here") };\n  fail();\n}';
    expect(await harness.refusal('evaluate_script', { function: source })).toBe(
      'The script threw: Error: here\n    at fail (evaluate_script:2:30)\n    at evaluate_script:3:3',
    );
    expect(await harness.refusal('evaluate_script', { function: '() => missing' })).toBe(
      'The script threw: ReferenceError: missing is not defined\n    at evaluate_script:1:7',
    );
    expect(await evaluate('() => new Error("kept")')).toMatch(/^"Error: kept\\n {4}at evaluate_script:1:7"$/);
  });

  test('a script whose document goes away meanwhile says so', async () => {
    const text = await evaluate('async () => { location.href = "settled.html"; await new Promise(() => {}) }');
    expect(text).toContain('the page went to another document while the script ran');
    expect(text).toContain(`Now at ${pages.url}/settled.html`);
    await harness.run('navigate_page', { url: `${pages.url}/look.html` });
  });

  test('a long result is cut, with how to get less', async () => {
    const text = await evaluate('() => "x".repeat(1e6)');
    expect(Buffer.byteLength(text)).toBeLessThan(66 * 1024);
    expect(text).toContain('return a part of the result');
  });

  test('a navigation that the script starts is waited for', async () => {
    expect(await evaluate('() => { location.href = "settled.html" }')).toContain(`Now at ${pages.url}/settled.html`);
    expect(await harness.text('take_snapshot')).toContain('rendered on load');
  });

  test('a dialog that the script opens is its answer; the script goes on when it is handled', async () => {
    expect(await evaluate('() => { document.title = String(confirm("Go on?")) }')).toContain(
      'The script has not ended.',
    );
    await harness.run('handle_dialog', { action: 'accept' });
    expect(await evaluate('document.title')).toBe('"true"');
  });

  test('aborting ends a script that never would, and the page works on', async () => {
    const page = harness.browser.page();
    const stopping = new AbortController();
    const started = new Promise((resolve) => page.cdp.once('Runtime.consoleAPICalled', resolve));
    const source = '() => { console.log("started"); while (true); }';
    const answer = harness.run('evaluate_script', { function: source }, { signal: stopping.signal });
    await started;
    stopping.abort(new Error('cancelled by the test'));
    await expect(answer).rejects.toThrow('cancelled by the test');
    expect(await evaluate('() => 1')).toBe('1');
  });
});

describe('take_screenshot', () => {
  /** Width and height as the picture itself has them. */
  function sizeOfPng(base64: string): [number, number] {
    const bytes = Buffer.from(base64, 'base64');
    return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  }

  function pictureOf(content: Answer['content']): ImageContent {
    const picture = content?.find((block) => block.type === 'image');
    if (!picture) throw new Error('There is no picture in the answer.');
    return picture;
  }

  test('pictures what the window shows', async () => {
    const { content, structured } = await harness.run('take_screenshot');
    expect(content).toHaveLength(1);
    expect(pictureOf(content).mimeType).toBe('image/png');
    expect(sizeOfPng(pictureOf(content).data)).toEqual([structured['width'], structured['height']]);
  });

  test('pictures one element, or the whole height', async () => {
    const uid = await uidOf('button "Menu"');
    const [width, height] = JSON.parse(
      await evaluate('(el) => { const box = el.getBoundingClientRect(); return [box.width, box.height] }', { uid }),
    ) as [number, number];
    const element = await harness.run('take_screenshot', { uid });
    const [pictured, high] = sizeOfPng(pictureOf(element.content).data);
    expect(Math.abs(pictured - width)).toBeLessThanOrEqual(1);
    expect(Math.abs(high - height)).toBeLessThanOrEqual(1);
    await evaluate('() => { document.body.style.height = "2500px" }');
    const whole = await harness.run('take_screenshot', { fullPage: true, format: 'jpeg', quality: 30 });
    expect(whole.structured).toMatchObject({ mimeType: 'image/jpeg' });
    expect(whole.structured['height']).toBeGreaterThanOrEqual(2500);
  });

  test('a picture larger than a client takes is scaled down, and the real size is told', async () => {
    await evaluate('() => { document.body.style.cssText = "width: 9000px; background: linear-gradient(red, blue)" }');
    const { content, structured, text } = await harness.run('take_screenshot', { fullPage: true });
    const [width, height] = sizeOfPng(pictureOf(content).data);
    expect(width).toBeLessThanOrEqual(8_000);
    expect(width).toBeGreaterThan(7_900);
    expect(structured).toMatchObject({ width, height, scaled: true });
    expect((structured['area'] as { width: number }).width).toBeGreaterThan(8_900);
    expect(text).toContain(`${width} × ${height} pixels`);
    expect(text).toContain('Scaled down from');
  });

  test('a long page is shown in parts that can be read, and the answer says how to go on', async () => {
    await evaluate('() => { document.body.style.cssText = "height: 9500px; background: linear-gradient(red, blue)" }');
    const limits = { pictures: { bytes: 3_900_000, pixels: 1_000 } };
    const first = await harness.run('take_screenshot', { fullPage: true, format: 'jpeg', quality: 20 }, limits);
    const [wide, high] = [first.structured['width'], first.structured['height']] as [number, number];
    expect(first.content).toHaveLength(5);
    expect(Math.max(wide, high)).toBeLessThanOrEqual(1_000);
    const { parts, next } = first.structured as { parts: { from: number; to: number }[]; next: number };
    for (const [index, part] of parts.slice(1).entries()) expect(part.from).toBe((parts[index]?.to ?? 0) - 40);
    expect(first.text.trimEnd().split('\n').length).toBeGreaterThanOrEqual(6);
    expect(first.text).toContain(`${wide} × ${high} pixels, image/jpeg`);
    expect(first.text).toContain(`pass from ${next} for the next pictures`);
    const rest = await harness.run(
      'take_screenshot',
      { fullPage: true, from: next, format: 'jpeg', quality: 20 },
      limits,
    );
    expect(rest.structured).toMatchObject({ parts: expect.arrayContaining([expect.objectContaining({ from: next })]) });
    expect(rest.text).toMatch(/That is all of \d+ × 9\d{3}\.$/);
    const end = await harness.text('take_screenshot', { fullPage: true, from: 9_000, format: 'jpeg' }, limits);
    expect(end).toMatch(/It shows y 9000 to 9\d{3}, the end\./);
    const tooFar = harness.run('take_screenshot', { fullPage: true, from: 20_000 }, limits);
    await expect(tooFar).rejects.toThrow(/beyond the end/);
  });

  test('draws the uids of what is seen and can be clicked or filled, and the page does not change', async () => {
    await evaluate(
      `() => {
        document.body.innerHTML = '<button>Seen</button> <button style="visibility: hidden">Hidden</button> <input placeholder="Field">' +
          '<iframe srcdoc="<button>Inner</button>"></iframe><p style="margin-top: 3000px"><button>Below</button></p>';
        window.changes = 0;
        new MutationObserver(() => changes++).observe(document, { subtree: true, childList: true, attributes: true });
      }`,
    );
    await harness.run('wait_for', { text: ['Inner'] });
    const plain = await harness.run('take_screenshot');
    const { content, text, structured } = await harness.run('take_screenshot', { uids: true, format: 'png' });
    expect(sizeOfPng(pictureOf(content).data)).toEqual([structured['width'], structured['height']]);
    expect(pictureOf(content).data).not.toBe(pictureOf(plain.content).data);
    expect(text).toContain('3 uids are drawn on it');
    expect((await harness.run('take_screenshot', { uids: true, fullPage: true })).structured['marks']).toBe(4);
    expect(await evaluate('() => changes')).toBe('0');
  });

  test.each(['jpeg', 'webp'])(
    'the size of a %s is that of the picture, within the bytes of the client',
    async (format) => {
      const noise =
        'Array.from({ length: 4000 }, (_, i) => `<i style="color:hsl(${i * 77},80%,40%)">${i * 7919}</i>`).join(" ")';
      await evaluate(`() => { document.body.innerHTML = ${noise} }`);
      const pictures = { bytes: 30_000, pixels: 700 };
      const { structured } = await harness.run('take_screenshot', { format, quality: 90 }, { pictures });
      expect(structured['bytes']).toBeLessThanOrEqual(30_000);
      const { width, height, area } = structured as {
        width: number;
        height: number;
        area: { width: number; height: number };
      };
      expect(Math.max(width, height)).toBeLessThanOrEqual(700);
      expect(width / height).toBeCloseTo(area.width / area.height, 1);
    },
  );
});
