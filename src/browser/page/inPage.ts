/**
 * Functions that run inside a page, as source text: this program has no DOM types, and a compiler that rewrote them
 * would break them. They run in a world of our own,
 * where the page cannot replace what they call.
 */

/** Resolves when nothing of the document, its open shadow roots and the frames in the same process changed for
 * `quietMs`, or `limitMs` passed. On the page's own clock, so that a timer of the page's that is due earlier always comes
 * first. */
export const untilQuiet = /* javascript */ `(quietMs, limitMs) => new Promise((resolve) => {
  const limit = setTimeout(done, limitMs);
  const roots = new Set();
  let timer;
  const rearm = () => {
    clearTimeout(timer);
    timer = setTimeout(look, quietMs);
  };
  const observer = new MutationObserver(rearm);
  const watch = (root) => {
    if (!root) return;
    if (!roots.has(root)) {
      roots.add(root);
      observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
    }
    for (const element of root.querySelectorAll('*')) watch(element.shadowRoot ?? element.contentDocument);
  };
  // No mutation tells of a new shadow root or of a frame's new document.
  function look() {
    const known = roots.size;
    watch(document);
    if (roots.size === known) done();
    else rearm();
  }
  function done() {
    clearTimeout(limit);
    clearTimeout(timer);
    observer.disconnect();
    resolve();
  }
  watch(document);
  rearm();
})`;

/** Resolves to the first of `texts` that the document shows. Checks after changes, and twice a second for what changes
 * without one (style sheets, values). */
export const untilText = /* javascript */ `(texts, wait) => new Promise((resolve) => {
  globalThis.waiting?.stop();
  const collapse = (text) => text.replace(/\\s+/g, ' ');
  const wanted = texts.map((text) => [text, collapse(text)]);
  const labels = ['aria-label', 'placeholder', 'alt', 'title'];
  const shown = (root) => {
    const parts = [root.body?.innerText ?? root.documentElement?.textContent ?? ''];
    for (const element of root.querySelectorAll('[aria-label],[placeholder],[alt],[title],input,textarea')) {
      for (const label of labels) parts.push(element.getAttribute(label) ?? '');
      if (element.type !== 'password') parts.push(element.value ?? '');
    }
    return collapse(parts.join('\\n'));
  };
  let due = false;
  const check = () => {
    due = false;
    const text = shown(document);
    const found = wanted.find(([, needle]) => text.includes(needle));
    if (!found) return;
    resolve(found[0]);
    stop();
  };
  const observer = new MutationObserver(() => {
    if (due) return;
    due = true;
    setTimeout(check, 10);
  });
  const interval = setInterval(check, 500);
  const stop = () => {
    observer.disconnect();
    clearInterval(interval);
    resolve(undefined);
  };
  globalThis.waiting = { wait, stop };
  observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  check();
})`;

/** Ends one wait of `untilText` that nobody waits for any more, and no later one. */
export const stopWaiting = /* javascript */ `(wait) => {
  if (globalThis.waiting?.wait === wait) globalThis.waiting.stop();
}`;

/** Called on a node. Resolves to what keeps a user from acting on it, or undefined. Waits up to `limitMs` for it to be
 * shown, enabled, at rest and, for a pointer, not covered. */
export const untilActionable = /* javascript */ `async function (pointer, limitMs) {
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  const name = (node) => '<' + node.localName + (node.id ? ' id="' + node.id + '"' : '')
    + (node.classList?.length ? ' class="' + node.classList + '"' : '') + '>';
  const box = () => {
    if (this === element) return element.getClientRects()[0];
    const range = document.createRange();
    range.selectNodeContents(this);
    return range.getClientRects()[0];
  };
  const within = (node) => {
    for (let at = node; at; at = at.assignedSlot ?? at.parentElement ?? at.getRootNode().host) {
      if (at === element) return true;
      if (at.localName === 'label' && at.control === element) return true;
    }
    return false;
  };
  const coveredBy = ({ left, top, width, height }) => {
    const hit = element.getRootNode().elementFromPoint(left + width / 2, top + height / 2);
    if (!hit) return 'is outside the visible part of the page, and cannot be scrolled into it';
    return within(hit) ? undefined : 'is covered by ' + name(hit) + '. Close or move what covers it, or act on that';
  };
  const check = (rect) => {
    if (!element?.isConnected) return 'is no longer in the page. take_snapshot again for the present uids';
    if (element.localName === 'option') return 'is an option of a select: fill the select with its label';
    const filePicker = element.localName === 'input' && element.type === 'file';
    if (!pointer && filePicker) return undefined;
    if (!rect || !(rect.width && rect.height) || !element.checkVisibility({ visibilityProperty: true })) {
      return 'is not visible. Make it appear first (open its menu, tab or section)';
    }
    if (element.closest(':disabled') || element.closest('[aria-disabled="true"]')) {
      return 'is disabled. Fill or choose what it waits for first';
    }
    return pointer ? coveredBy(rect) : undefined;
  };
  const frame = () => new Promise((resolve) => {
    requestAnimationFrame(resolve);
    setTimeout(resolve, 50);
  });
  const end = performance.now() + limitMs;
  for (;;) {
    const before = box();
    const problem = check(before);
    if (!problem && !pointer) return undefined;
    await frame();
    const after = box();
    const rests = before && after && before.left === after.left && before.top === after.top;
    if (!problem && rests) return undefined;
    if (performance.now() > end) return problem ?? 'does not stop moving. wait_for what ends the animation';
  }
}`;

