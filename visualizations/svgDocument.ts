import type { Area } from './layout.js';
import { escapeXml } from './text.js';

/** The style of all pictures, light and dark. Classes instead of variables: more viewers support them. */
const style = `
text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 650 }
.description { fill: #59636e }
.effect, .tag { fill: #59636e }
.end { text-anchor: end }
.tag { font-size: 11px; text-anchor: middle; fill: #1f2328 }
.label { font-weight: 500 }
.paper { fill: #ffffff }
.box { fill: #ffffff; stroke: #818b98; stroke-width: 1.25 }
.depth0 { fill: #f6f8fa; stroke: #d1d9e0 }
.depth2, .depth4 { fill: #f6f8fa }
.ring { fill: none; stroke: #818b98 }
.region { stroke-dasharray: 6 4 }
.early, .pill.early, .acquiring, .pill.acquiring { fill: #fff8c5; stroke: #bf8700 }
.open, .pill.open, .owner, .pill.owner { fill: #dafbe1; stroke: #1a7f37 }
.draining, .pill.draining { fill: #ffebe9; stroke: #cf222e }
.pill { stroke-width: 1 }
.any { fill: none; stroke: #818b98; stroke-dasharray: 2 3 }
.types { fill: none; stroke: #424a53; stroke-width: 1.5 }
.arrow { fill: none; stroke: #424a53; stroke-width: 1.4; marker-end: url(#head) }
.arrow.ending { stroke: #afb8c1; stroke-width: 1.1 }
.head, .dot { fill: #424a53 }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc }
  .description, .effect { fill: #9198a1 }
  .tag { fill: #f0f6fc }
  .paper { fill: #0d1117 }
  .box { fill: #0d1117; stroke: #656c76 }
  .depth0 { fill: #151b23; stroke: #3d444d }
  .depth2, .depth4 { fill: #151b23 }
  .ring { stroke: #656c76 }
  .early, .pill.early, .acquiring, .pill.acquiring { fill: #2b2308; stroke: #9e6a03 }
  .open, .pill.open, .owner, .pill.owner { fill: #0c2915; stroke: #238636 }
  .draining, .pill.draining { fill: #35130f; stroke: #b62324 }
  .any { stroke: #656c76 }
  .types { stroke: #b7bdc8 }
  .arrow { stroke: #b7bdc8 }
  .arrow.ending { stroke: #57606a }
  .head, .dot { fill: #b7bdc8 }
}`.trim();

/** An SVG file with the elements. Adds a margin; coordinates are not moved. */
export function svgDocument(
  title: string,
  { width, height }: Pick<Area, 'width' | 'height'>,
  elements: readonly string[],
): string {
  const margin = 12;
  const [w, h] = [Math.ceil(width) + 2 * margin, Math.ceil(height) + 2 * margin];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="${-margin} ${-margin} ${w} ${h}" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<style>\n${style}\n</style>`,
    '<defs><marker id="head" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path class="head" d="M0 0.5L8 4L0 7.5z"/></marker></defs>',
    rect('paper', { x: -margin, y: -margin, width: w, height: h }, 12),
    ...elements.filter((element) => element !== ''),
    '</svg>',
    '',
  ].join('\n');
}

export function rect(className: string, { x, y, width, height }: Area, radius: number): string {
  return `<rect class="${className}" x="${x}" y="${y}" width="${width}" height="${height}" rx="${radius}"/>`;
}
