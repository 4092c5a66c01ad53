import { asRead, type FileField, type FillResult } from './contract.js';
import { elementOf, sameText, withoutElement, type AnyElement } from './elements.js';
import { offersOptions } from './optionList.js';

const checkedTypes = ['checkbox', 'radio'];
const checkedRoles = ['checkbox', 'radio', 'switch'];
const buttonTypes = ['button', 'submit', 'reset', 'image'];
/** Types whose value has a notation of its own, which is set as a whole, with an example. */
const formattedTypes: Readonly<Record<string, string>> = {
  date: '2026-12-24',
  time: '19:05',
  'datetime-local': '2026-12-24T19:05',
  month: '2026-12',
  week: '2026-W52',
  range: '5',
  color: '#ff0000',
};
const minFieldSide = 4;
const maxOptionsListed = 30;

/** Called on a node. Sets what can be set at once, and says what remains to be done. */
export function prepareFill(this: Node, value: string): FillResult {
  const element = elementOf(this);
  if (element === null) return fail(withoutElement(this));
  if (isSelect(element)) return fillSelect(element, value);
  if (offersOptions(element) && !takesText(element)) return { remaining: 'chosen' };
  if (element.readOnly) return fail('is read-only');
  if (isStepped(element)) return Number.isFinite(Number(value)) ? { remaining: 'stepped' } : fail('takes a number');
  const isInput = element.localName === 'input';
  if ((isInput && checkedTypes.includes(element.type ?? '')) || checkedRoles.includes(roleOf(element))) {
    return fillChecked(element, value);
  }
  if (isInput) {
    const result = fillWhole(element, value);
    if (result !== undefined) return result;
  }
  return selectText(element);
}

/** Called on a field. Its current value; undefined for an editor that draws its text elsewhere. */
export function readValue(this: AnyElement): string | undefined {
  if (this.editContext || (this.localName === 'textarea' && isTiny(this))) return undefined;
  if (isStepped(this)) return this.getAttribute('aria-valuenow') ?? '';
  return this.value ?? this.innerText ?? '';
}

/** Called on a checkbox, radio button or option. Whether it is checked or selected. */
export function isChecked(this: AnyElement): boolean {
  const isNative = this.localName === 'input' && checkedTypes.includes(this.type ?? '');
  return isNative ? this.checked === true : this.getAttribute('aria-checked') === 'true';
}

/** Called on a node. What a file input accepts; null for another node. */
export function fileField(this: AnyElement): FileField | null {
  if (this.localName !== 'input' || this.type !== 'file') return null;
  return { multiple: this.hasAttribute('multiple'), folder: this.hasAttribute('webkitdirectory') };
}

const fail = (problem: string): FillResult => ({ problem });

/** A slider or counter that is not a field itself: its keys change the value that its attributes report. */
const isStepped = (element: AnyElement): boolean =>
  element.localName !== 'input' && !takesText(element) && /^(?:slider|spinbutton)$/.test(roleOf(element));

const isSelect = (element: Element): element is HTMLSelectElement => element.localName === 'select';

const roleOf = (element: Element): string => element.getAttribute('role') ?? '';

function fillChecked(element: AnyElement, value: string): FillResult {
  if (value !== 'true' && value !== 'false') return fail('takes the value true or false');
  return { remaining: String(isChecked.call(element)) === value ? 'set' : 'clicked' };
}

/** Undefined for an input that is typed into. */
function fillWhole(element: AnyElement, value: string): FillResult | undefined {
  const { type = '' } = element;
  if (type === 'file') return fail('takes files: use upload_file');
  if (buttonTypes.includes(type)) return fail('is a button: use click');
  const example = Object.hasOwn(formattedTypes, type) ? formattedTypes[type] : undefined;
  if (example === undefined) return undefined;
  const before = element.value ?? '';
  element.focus?.();
  element.value = value;
  const held = element.value;
  if (held !== value && !isSameValue(type, value, held)) {
    element.value = before;
    const isOutside = type === 'range' && Number.isFinite(Number(value));
    const how = isOutside ? `the nearest that it takes is ${held}` : `write it as ${example}`;
    return fail(`does not take ${JSON.stringify(value)} as its ${type}: ${how}; it holds ${JSON.stringify(before)}`);
  }
  dispatchChange(element);
  return { remaining: 'set' };
}

/** Whether a field of this type took a value that it writes in another way: a colour by its name, a time after a blank. */
const isSameValue = (type: string, value: string, held: string | undefined): boolean =>
  (type === 'color' && CSS.supports('color', value)) ||
  (type === 'datetime-local' && held !== '' && /^[\d-]+ [\d:.]+$/.test(value));

