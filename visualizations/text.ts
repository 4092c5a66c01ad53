const widths: readonly (readonly [RegExp, number])[] = [
  [/[ijl'.,|:;!]/, 0.33],
  [/[ \u00a0frt()[\]/-]/, 0.4],
  [/[mwMW%@→]/, 0.95],
  [/[A-Z&#]/, 0.73],
];

/**
 * Width of a line in pixels, rounded up: the fonts of readers differ, and none is available here. Measured with DejaVu Sans,
 * the widest of the usual system fonts.
 */
export function measure(text: string, fontSize: number, bold = false): number {
  let width = 0;
  for (const letter of text) width += widths.find(([letters]) => letters.test(letter))?.[1] ?? 0.625;
  return Math.ceil(width * fontSize * (bold ? 1.1 : 1));
}

/** Breaks at spaces so that each line fits, unless one word is longer. */
export function wrap(text: string, fontSize: number, maxWidth: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ').filter((part) => part !== '')) {
    const line = lines.at(-1);
    const longer = `${line ?? ''} ${word}`;
    if (line !== undefined && measure(longer, fontSize) <= maxWidth) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

export function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
