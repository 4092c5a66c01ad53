import type { FillResult } from './contract.js';
import { elementOf, type AnyElement } from './elements.js';

const checkedTypes = ['checkbox', 'radio'];
const checkedRoles = ['checkbox', 'radio', 'switch'];
const buttonTypes = ['button', 'submit', 'reset', 'image'];
/** Types whose value has a notation of its own, which is set as a whole. */
const formattedTypes = ['date', 'time', 'datetime-local', 'month', 'week', 'range', 'color'];
const maxOptionsListed = 30;

/** Called on a node. Sets what can be set at once, and says what remains to be done. */
export function prepareFill(this: Node, value: string): FillResult {
  const element = elementOf(this);
  if (element === null) return fail('is no longer in the page. take_snapshot again for the present uids');
  if (element.readOnly) return fail('is read-only');
  if (isSelect(element)) return fillSelect(element, value);
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

/** Called on a field. Its present value. */
export function readValue(this: AnyElement): string {
  return this.value ?? this.innerText ?? '';
}

/** Called on a node. */
export function isFileField(this: AnyElement): boolean {
  return this.localName === 'input' && this.type === 'file';
}

const fail = (problem: string): FillResult => ({ problem });

const isSelect = (element: Element): element is HTMLSelectElement => element.localName === 'select';

const roleOf = (element: Element): string => element.getAttribute('role') ?? '';

function fillSelect(element: HTMLSelectElement, value: string): FillResult {
  const options = [...element.options];
  const option =
    options.find(({ label }) => label.trim() === value.trim()) ??
    options.find((candidate) => candidate.value === value);
  if (option === undefined) {
    const labels = options.slice(0, maxOptionsListed).map(({ label }) => JSON.stringify(label.trim()));
    return fail(`has no option ${JSON.stringify(value)}. Its options: ${labels.join(', ')}`);
  }
  element.focus();
  if (!element.multiple) element.value = option.value;
  option.selected = true;
  dispatchChange(element);
  return { remaining: 'set' };
}

function fillChecked(element: AnyElement, value: string): FillResult {
  if (value !== 'true' && value !== 'false') return fail('takes the value true or false');
  const isNative = element.localName === 'input' && checkedTypes.includes(element.type ?? '');
  const isChecked = isNative ? element.checked === true : element.getAttribute('aria-checked') === 'true';
  return { remaining: String(isChecked) === value ? 'set' : 'clicked' };
}

/** Undefined for an input that is typed into. */
function fillWhole(element: AnyElement, value: string): FillResult | undefined {
  const { type = '' } = element;
  if (type === 'file') return fail('takes files: use upload_file');
  if (buttonTypes.includes(type)) return fail('is a button: use click');
  if (!formattedTypes.includes(type)) return undefined;
  element.focus?.();
  element.value = value;
  if (element.value !== value) {
    return fail(`does not take ${JSON.stringify(value)} as its ${type}; it holds ${JSON.stringify(element.value)}`);
  }
  dispatchChange(element);
  return { remaining: 'set' };
}

/** Focuses the element with all its text selected, so that typing replaces it. */
function selectText(element: AnyElement): FillResult {
  const isField = element.localName === 'input' || element.localName === 'textarea';
  if (!isField && !element.isContentEditable) return fail('takes no text. Use click, or fill the field inside it');
  element.focus?.();
  if (isField) element.select?.();
  else element.ownerDocument.getSelection()?.selectAllChildren(element);
  return { remaining: 'typed' };
}

function dispatchChange(element: Element): void {
  element.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
  element.dispatchEvent(new Event('change', { bubbles: true }));
}
