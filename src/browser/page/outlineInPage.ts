/** Functions that run inside a page, as source text: see `inPage.ts`. */

/** How many nodes a document has, with its open shadow roots, and how many characters its texts have. */
export const weigh = /* javascript */ `() => {
  const weight = { nodes: 0, characters: 0 };
  const roots = [document];
  while (roots.length > 0) {
    const walker = document.createTreeWalker(roots.pop(), NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode;
      weight.nodes += 1;
      if (node.nodeType === Node.TEXT_NODE) weight.characters += node.length;
      else if (node.shadowRoot) roots.push(node.shadowRoot);
    }
  }
  return weight;
}`;

/**
 * Reads a document in its order, beginning at the node `from` with what holds it, until it has `maxNodes` nodes or
 * `maxCharacters` characters. Returns `items` (JSON: an index into `nodes` as `parent`, then role, name, value and
 * properties of each) and `nodes`, in which the first node that was not read comes after those of the items.
 */
export const outline = /* javascript */ `(from, maxNodes, maxCharacters, maxText) => {
  const byTag = {
    A: (e) => (e.href ? 'link' : 'generic'), ARTICLE: 'article', ASIDE: 'complementary', BUTTON: 'button',
    DIALOG: 'dialog', FIELDSET: 'group', FIGURE: 'figure', FOOTER: 'contentinfo', FORM: 'form', FRAME: 'Iframe',
    H1: 'heading', H2: 'heading', H3: 'heading', H4: 'heading', H5: 'heading', H6: 'heading', HEADER: 'banner',
    IFRAME: 'Iframe', IMG: 'image', LABEL: 'LabelText', LI: 'listitem', MAIN: 'main', MENU: 'list', NAV: 'navigation',
    OL: 'list', OPTION: 'option', P: 'paragraph', SELECT: 'combobox', SUMMARY: 'DisclosureTriangle', TABLE: 'table',
    TBODY: 'rowgroup', TD: 'cell', TEXTAREA: 'textbox', TFOOT: 'rowgroup', TH: 'columnheader', THEAD: 'rowgroup',
    TR: 'row', UL: 'list', INPUT: (e) => byType[e.type] ?? 'textbox',
  };
  const byType = {
    button: 'button', checkbox: 'checkbox', file: 'button', image: 'button', number: 'spinbutton', radio: 'radio',
    range: 'slider', reset: 'button', search: 'searchbox', submit: 'button',
  };
  const silent = new Set(['HEAD', 'NOSCRIPT', 'SCRIPT', 'STYLE', 'TEMPLATE']);
  const fromContent = new Set(['button', 'heading', 'link', 'menuitem', 'option', 'switch', 'tab']);
  const valued = new Set(['combobox', 'searchbox', 'slider', 'spinbutton', 'textbox']);
  const cut = (text) =>
    text.length > maxText ? text.slice(0, maxText) + '… (' + (text.length - maxText) + ' more characters)' : text;
  const roleOf = (element) => {
    const [written] = (element.getAttribute('role') ?? '').split(' ');
    const own = byTag[element.tagName] ?? 'generic';
    return written || (typeof own === 'function' ? own(element) : own);
  };
  const contentOf = (element) => {
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
    let text = '';
    while (text.length <= maxText && walker.nextNode()) text += walker.currentNode.substringData(0, maxText + 1);
    return text.length > maxText ? text.slice(0, maxText) + '…' : text;
  };
  const nameOf = (element, role) => {
    const label = element.labels?.[0];
    const given = element.getAttribute('aria-label') || element.getAttribute('alt') || (label && contentOf(label))
      || (role === 'button' && element.tagName === 'INPUT' && element.value);
    return cut(given || (fromContent.has(role) ? contentOf(element) : '') || element.getAttribute('placeholder')
      || element.title || '');
  };
  const propertiesOf = (element, role) => ({
    level: role === 'heading' ? Number(element.getAttribute('aria-level') ?? element.tagName[1]) : undefined,
    checked: element.getAttribute('aria-checked') ?? (['checkbox', 'radio'].includes(role) ? element.checked : undefined),
    disabled: element.disabled || element.getAttribute('aria-disabled') === 'true' || undefined,
    expanded: element.getAttribute('aria-expanded') ?? undefined,
    required: element.required || undefined,
    selected: element.getAttribute('aria-selected') ?? undefined,
    focusable: element.tabIndex >= 0 || undefined,
  });
  const describe = (node) => {
    if (node === document) return { role: 'RootWebArea', name: cut(document.title) };
    if (node.nodeType === Node.TEXT_NODE) return { role: 'StaticText', name: cut(node.data) };
    const role = roleOf(node);
    const value = valued.has(role) && node.type !== 'password' ? node.value : undefined;
    return {
      role,
      name: nameOf(node, role),
      ...(typeof value === 'string' && value !== '' && { value: cut(value) }),
      properties: propertiesOf(node, role),
    };
  };
  const isShown = (node) => {
    if (node.nodeType === Node.TEXT_NODE) return /\\S/.test(node.substringData(0, maxText));
    if (node.nodeType !== Node.ELEMENT_NODE || silent.has(node.tagName)) return false;
    return node.getAttribute('aria-hidden') !== 'true'
      && (node.checkVisibility() || getComputedStyle(node).display === 'contents');
  };
  const childrenOf = (node) => {
    if (node.localName === 'slot' && node.assignedNodes().length > 0) return node.assignedNodes();
    return (node.shadowRoot ?? node).childNodes;
  };
  const parentOf = (node) => node.assignedSlot ?? (node.parentNode instanceof ShadowRoot ? node.parentNode.host : node.parentNode);
  const path = [];
  for (let at = from; at && at !== document; at = parentOf(at)) path.push(at);
  const above = path.length;
  const nodes = [document];
  const items = [{ parent: -1, ...describe(document) }];
  const open = [{ index: 0, children: childrenOf(document)[Symbol.iterator]() }];
  let characters = 0;
  while (open.length > 0) {
    const { index: parent, children } = open.at(-1);
    const { value: node, done } = children.next();
    if (done) {
      open.pop();
      continue;
    }
    // What stands before the place to begin at is passed over.
    if (path.length > 0 && node !== path.at(-1)) continue;
    path.pop();
    if (!isShown(node)) {
      path.length = 0;
      continue;
    }
    if (items.length > maxNodes + above || characters >= maxCharacters) {
      nodes.push(node);
      break;
    }
    const item = { parent, ...describe(node) };
    if (path.length === 0) characters += item.name.length + (item.value?.length ?? 0);
    open.push({ index: items.length, children: childrenOf(node)[Symbol.iterator]() });
    items.push(item);
    nodes.push(node);
  }
  return { items: JSON.stringify(items), nodes };
}`;
