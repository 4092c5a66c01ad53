/** Facts about CSS properties that the cascade needs. */

const inheritedNames: ReadonlySet<string> = new Set(
  (
    'accent-color azimuth border-collapse border-spacing caption-side caret-color color color-interpolation ' +
    'color-interpolation-filters color-rendering color-scheme cursor direction dynamic-range-limit elevation empty-cells ' +
    'fill fill-opacity fill-rule font-family font-feature-settings font-kerning font-language-override ' +
    'font-optical-sizing font-palette font-size font-size-adjust font-stretch font-style font-synthesis-small-caps ' +
    'font-synthesis-style font-synthesis-weight font-variant-alternates font-variant-caps font-variant-east-asian ' +
    'font-variant-emoji font-variant-ligatures font-variant-numeric font-variant-position font-variation-settings ' +
    'font-weight forced-color-adjust hyphenate-character hyphenate-limit-chars hyphens image-orientation ' +
    'image-rendering interactivity interpolate-size letter-spacing line-break line-height list-style-image ' +
    'list-style-position list-style-type marker-end marker-mid marker-start math-depth math-shift math-style ' +
    'orphans overflow-wrap paint-order pointer-events print-color-adjust quotes ruby-align ruby-position ' +
    'scrollbar-color shape-rendering speak stroke stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin ' +
    'stroke-miterlimit stroke-opacity stroke-width tab-size text-align text-align-last text-anchor text-autospace ' +
    'text-box-edge text-combine-upright text-decoration-skip-ink text-emphasis-color text-emphasis-position ' +
    'text-emphasis-style text-indent text-orientation text-rendering text-shadow text-size-adjust text-spacing-trim ' +
    'text-transform text-underline-offset text-underline-position text-wrap-mode text-wrap-style user-select ' +
    'visibility white-space-collapse widows word-break word-spacing writing-mode -webkit-font-smoothing ' +
    '-webkit-border-horizontal-spacing -webkit-border-vertical-spacing -webkit-line-break -webkit-locale ' +
    '-webkit-rtl-ordering -webkit-tap-highlight-color -webkit-text-fill-color -webkit-text-security ' +
    '-webkit-text-stroke-color -webkit-text-stroke-width'
  ).split(' '),
);

export const isCustom = (name: string): boolean => name.startsWith('--');

/** Whether an element takes the value of its parent where nothing is declared. Custom ones do unless they are registered otherwise. */
export function isInherited(name: string, notInherited: ReadonlySet<string>): boolean {
  return isCustom(name) ? !notInherited.has(name) : inheritedNames.has(name);
}

/** The computed values that decide which side a logical property means. */
export interface FlowDirection {
  readonly writingMode: string;
  readonly direction: string;
}

type Side = 'top' | 'right' | 'bottom' | 'left';

interface Sides {
  readonly block: readonly [start: Side, end: Side];
  readonly inline: readonly [start: Side, end: Side];
}

function sidesOf({ writingMode, direction }: FlowDirection): Sides {
  const isRtl = direction === 'rtl';
  const flip = ([start, end]: readonly [Side, Side], flips: boolean): readonly [Side, Side] =>
    flips ? [end, start] : [start, end];
  if (writingMode === 'horizontal-tb' || writingMode === '') {
    return { block: ['top', 'bottom'], inline: flip(['left', 'right'], isRtl) };
  }
  const block = flip(['left', 'right'], writingMode === 'vertical-rl' || writingMode === 'sideways-rl');
  return { block, inline: flip(['top', 'bottom'], isRtl !== (writingMode === 'sideways-lr')) };
}

/** `inline-start` within a name: between other parts, or at its end. */
const sidePattern = /(^|-)(block|inline)-(start|end)(?=-|$)/;
const sizePattern = /^(min-|max-|contain-intrinsic-|)(block|inline)-size$/;
const axisPattern = /^(overflow|overscroll-behavior)-(block|inline)$/;
const cornerPattern = /^border-(start|end)-(start|end)-radius$/;

/**
 * The physical property that a longhand sets: `margin-inline-start` is `margin-left` in a text from left to right. Two that
 * set the same one override each other.
 */
export function physicalName(name: string, flow: FlowDirection): string {
  const sides = sidesOf(flow);
  const sideOf = (axis: string, end: string): Side =>
    sides[axis === 'block' ? 'block' : 'inline'][end === 'end' ? 1 : 0];
  const isVertical = (axis: string): boolean => ['top', 'bottom'].includes(sideOf(axis, 'start'));
  const corner = cornerPattern.exec(name);
  if (corner) {
    const both = [sideOf('block', corner[1] ?? ''), sideOf('inline', corner[2] ?? '')];
    const [vertical] = both.filter((side) => side === 'top' || side === 'bottom');
    const [horizontal] = both.filter((side) => side === 'left' || side === 'right');
    return `border-${vertical ?? ''}-${horizontal ?? ''}-radius`;
  }
  const size = sizePattern.exec(name);
  if (size) return `${size[1] ?? ''}${isVertical(size[2] ?? '') ? 'height' : 'width'}`;
  const axis = axisPattern.exec(name);
  if (axis) return `${axis[1] ?? ''}-${isVertical(axis[2] ?? '') ? 'y' : 'x'}`;
  return name
    .replace(sidePattern, (_, before: string, of: string, end: string) => `${before}${sideOf(of, end)}`)
    .replace(/^inset-(top|right|bottom|left)$/, '$1');
}