/** Waits until what is there has been drawn: two frames, or as long as `limitMs` in a tab that draws none. */
export const untilDrawn = /* javascript */ `(limitMs) => new Promise((resolve) => {
  requestAnimationFrame(() => requestAnimationFrame(resolve));
  setTimeout(resolve, limitMs);
})`;

/** Called on an element. Sets what is set at once, and says what is left: `typed`, `clicked` or `set`. */
export const prepareFill = /* javascript */ `function (value) {
  const element = this.nodeType === Node.ELEMENT_NODE ? this : this.parentElement;
  const changed = () => {
    element.dispatchEvent(new Event('input', { bubbles: true, composed: true }));
    element.dispatchEvent(new Event('change', { bubbles: true }));
  };
  const fail = (problem) => ({ problem });
  if (element.readOnly) return fail('is read-only');
  if (element.localName === 'select') {
    const options = [...element.options];
    const option = options.find((o) => o.label.trim() === value.trim()) ?? options.find((o) => o.value === value);
    if (!option) {
      const known = options.slice(0, 30).map((o) => JSON.stringify(o.label.trim())).join(', ');
      return fail('has no option ' + JSON.stringify(value) + '. Its options: ' + known);
    }
    element.focus();
    if (element.multiple) option.selected = true;
    else element.value = option.value;
    option.selected = true;
    changed();
    return { left: 'set' };
  }
  const role = element.getAttribute('role');
  const native = element.localName === 'input' && ['checkbox', 'radio'].includes(element.type);
  if (native || ['checkbox', 'radio', 'switch'].includes(role)) {
    if (value !== 'true' && value !== 'false') return fail('takes the value true or false');
    const checked = native ? element.checked : element.getAttribute('aria-checked') === 'true';
    return { left: String(checked) === value ? 'set' : 'clicked' };
  }
  if (element.localName === 'input') {
    if (element.type === 'file') return fail('takes files: use upload_file');
    if (['button', 'submit', 'reset', 'image'].includes(element.type)) return fail('is a button: use click');
    if (['date', 'time', 'datetime-local', 'month', 'week', 'range', 'color'].includes(element.type)) {
      element.focus();
      Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(element, value);
      if (element.value !== value) {
        return fail('does not take ' + JSON.stringify(value) + ' as its ' + element.type + '; it holds '
          + JSON.stringify(element.value));
      }
      changed();
      return { left: 'set' };
    }
  }
  if (element.localName === 'input' || element.localName === 'textarea') {
    element.focus();
    element.select();
    return { left: 'typed' };
  }
  if (!element.isContentEditable) return fail('takes no text. Use click, or fill the field inside it');
  element.focus();
  element.ownerDocument.getSelection().selectAllChildren(element);
  return { left: 'typed' };
}`;

/** Called on a field. What it holds now. */
export const readValue = /* javascript */ `function () {
  return this.value ?? this.innerText ?? '';
}`;

/** Called on a node. Whether it is a file field. */
export const isFileField = /* javascript */ `function () {
  return this.localName === 'input' && this.type === 'file';
}`;

/** In a page's own world or in a worker: calls `code` if it is a function, and prints what it gives as JSON that can always be
 * printed. Resolves to `{ json, kind }`; `kind` is `undefined` where JSON has no word for it. */
export const runAndPrint = /* javascript */ `async (code, ...values) => {
  const value = await (typeof code === 'function' ? code(...values) : code);
  const ancestors = [];
  const json = JSON.stringify(value, function (_, item) {
    if (typeof item === 'bigint') return item + 'n';
    if (typeof item === 'function') return '[Function ' + (item.name || 'anonymous') + ']';
    if (typeof item === 'symbol') return item.toString();
    if (typeof item === 'number' && !Number.isFinite(item)) return String(item);
    if (typeof item !== 'object' || item === null) return item;
    while (ancestors.length > 0 && ancestors.at(-1) !== this) ancestors.pop();
    if (ancestors.includes(item)) return '[Circular]';
    ancestors.push(item);
    if (item instanceof Error) return item.stack || String(item);
    if (typeof Node === 'function' && item instanceof Node) return '[' + item.nodeName.toLowerCase() + (item.id ? '#' + item.id : '') + ']';
    if (typeof Window === 'function' && item instanceof Window) return '[Window]';
    if (item instanceof Map) return Object.fromEntries(item);
    if (item instanceof Set) return [...item];
    return item;
  });
  return { json, kind: typeof value };
}`;
