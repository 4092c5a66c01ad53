import type { Task } from './task.js';

const twoLines = 'const a = { b: [1] };\n  return a;';

/** Editors of text and of code: what is filled in replaces what was there, once, with its line ends. */
export const editorTasks: readonly Task[] = [
  {
    name: 'prosemirror',
    source: `import { EditorState } from 'prosemirror-state'; import { EditorView } from 'prosemirror-view'; import { schema } from 'prosemirror-schema-basic';
      import { keymap } from 'prosemirror-keymap'; import { baseKeymap } from 'prosemirror-commands';
      const doc = schema.node('doc', null, [schema.node('paragraph', null, [schema.text('old text')])]);
      globalThis.view = new EditorView(document.body, { attributes: { 'aria-label': 'Text', role: 'textbox' },
        state: EditorState.create({ doc, plugins: [keymap(baseKeymap)] }) });`,
    act: (agent) => agent.fill('textbox "Text"', 'One line\nAnother'),
    read: `view.state.doc.textBetween(0, view.state.doc.content.size, '\\n')`,
    expected: 'One line\nAnother',
  },
  {
    name: 'lexical',
    html: '<div id="text" contenteditable="true" role="textbox" aria-label="Text"></div>',
    source: `import { createEditor, $getRoot, $createParagraphNode, $createTextNode } from 'lexical'; import { registerRichText } from '@lexical/rich-text';
      const editor = createEditor({ onError: (error) => { throw error; } });
      editor.setRootElement(document.getElementById('text')); registerRichText(editor);
      editor.update(() => $getRoot().clear().append($createParagraphNode().append($createTextNode('old text'))));
      globalThis.textOf = () => editor.getEditorState().read(() => $getRoot().getTextContent());`,
    act: (agent) => agent.fill('textbox "Text"', 'One line and no more'),
    read: 'textOf()',
    expected: 'One line and no more',
  },
  {
    name: 'quill',
    html: '<div id="text"><p>old text</p></div>',
    source: `import Quill from 'quill'; import 'quill/dist/quill.snow.css';
      globalThis.quill = new Quill('#text', { theme: 'snow' });`,
    act: async (agent) => {
      await agent.click('"old text"');
      await agent.press('Ctrl+A');
      await agent.type('New');
      await agent.press('ctrl+a');
      await agent.click('button "bold"');
    },
    read: 'quill.getContents().ops',
    expected: [{ attributes: { bold: true }, insert: 'New' }, { insert: '\n' }],
  },
  {
    name: 'codemirror',
    source: `import { EditorView, basicSetup } from 'codemirror';
      globalThis.view = new EditorView({ parent: document.body, doc: 'old text', extensions: [basicSetup] });`,
    act: (agent) => agent.fill('textbox', twoLines),
    read: 'view.state.doc.toString()',
    expected: twoLines,
  },
  {
    name: 'monaco',
    html: `<div id="code" style="height:200px"></div><script src="/node_modules/monaco-editor/min/vs/loader.js"></script>`,
    source: `globalThis.require.config({ paths: { vs: '/node_modules/monaco-editor/min/vs' } });
      await new Promise((resolve) => globalThis.require(['vs/editor/editor.main'], resolve));
      globalThis.editor = globalThis.monaco.editor.create(document.getElementById('code'), { value: 'old text', language: 'plaintext' });`,
    act: (agent) => agent.fill('textbox', twoLines),
    read: `editor.getValue().replaceAll('\\r', '')`,
    expected: twoLines,
  },
  {
    name: 'monaco-edit-context',
    html: `<div id="code" style="height:200px"></div><script src="/node_modules/monaco-editor/min/vs/loader.js"></script>`,
    source: `globalThis.require.config({ paths: { vs: '/node_modules/monaco-editor/min/vs' } });
      await new Promise((resolve) => globalThis.require(['vs/editor/editor.main'], resolve));
      globalThis.editor = globalThis.monaco.editor.create(document.getElementById('code'), { value: 'old text', language: 'plaintext', editContext: true });`,
    act: (agent) => agent.fill('textbox', twoLines),
    read: `editor.getValue().replaceAll('\\r', '')`,
    expected: twoLines,
  },
];
