import type { PictureMark } from './contract.js';

const colours = ['#c00018', '#0047c2', '#00702e', '#7a1fc2', '#a34a00'];
const lineWidth = 2;
const fontPixels = 12;
const padding = 2;

/**
 * Draws boxes with their labels on a picture (base64), on a canvas that is in no document: the page does not change.
 * Resolves with the new picture.
 */
export async function drawMarks(
  picture: string,
  type: string,
  quality: number | null,
  marks: readonly PictureMark[],
): Promise<string> {
  const bytes = Uint8Array.from(atob(picture), (character) => character.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type }));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('This browser draws on no canvas.');
  context.drawImage(bitmap, 0, 0);
  context.font = `bold ${fontPixels}px monospace`;
  context.textBaseline = 'top';
  context.lineWidth = lineWidth;
  const colourOf = (index: number): string => colours[index % colours.length] ?? '';
  for (const [index, mark] of marks.entries()) {
    context.strokeStyle = colourOf(index);
    context.strokeRect(mark.x, mark.y, mark.width, mark.height);
  }
  // Over the boxes: no label is crossed out by a later one.
  for (const [index, mark] of marks.entries()) drawLabel(context, mark, colourOf(index));
  return base64Of(await canvas.convertToBlob({ type, ...(quality !== null && { quality }) }));
}

/** Above the box if there is room, so that it hides nothing in the box. */
function drawLabel(context: OffscreenCanvasRenderingContext2D, { label, x, y }: PictureMark, colour: string): void {
  const { canvas } = context;
  const width = context.measureText(label).width + 2 * padding;
  const height = fontPixels + 2 * padding;
  const left = Math.min(Math.max(0, x), canvas.width - width);
  const top = y >= height ? y - height : Math.max(0, y);
  context.fillStyle = colour;
  context.fillRect(left, top, width, height);
  context.fillStyle = '#fff';
  context.fillText(label, left + padding, top + padding);
}

function base64Of(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(typeof reader.result === 'string' ? reader.result.replace(/^[^,]*,/, '') : '');
    reader.onerror = () => reject(new Error('The picture cannot be read.'));
    reader.readAsDataURL(blob);
  });
}