function takesText(element: AnyElement): boolean {
  const isField = element.localName === 'input' || element.localName === 'textarea';
  return (isField && element.readOnly !== true) || element.isContentEditable === true || Boolean(element.editContext);
}

/** Focuses the element with all its text selected, so that typing replaces it. */
function selectText(element: AnyElement): FillResult {
  if (!takesText(element)) return fail('takes no text. Use click, or fill the field inside it');
  element.focus?.();
  if (element.editContext || (element.localName === 'textarea' && isTiny(element))) return { remaining: 'replaced' };
  if (element.select) element.select();
  else element.ownerDocument.getSelection()?.selectAllChildren(element);
  const editor = element.isContentEditable === true && (isPlainText(element) ? 'plain' : 'rich');
  const offers = offersOptions(element) && !isSearch(element);
  return { remaining: 'typed', ...(offers && { offers }), ...(editor !== false && { editor }) };
}

const isPlainText = (element: AnyElement): boolean =>
  element.closest('[contenteditable]')?.getAttribute('contenteditable')?.toLowerCase() === 'plaintext-only';

/** A field of an editor that draws its text elsewhere: it holds a part of the text at most. */
function isTiny(element: AnyElement): boolean {
  const { width, height } = element.getBoundingClientRect();
  return width < minFieldSide || height < minFieldSide;
}

/** The suggestions of a search field lead elsewhere. */
const isSearch = (element: AnyElement): boolean =>
  element.type === 'search' || element.closest('search,[role=search]') !== null;

function dispatchChange(element: Element): void {
  element.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
  element.dispatchEvent(new Event('change', { bubbles: true }));
}

/** Selects by label, else by value; of a `multiple` exactly the named options. */
function fillSelect(select: HTMLSelectElement, value: string): FillResult {
  const wanted = wantedLabels(select, value);
  const found: HTMLOptionElement[] = [];
  for (const label of wanted) {
    const option = findOption(select, label);
    if (typeof option === 'string') return { problem: option };
    found.push(option);
  }
  select.focus();
  if (select.multiple) for (const option of select.options) option.selected = found.includes(option);
  else for (const option of found) option.selected = true;
  dispatchChange(select);
  return { remaining: 'set' };
}

/** Of a `multiple`: an array as JSON, or labels apart by line ends or commas. */
function wantedLabels(select: HTMLSelectElement, value: string): readonly string[] {
  if (!select.multiple || matching(select, value).length > 0) return [value];
  if (value.trim() === '') return [];
  return jsonTexts(value) ?? value.split(value.includes('\n') ? '\n' : ',').map((part) => part.trim());
}

function jsonTexts(value: string): readonly string[] | undefined {
  try {
    const parsed: unknown = JSON.parse(value);
    return Array.isArray(parsed) ? parsed.map(String) : undefined;
  } catch {
    return undefined;
  }
}

/** The option, or why there is none. */
function findOption(select: HTMLSelectElement, label: string): HTMLOptionElement | string {
  const matches = matching(select, label);
  const enabled = matches.filter((option) => !isDisabled(option));
  const [option] = enabled;
  if (enabled.length > 1) {
    const values = enabled.map(describe).join(', ');
    return `has ${enabled.length} options ${JSON.stringify(label)}. Fill it with the value of one: ${values}`;
  }
  if (option) return option;
  const open = [...select.options].filter((candidate) => !isDisabled(candidate));
  const labels = open.slice(0, maxOptionsListed).map((candidate) => JSON.stringify(labelOf(candidate)));
  const more = open.length > maxOptionsListed ? ` and ${open.length - maxOptionsListed} more` : '';
  const named = JSON.stringify(label);
  const problem = matches.length > 0 ? `has the option ${named}, which is disabled` : `has no option ${named}`;
  return `${problem}. Its options: ${labels.join(', ')}${more}`;
}

/** A value that is only one option's names it, also where another has it as its label. */
function matching(select: HTMLSelectElement, label: string): HTMLOptionElement[] {
  const options = [...select.options];
  const byLabel = options.filter((option) => sameText(labelOf(option), label));
  const byValue = options.filter((option) => option.value === label);
  if (byLabel.length === 1) return byLabel;
  if (byValue.length === 1) return byValue;
  if (byLabel.length > 1) return byLabel;
  return options.filter((option) => sameText(labelOf(option).toLowerCase(), label.toLowerCase()));
}

const labelOf = (option: HTMLOptionElement): string => asRead(option.label).trim();

const isDisabled = (option: HTMLOptionElement): boolean => option.matches(':disabled');

function describe(option: HTMLOptionElement): string {
  const group = option.closest('optgroup')?.label;
  return JSON.stringify(option.value) + (group ? ` (${asRead(group).trim()})` : '');
}
