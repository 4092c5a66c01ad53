import { readStream } from './screenRecording.js';
import type { SessionPage } from './sessionPage.js';

/** Width and height in inches, as CDP takes them. */
const papers = {
  A3: [11.69, 16.54],
  A4: [8.27, 11.69],
  A5: [5.83, 8.27],
  Letter: [8.5, 11],
  Legal: [8.5, 14],
} as const;

export interface PdfOptions {
  readonly paper: keyof typeof papers;
  readonly landscape: boolean;
  readonly background: boolean;
  /** Such as `1-3, 5`; empty for all. */
  readonly pages: string;
  readonly scale: number;
}

/** The page as PDF, in parts (CDP Page.printToPDF, IO.read). Rejects where the browser cannot print, and for pages it has not. */
export async function* pdfOf(page: SessionPage, options: PdfOptions): AsyncGenerator<Uint8Array> {
  const [paperWidth, paperHeight] = papers[options.paper];
  const { stream: handle } = await page.cdp.send('Page.printToPDF', {
    ...{ paperWidth, paperHeight, landscape: options.landscape, scale: options.scale },
    printBackground: options.background,
    pageRanges: options.pages,
    preferCSSPageSize: true,
    generateTaggedPDF: true,
    transferMode: 'ReturnAsStream',
  });
  if (handle === undefined) throw new Error('The browser answered without a PDF.');
  yield* readStream(page.cdp, handle);
}
